//! Files by SFTP, version 3: what root of the sandbox may do with files anyway.
//!
//! Relative paths begin at root's home, as they do for commands that sshd runs. Names that are not
//! UTF-8 cannot be said: the library knows none.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{Metadata, Permissions};
use std::io::{self, SeekFrom};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use russh::Channel;
use russh::server::Msg;
use russh_sftp::protocol::{
    Attrs, Data, File as Named, FileAttributes, Handle, Name, OpenFlags, Status, StatusCode,
};
use russh_sftp::server::{Handler, StatusReply};
use tokio::fs::{self, File, OpenOptions, ReadDir};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

/// Where relative paths begin.
const HOME: &str = "/root";
/// The most files and folders that a client has open.
const HANDLES: usize = 256;
/// The most bytes of one answer.
const READ_LIMIT: u32 = 128 << 10;
/// The most names of one answer.
const NAMES: usize = 100;
/// The bits of a mode that can be set.
const MODE: u32 = 0o7777;

/// Serves `channel` until its client ends it.
pub(super) fn serve(channel: Channel<Msg>) {
    tokio::spawn(russh_sftp::server::run(
        channel.into_stream(),
        Files::default(),
    ));
}

/// What a client has open.
#[derive(Default)]
struct Files {
    open: BTreeMap<String, Open>,
    last: u64,
}

enum Open {
    File(File),
    Folder(ReadDir),
}

impl Files {
    fn keep(&mut self, id: u32, open: Open) -> Result<Handle, StatusReply> {
        if self.open.len() >= HANDLES {
            return Err(StatusCode::Failure.with_message("too many open files"));
        }
        self.last += 1;
        let handle = self.last.to_string();
        self.open.insert(handle.clone(), open);
        Ok(Handle { id, handle })
    }

    fn file(&mut self, handle: &str) -> Result<&mut File, StatusReply> {
        match self.open.get_mut(handle) {
            Some(Open::File(file)) => Ok(file),
            Some(Open::Folder(_)) | None => {
                Err(StatusCode::Failure.with_message("no such handle of a file"))
            }
        }
    }
}

fn path(name: &str) -> PathBuf {
    Path::new(HOME).join(name)
}

fn said(error: &io::Error) -> StatusReply {
    let code = match error.kind() {
        io::ErrorKind::NotFound => StatusCode::NoSuchFile,
        io::ErrorKind::PermissionDenied => StatusCode::PermissionDenied,
        _ => StatusCode::Failure,
    };
    code.with_message(error.to_string())
}

fn done(id: u32, result: io::Result<()>) -> Result<Status, StatusReply> {
    match result {
        Ok(()) => Ok(Status {
            id,
            status_code: StatusCode::Ok,
            error_message: String::new(),
            language_tag: String::new(),
        }),
        Err(error) => Err(said(&error)),
    }
}

fn attributes(id: u32, metadata: io::Result<Metadata>) -> Result<Attrs, StatusReply> {
    let metadata = metadata.map_err(|error| said(&error))?;
    Ok(Attrs {
        id,
        attrs: attributes_of(&metadata),
    })
}

fn attributes_of(metadata: &Metadata) -> FileAttributes {
    let mut attributes = FileAttributes::from(metadata);
    // The library marks all that is no folder as a plain file; the mode knows better.
    attributes.permissions = Some(metadata.permissions().mode());
    attributes
}

fn one_name(id: u32, path: io::Result<PathBuf>) -> Result<Name, StatusReply> {
    let path = path.map_err(|error| said(&error))?;
    Ok(Name {
        id,
        files: vec![Named::dummy(path.to_string_lossy())],
    })
}

impl Handler for Files {
    type Error = StatusReply;

    fn unimplemented(&self) -> StatusReply {
        StatusCode::OpUnsupported.into()
    }

    async fn open(
        &mut self,
        id: u32,
        filename: String,
        pflags: OpenFlags,
        attrs: FileAttributes,
    ) -> Result<Handle, StatusReply> {
        let mut options = OpenOptions::from(std::fs::OpenOptions::from(pflags));
        options.mode(attrs.permissions.unwrap_or(0o666) & MODE);
        let file = options.open(path(&filename)).await;
        self.keep(id, Open::File(file.map_err(|error| said(&error))?))
    }

    async fn close(&mut self, id: u32, handle: String) -> Result<Status, StatusReply> {
        match self.open.remove(&handle) {
            // What could not be written is told with the last word about the file.
            Some(Open::File(mut file)) => done(id, file.flush().await),
            Some(Open::Folder(_)) => done(id, Ok(())),
            None => Err(StatusCode::Failure.with_message("no such handle")),
        }
    }

    async fn read(
        &mut self,
        id: u32,
        handle: String,
        offset: u64,
        len: u32,
    ) -> Result<Data, StatusReply> {
        let file = self.file(&handle)?;
        let read = async {
            seek(file, offset).await?;
            let mut data = Vec::new();
            let limit = u64::from(len.min(READ_LIMIT));
            file.take(limit).read_to_end(&mut data).await?;
            Ok(data)
        };
        match read.await {
            Ok(data) if data.is_empty() && len > 0 => Err(StatusCode::Eof.into()),
            Ok(data) => Ok(Data { id, data }),
            Err(error) => Err(said(&error)),
        }
    }

    async fn write(
        &mut self,
        id: u32,
        handle: String,
        offset: u64,
        data: Vec<u8>,
    ) -> Result<Status, StatusReply> {
        let file = self.file(&handle)?;
        let write = async {
            seek(file, offset).await?;
            file.write_all(&data).await?;
            file.flush().await
        };
        done(id, write.await)
    }

    async fn lstat(&mut self, id: u32, name: String) -> Result<Attrs, StatusReply> {
        attributes(id, fs::symlink_metadata(path(&name)).await)
    }

    async fn stat(&mut self, id: u32, name: String) -> Result<Attrs, StatusReply> {
        attributes(id, fs::metadata(path(&name)).await)
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Result<Attrs, StatusReply> {
        attributes(id, self.file(&handle)?.metadata().await)
    }

    async fn setstat(
        &mut self,
        id: u32,
        name: String,
        attrs: FileAttributes,
    ) -> Result<Status, StatusReply> {
        let path = path(&name);
        let set = async {
            if let Some(mode) = attrs.permissions {
                fs::set_permissions(&path, Permissions::from_mode(mode & MODE)).await?;
            }
            if let Some(size) = attrs.size {
                let file = OpenOptions::new().write(true).open(&path).await?;
                file.set_len(size).await?;
            }
            Ok(())
        };
        done(id, set.await)
    }

    async fn fsetstat(
        &mut self,
        id: u32,
        handle: String,
        attrs: FileAttributes,
    ) -> Result<Status, StatusReply> {
        let file = self.file(&handle)?;
        let set = async {
            if let Some(mode) = attrs.permissions {
                let mode = Permissions::from_mode(mode & MODE);
                file.set_permissions(mode).await?;
            }
            if let Some(size) = attrs.size {
                file.set_len(size).await?;
            }
            Ok(())
        };
        done(id, set.await)
    }

    async fn opendir(&mut self, id: u32, name: String) -> Result<Handle, StatusReply> {
        let folder = fs::read_dir(path(&name)).await;
        self.keep(id, Open::Folder(folder.map_err(|error| said(&error))?))
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Result<Name, StatusReply> {
        let Some(Open::Folder(folder)) = self.open.get_mut(&handle) else {
            return Err(StatusCode::Failure.with_message("no such handle of a folder"));
        };
        let mut files = Vec::new();
        while files.len() < NAMES {
            let Some(entry) = folder.next_entry().await.map_err(|error| said(&error))? else {
                break;
            };
            // A file that has gone meanwhile is no news.
            if let Ok(metadata) = fs::symlink_metadata(entry.path()).await {
                let name: &OsStr = &entry.file_name();
                files.push(Named::new(name.to_string_lossy(), attributes_of(&metadata)));
            }
        }
        if files.is_empty() {
            return Err(StatusCode::Eof.into());
        }
        Ok(Name { id, files })
    }

    async fn remove(&mut self, id: u32, name: String) -> Result<Status, StatusReply> {
        done(id, fs::remove_file(path(&name)).await)
    }

    async fn mkdir(
        &mut self,
        id: u32,
        name: String,
        attrs: FileAttributes,
    ) -> Result<Status, StatusReply> {
        let mode = attrs.permissions.unwrap_or(0o777) & MODE;
        let mut builder = fs::DirBuilder::new();
        builder.mode(mode);
        done(id, builder.create(path(&name)).await)
    }

    async fn rmdir(&mut self, id: u32, name: String) -> Result<Status, StatusReply> {
        done(id, fs::remove_dir(path(&name)).await)
    }

    async fn realpath(&mut self, id: u32, name: String) -> Result<Name, StatusReply> {
        one_name(id, fs::canonicalize(path(&name)).await)
    }

    async fn rename(&mut self, id: u32, from: String, to: String) -> Result<Status, StatusReply> {
        done(id, fs::rename(path(&from), path(&to)).await)
    }

    async fn readlink(&mut self, id: u32, name: String) -> Result<Name, StatusReply> {
        one_name(id, fs::read_link(path(&name)).await)
    }

    /// The two names come in OpenSSH's order, which is not the specification's.
    async fn symlink(
        &mut self,
        id: u32,
        target: String,
        link: String,
    ) -> Result<Status, StatusReply> {
        done(id, symlink(target, path(&link)))
    }
}

/// A pipe or a terminal has no place to go to; it is read and written as it comes.
async fn seek(file: &mut File, offset: u64) -> io::Result<()> {
    match file.seek(SeekFrom::Start(offset)).await {
        Ok(_) => Ok(()),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SPIPE.raw_os_error()) => {
            Ok(())
        }
        Err(error) => Err(error),
    }
}
