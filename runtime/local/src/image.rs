//! Images that lie on this host: folders, and tar archives, which are unpacked once.
//!
//! Unpacked archives stay in the state folder, each under a name made of its path, size and time, so one
//! that has changed is unpacked anew. Nothing removes them but whoever removes the state folder.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use dva_plan::plan::ImageSource;

use crate::provider::LocalConfig;
use crate::supervisor::private_folder;
use crate::trouble::{Trouble, While};
use crate::wire::Lower;

/// The folder of unpacked archives in the state folder.
pub(crate) const CACHE: &str = "images";

/// Tells unpackings of one process apart.
static UNPACKINGS: AtomicU32 = AtomicU32::new(0);

/// Finds what a root file system is an overlay of, and unpacks it if need be.
pub(crate) fn resolve(config: &LocalConfig, image: &ImageSource) -> Result<Lower, Trouble> {
    let path = match image {
        ImageSource::LocalHost => return Ok(Lower::Host),
        ImageSource::LocalRootfs { path } => Path::new(path),
        ImageSource::Ec2Ami { .. }
        | ImageSource::Ec2AmiNamed { .. }
        | ImageSource::Ec2AmiParameter { .. } => {
            return Err(Trouble::new("an image of EC2 does not run on this host"));
        }
    };
    let doing = format!("use the root file system {}", path.display());
    let path = path.canonicalize().doing(&doing)?;
    let folder = if path.is_dir() {
        path
    } else {
        unpack(config, &path)?
    };
    // Absolute links lead elsewhere from here, so only the link itself is looked for.
    let has_shell = ["bin", "usr/bin"]
        .iter()
        .any(|bin| fs::symlink_metadata(folder.join(bin).join("sh")).is_ok());
    if !has_shell {
        return Err(Trouble::new(format!("{doing}: it has no /bin/sh")));
    }
    Ok(Lower::Folder(folder))
}

/// Unpacks an archive, unless that was done before.
fn unpack(config: &LocalConfig, archive: &Path) -> Result<PathBuf, Trouble> {
    let doing = format!("unpack {}", archive.display());
    let file = fs::metadata(archive).doing(&doing)?;
    let mut name = DefaultHasher::new();
    (
        archive,
        file.len(),
        file.mtime(),
        file.mtime_nsec(),
        file.ino(),
    )
        .hash(&mut name);
    let cache = config.state.join(CACHE);
    let folder = cache.join(format!("{:016x}", name.finish()));
    if folder.is_dir() {
        return Ok(folder);
    }
    private_folder(&cache)?;
    // Beside it and renamed when all is there: others may be unpacking the same.
    let unpacking = UNPACKINGS.fetch_add(1, Ordering::Relaxed);
    let beside = cache.join(format!("unpacking-{}-{unpacking}", std::process::id()));
    fs::create_dir(&beside).doing(&doing)?;
    let unpacked = Command::new("tar")
        .args(["--extract", "--preserve-permissions", "--numeric-owner"])
        .args(["--xattrs", "--xattrs-include=*", "--file"])
        .arg(archive)
        .arg("--directory")
        .arg(&beside)
        .stdin(Stdio::null())
        .output()
        .doing(&doing)
        .and_then(|output| {
            if output.status.success() {
                return Ok(());
            }
            let message = String::from_utf8_lossy(&output.stderr);
            Err(Trouble::new(format!("{doing}: {}", message.trim())))
        });
    let renamed = unpacked.and_then(|()| match fs::rename(&beside, &folder) {
        // Another was faster.
        Err(_) if folder.is_dir() => Ok(false),
        Ok(()) => Ok(true),
        Err(error) => Err(error).doing(&doing),
    });
    if !matches!(renamed, Ok(true)) {
        // What cannot be removed is unpacked for nothing, and no more.
        let _ = fs::remove_dir_all(&beside);
    }
    renamed.map(|_| folder)
}
