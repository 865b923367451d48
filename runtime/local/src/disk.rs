//! Extra disks: sparse files behind loop devices of the host.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::partition;
use crate::trouble::{Trouble, While};
use crate::wire::DeviceNumber;

// Of `linux/loop.h`.
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4C82;
const LOOP_CONFIGURE: libc::Ioctl = 0x4C0A;
const LOOP_CLR_FD: libc::Ioctl = 0x4C01;
const LOOP_SET_STATUS64: libc::Ioctl = 0x4C04;
const LOOP_GET_STATUS64: libc::Ioctl = 0x4C05;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const LO_FLAGS_PARTSCAN: u32 = 8;
/// The major number of loop devices.
const LOOP_MAJOR: u32 = 7;
/// How often a free device is asked for while others snatch them away.
const ATTEMPTS: u32 = 64;
/// How long a device may take to let go by itself before it is told to.
const DETACH_GRACE: Duration = Duration::from_millis(50);

/// A disk that is attached as long as this lives.
pub(crate) struct LoopDisk {
    /// The name the kernel has for it: `loop3`.
    pub kernel_name: String,
    /// Its number.
    pub number: DeviceNumber,
    /// With the last descriptor closed, here and in the sandbox, the device detaches by itself.
    device: File,
}

impl LoopDisk {
    /// Makes the file and attaches it.
    pub(crate) fn create(path: &Path, size_bytes: u64) -> Result<Self, Trouble> {
        let backing = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .doing(format_args!("make {}", path.display()))?;
        backing.set_len(size_bytes).doing(format_args!(
            "make {} of {size_bytes} bytes",
            path.display()
        ))?;
        attach(&backing).doing(format_args!("attach {}", path.display()))
    }

    /// Attaches a file that is there.
    pub(crate) fn open(path: &Path) -> Result<Self, Trouble> {
        let doing = format!("attach {}", path.display());
        let backing = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .doing(&doing)?;
        attach(&backing).doing(&doing)
    }

    /// Its node on the host.
    pub(crate) fn node(&self) -> PathBuf {
        PathBuf::from(format!("/dev/{}", self.kernel_name))
    }

    /// Whether it, or a partition of it, is mounted or used by someone alone.
    pub(crate) fn is_in_use(&self) -> bool {
        let alone = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_EXCL)
            .open(self.node());
        alone.is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy)
    }

    /// Cuts it off from whoever uses it: all but its first sector is out of reach, and stays in the file.
    /// What is mounted of it meets errors. Partitions in use keep what the kernel has in memory alone.
    pub(crate) fn cut(&self) -> Result<(), Trouble> {
        let doing = "cut the disk off";
        let mut info = LoopInfo::default();
        let device = self.device.as_raw_fd();
        // SAFETY: `info` has the layout of `struct loop_info64`, which the first call fills and the second
        // reads.
        let done = unsafe {
            match libc::ioctl(device, LOOP_GET_STATUS64, std::ptr::from_mut(&mut info)) {
                0 => {
                    info.size_limit = 512;
                    libc::ioctl(device, LOOP_SET_STATUS64, std::ptr::from_ref(&info))
                }
                error => error,
            }
        };
        if done < 0 {
            return Err(io::Error::last_os_error()).doing(doing);
        }
        // Partitions that nobody uses go now; those in use go with the device.
        for partition in partition::known(&self.kernel_name) {
            let _ = partition::forget(&self.device, partition.index);
        }
        Ok(())
    }
}

/// Attaches `backing` to a free loop device.
fn attach(backing: &File) -> io::Result<LoopDisk> {
    let control = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/loop-control")?;
    // All that ask are told the same free device. Ours take turns; the kernel knows of no turns, so others
    // may still be faster.
    rustix::fs::flock(&control, rustix::fs::FlockOperation::LockExclusive)?;
    for _ in 0..ATTEMPTS {
        // SAFETY: takes no argument.
        let index = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
        let minor = u32::try_from(index).map_err(|_| io::Error::last_os_error())?;
        let kernel_name = format!("loop{minor}");
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open(format!("/dev/{kernel_name}"))?;
        let config = LoopConfig {
            fd: backing.as_raw_fd().cast_unsigned(),
            // Without a partition scan, nodes of partitions outlive the device.
            flags: LO_FLAGS_AUTOCLEAR | LO_FLAGS_PARTSCAN,
            ..LoopConfig::default()
        };
        // SAFETY: `config` has the layout of `struct loop_config`, which the kernel only reads.
        let done = unsafe {
            libc::ioctl(
                device.as_raw_fd(),
                LOOP_CONFIGURE,
                std::ptr::from_ref(&config),
            )
        };
        if done == 0 {
            // What an earlier user of the device may have left.
            partition::forget_all(&kernel_name, &device)?;
            return Ok(LoopDisk {
                number: DeviceNumber {
                    major: LOOP_MAJOR,
                    minor,
                },
                kernel_name,
                device,
            });
        }
        let error = io::Error::last_os_error();
        // Someone else got it first.
        if error.raw_os_error() != Some(libc::EBUSY) {
            return Err(error);
        }
    }
    Err(io::Error::other("no loop device is free"))
}

/// The loop devices whose files lie under `folder`, by the kernel's names, each with its file.
pub(crate) fn attached_under(folder: &Path) -> Vec<(String, PathBuf)> {
    attached()
        .into_iter()
        .filter(|(_, file)| file.starts_with(folder))
        .collect()
}

/// All loop devices in use, by the kernel's names, each with its file.
pub(crate) fn attached() -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if let Some(file) = backing_file(&name) {
            found.push((name, file));
        }
    }
    found.sort();
    found
}

/// Whether a loop device is in use.
pub(crate) fn is_attached(kernel_name: &str) -> bool {
    backing_file(kernel_name).is_some()
}

fn backing_file(kernel_name: &str) -> Option<PathBuf> {
    // Only a device in use has this file. A deleted backing file is marked behind its path.
    let file = fs::read_to_string(format!("/sys/block/{kernel_name}/loop/backing_file")).ok()?;
    let file = file.trim_end_matches('\n').trim_end_matches(" (deleted)");
    Some(PathBuf::from(file))
}

/// Waits until no loop device uses a file under `folder`, and after a while helps.
///
/// The last user may be a mount of a sandbox that has just ended: the kernel takes those down behind
/// the scenes.
pub(crate) fn detach_under(folder: &Path, patience: Duration) -> io::Result<()> {
    let begun = Instant::now();
    crate::gc::retry(patience, || {
        let attached = attached_under(folder);
        if begun.elapsed() > DETACH_GRACE {
            for (name, _) in &attached {
                if let Ok(device) = File::open(format!("/dev/{name}")) {
                    clear(device.as_raw_fd());
                }
            }
        }
        match attached.first() {
            None => Ok(()),
            Some((name, file)) => Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!("/dev/{name} still uses {}", file.display()),
            )),
        }
    })
}

fn clear(device: RawFd) {
    // SAFETY: takes no argument. It fails where the device has just detached, which is as good.
    unsafe { libc::ioctl(device, LOOP_CLR_FD) };
}

/// `struct loop_config` with `struct loop_info64` within. Only what is set here has a name of its own.
#[repr(C)]
#[derive(Default)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    before_flags: [u64; 5],
    lo_number: u32,
    encrypt: [u32; 2],
    flags: u32,
    names: [[u8; 32]; 5],
    init: [u64; 2],
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<LoopConfig>() == 304, "as the kernel has it");

/// `struct loop_info64`. Only what is set here has a name of its own.
#[repr(C)]
#[derive(Default)]
struct LoopInfo {
    before: [u64; 4],
    size_limit: u64,
    numbers: [u32; 4],
    names: [[u8; 32]; 5],
    init: [u64; 2],
}

const _: () = assert!(size_of::<LoopInfo>() == 232, "as the kernel has it");
