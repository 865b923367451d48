//! The devices cgroup of version 2: a program in the kernel that is asked about every use of a device.
//!
//! It is a list of comparisons, written out for each device that is allowed; there is no loop and no
//! table to keep. Instruction and attribute layouts are those of `linux/bpf.h`.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use crate::wire::DeviceNumber;

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const DEVICE_BLOCK: i32 = 1;
const DEVICE_CHARACTER: i32 = 2;

/// Restricts the processes of the cgroup, and of all below it, to these devices. Replaces what was
/// attached there before; nothing below may attach another.
pub(crate) fn attach(
    directory: &Path,
    characters: &[(u32, Option<u32>)],
    blocks: &[DeviceNumber],
) -> io::Result<()> {
    let cgroup = File::open(directory)?;
    let program = load(&program(characters, blocks))?;
    let mut attributes = AttachAttributes {
        target: cgroup.as_raw_fd(),
        program: program.as_raw_fd(),
        attach_type: BPF_CGROUP_DEVICE,
        flags: 0,
    };
    bpf(BPF_PROG_ATTACH, &mut attributes)?;
    Ok(())
}

/// One instruction.
#[repr(C)]
#[derive(Clone, Copy)]
struct Instruction {
    code: u8,
    /// The destination in the low half, the source in the high half.
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// What precedes the part of `union bpf_attr` for loading that stays zero.
#[repr(C)]
struct LoadAttributes {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
}

/// The same for attaching.
#[repr(C)]
struct AttachAttributes {
    target: RawFd,
    program: RawFd,
    attach_type: u32,
    flags: u32,
}

fn load(instructions: &[Instruction]) -> io::Result<OwnedFd> {
    let license = c"Apache-2.0";
    let mut attributes = LoadAttributes {
        program_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        instruction_count: u32::try_from(instructions.len()).map_err(io::Error::other)?,
        instructions: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buffer: 0,
    };
    let program = bpf(BPF_PROG_LOAD, &mut attributes)?;
    // SAFETY: the kernel has just made this descriptor for us, and nothing else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(program) })
}

fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<RawFd> {
    // SAFETY: `attributes` is a `repr(C)` prefix of `union bpf_attr` of the size given, and what it
    // points to outlives the call; the kernel takes what is missing as zero.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attributes),
            size_of::<T>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    RawFd::try_from(result).map_err(io::Error::other)
}

/// Register 1 comes in as the address of `{ access << 16 | type, major, minor }`; register 0 goes out as
/// 1 to allow and 0 to deny.
fn program(characters: &[(u32, Option<u32>)], blocks: &[DeviceNumber]) -> Vec<Instruction> {
    let instruction = |code, registers, offset, immediate| Instruction {
        code,
        registers,
        offset,
        immediate,
    };
    let load_word = |to: u8, offset| instruction(0x61, 0x10 | to, offset, 0);
    let skip_unless_equal =
        |register: u8, value: i32, skip| instruction(0x55, register, skip, value);
    let answer = |value| [instruction(0xb7, 0, 0, value), instruction(0x95, 0, 0, 0)];

    let mut code = vec![
        load_word(2, 0),
        // Only the kind of device, not what is done to it: what is allowed is allowed in full.
        instruction(0x57, 2, 0, 0xffff),
        load_word(3, 4),
        load_word(4, 8),
    ];
    let characters = characters
        .iter()
        .map(|(major, minor)| (DEVICE_CHARACTER, *major, *minor));
    let blocks = blocks
        .iter()
        .map(|number| (DEVICE_BLOCK, number.major, Some(number.minor)));
    for (kind, major, minor) in characters.chain(blocks) {
        // To the next device are left: the comparisons still to come, and the two of the answer.
        let minors = i16::from(minor.is_some());
        code.push(skip_unless_equal(2, kind, 3 + minors));
        code.push(skip_unless_equal(3, major.cast_signed(), 2 + minors));
        if let Some(minor) = minor {
            code.push(skip_unless_equal(4, minor.cast_signed(), 2));
        }
        code.extend(answer(1));
    }
    code.extend(answer(0));
    code
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    /// Runs a shell script in the cgroup.
    fn run_in(cgroup: &Path, script: &str) -> bool {
        let script = format!("echo $$ > {}/cgroup.procs && {script}", cgroup.display());
        Command::new("sh")
            .args(["-c", &script])
            .status()
            .expect("a shell")
            .success()
    }

    /// On a host of version 1 too: the program needs a cgroup of version 2, and no controller.
    #[test]
    fn only_listed_devices_can_be_used() {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
        let parent = mounts
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .find(|fields| fields[2] == "cgroup2")
            .map(|fields| Path::new(fields[1]).to_owned());
        let Some(parent) = parent.filter(|_| rustix::process::geteuid().is_root()) else {
            println!("SKIP only_listed_devices_can_be_used: needs root and a cgroup2 mount");
            let full = std::env::var_os("DVA_FULL").is_some_and(|value| value == "1");
            assert!(!full, "may not be skipped");
            return;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let cgroup = parent.join(format!("dva-program-{}", std::process::id()));
        fs::create_dir(&cgroup).expect("a cgroup");
        let node = folder.path().join("node");
        let make = |number: &str| format!("rm -f {0}; mknod {0} {number}", node.display());
        let read = format!("head -c 0 {}", node.display());
        let before = [
            run_in(&cgroup, &make("b 7 0")),
            run_in(&cgroup, &format!("{} && {read}", make("c 1 5"))),
        ];

        let blocks = |minors: &[u32]| -> Vec<_> {
            minors
                .iter()
                .map(|minor| DeviceNumber {
                    major: 7,
                    minor: *minor,
                })
                .collect()
        };
        let characters = [(1, Some(3)), (136, None)];
        attach(&cgroup, &characters, &blocks(&[1, 3])).expect("a program");
        let listed = [
            run_in(&cgroup, &make("b 7 1")),
            run_in(&cgroup, &make("b 7 3")),
            run_in(&cgroup, &format!("{} && {read}", make("c 1 3"))),
            run_in(&cgroup, &make("c 136 77")),
        ];
        let others = [
            run_in(&cgroup, &make("b 7 2")),
            run_in(&cgroup, &make("b 1 3")),
            run_in(&cgroup, &make("c 7 1")),
            run_in(&cgroup, &make("c 1 5")),
            run_in(&cgroup, &make("b 8 1")),
        ];
        // Replaced, not added to.
        attach(&cgroup, &characters, &blocks(&[2])).expect("a program");
        let (now, gone) = (
            run_in(&cgroup, &make("b 7 2")),
            run_in(&cgroup, &make("b 7 1")),
        );
        fs::remove_dir(&cgroup).expect("an empty cgroup");
        assert_eq!(before, [true; 2]);
        assert_eq!(listed, [true; 4]);
        assert_eq!(others, [false; 5]);
        assert_eq!((now, gone), (true, false));
    }
}
