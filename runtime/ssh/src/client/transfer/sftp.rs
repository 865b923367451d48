//! Files by SFTP, over a channel of its own.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use dva_runtime::transport::{Collected, Purpose, TransferError, TransferErrorKind};
use russh::client::Msg;
use russh::{ChannelMsg, ChannelStream};
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::client::fs::File as RemoteFile;
use russh_sftp::client::{Config, SftpSession};
use russh_sftp::protocol::{FileAttributes, OpenFlags};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_util::sync::CancellationToken;

use super::{Content, Failure, local, remote_error};
use crate::client::pool::{Place, Pool};

/// How much is written at once. With [`WRITES`] less than what a channel holds, so that a machine
/// with a slow disk holds up this channel alone.
const CHUNK: usize = 32 << 10;
/// How many writes wait for the machine's word.
const WRITES: usize = 8;
/// How much is asked for at once; the machine may give less.
const READ: usize = 128 << 10;
/// Whether a machine is still there the connection knows; it need not be quick.
const ANSWER_SECONDS: u64 = 24 * 3600;

/// An open SFTP session.
pub(super) struct Sftp {
    session: SftpSession,
    /// Cancelled once the channel has ended.
    gone: CancellationToken,
}

impl Sftp {
    /// `None` where the machine has none.
    pub(super) async fn open(pool: &Arc<Pool>) -> Result<Option<Self>, TransferError> {
        let opened = pool.open(&Purpose::Housekeeping).await;
        let mut opened = opened.map_err(Failure::from)?;
        let (channel, place) = opened.channel();
        if channel.request_subsystem(true, "sftp").await.is_err() {
            return Err(lost(place).await);
        }
        loop {
            match channel.wait().await {
                Some(ChannelMsg::Success) => break,
                Some(ChannelMsg::Failure | ChannelMsg::Close) => return Ok(None),
                Some(_) => {}
                None => return Err(lost(place).await),
            }
        }
        let gone = CancellationToken::new();
        let (channel, place) = opened.into_parts();
        let place = Arc::new(place);
        let stream = SftpStream {
            stream: channel.into_stream(),
            gone: gone.clone(),
            place: Arc::clone(&place),
        };
        let config = Config {
            max_concurrent_writes: WRITES,
            request_timeout_secs: ANSWER_SECONDS,
            ..Config::default()
        };
        let session = tokio::select! {
            biased;
            session = SftpSession::new_with_config(stream, config) => session.ok(),
            () = gone.cancelled() => None,
        };
        match session {
            Some(session) => Ok(Some(Self { session, gone })),
            // A server that was told of a program that is not there hangs up on the channel alone.
            None if place.link().is_up() => Ok(None),
            None => Err(lost(&place).await),
        }
    }

    pub(super) async fn upload(
        self,
        content: Content,
        remote: &str,
        mode: u32,
    ) -> Result<(), TransferError> {
        let copy = async {
            let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::WRITE;
            let mut file = self.open_file(remote, flags, 0o600).await?;
            // Before the content, which may be for few eyes.
            file.set_metadata(permissions(mode))
                .await
                .map_err(|error| said(remote, &error))?;
            match content {
                Content::Bytes(bytes) => {
                    for chunk in bytes.chunks(CHUNK) {
                        write(&mut file, chunk, remote).await?;
                    }
                }
                Content::File(mut from, path) => {
                    let mut bytes = vec![0; CHUNK];
                    loop {
                        let count = from.read(&mut bytes).await;
                        match count.map_err(|error| local("read", &path, &error))? {
                            0 => break,
                            count => write(&mut file, &bytes[..count], remote).await?,
                        }
                    }
                }
            }
            file.shutdown()
                .await
                .map_err(|error| remote_error(remote, &error.to_string()))
        };
        self.unless_gone(copy, remote).await
    }

    pub(super) async fn collect(
        self,
        remote: &str,
        mut file: File,
        into: &Path,
        limit: u64,
    ) -> Result<Collected, TransferError> {
        let copy = async {
            let mut from = self.open_file(remote, OpenFlags::READ, 0).await?;
            let mut bytes = vec![0; READ];
            let mut collected = Collected {
                bytes: 0,
                truncated: false,
            };
            loop {
                let count = from.read(&mut bytes).await;
                let count = count.map_err(|error| remote_error(remote, &error.to_string()))?;
                let room = usize::try_from(limit - collected.bytes).unwrap_or(usize::MAX);
                let taken = count.min(room);
                file.write_all(&bytes[..taken])
                    .await
                    .map_err(|error| local("write", into, &error))?;
                collected.bytes += taken as u64;
                collected.truncated = taken < count;
                if count == 0 || collected.truncated {
                    break;
                }
            }
            file.flush()
                .await
                .map_err(|error| local("write", into, &error))?;
            Ok(collected)
        };
        self.unless_gone(copy, remote).await
    }

    async fn open_file(
        &self,
        remote: &str,
        flags: OpenFlags,
        mode: u32,
    ) -> Result<RemoteFile, TransferError> {
        self.session
            .open_with_flags_and_attributes(remote, flags, permissions(mode))
            .await
            .map_err(|error| said(remote, &error))
    }

    /// The session itself waits for answers that cannot come any more.
    async fn unless_gone<T>(
        &self,
        copy: impl Future<Output = Result<T, TransferError>>,
        remote: &str,
    ) -> Result<T, TransferError> {
        let copied = tokio::select! {
            biased;
            copied = copy => copied,
            () = self.gone.cancelled() => Err(remote_error(remote, "")),
        };
        match copied {
            Err(error) if error.kind == TransferErrorKind::Remote && self.gone.is_cancelled() => {
                Err(TransferError {
                    kind: TransferErrorKind::Lost,
                    message: format!("{remote}: the connection broke"),
                })
            }
            copied => copied,
        }
    }
}

async fn write(file: &mut RemoteFile, bytes: &[u8], remote: &str) -> Result<(), TransferError> {
    file.write_all(bytes)
        .await
        .map_err(|error| remote_error(remote, &error.to_string()))
}

fn permissions(mode: u32) -> FileAttributes {
    FileAttributes {
        permissions: Some(mode),
        ..FileAttributes::empty()
    }
}

fn said(remote: &str, error: &SftpError) -> TransferError {
    match error {
        SftpError::Status(status) => remote_error(remote, &status.error_message),
        error => remote_error(remote, &error.to_string()),
    }
}

async fn lost(place: &Place) -> TransferError {
    Failure::from(place.link().broken("the channel ended").await).into()
}

/// The bytes of the channel. Holds its place, and tells when it ends.
struct SftpStream {
    stream: ChannelStream<Msg>,
    gone: CancellationToken,
    place: Arc<Place>,
}

impl SftpStream {
    fn note<T>(
        &self,
        poll: Poll<io::Result<T>>,
        is_end: impl FnOnce(&T) -> bool,
    ) -> Poll<io::Result<T>> {
        match &poll {
            Poll::Ready(Ok(value)) if !is_end(value) => {}
            Poll::Ready(_) => self.gone.cancel(),
            Poll::Pending => {}
        }
        poll
    }
}

impl Drop for SftpStream {
    fn drop(&mut self) {
        self.gone.cancel();
        tracing::trace!(up = self.place.link().is_up(), "an sftp channel ended");
    }
}

impl AsyncRead for SftpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let had_room = buffer.remaining() > 0;
        let poll = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let is_end = had_room && buffer.filled().len() == before;
        self.note(poll, |()| is_end)
    }
}

impl AsyncWrite for SftpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(poll, |_| false)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
