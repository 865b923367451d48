//! The system calls that a sandbox does without, and those that its supervisor makes in its place.
//!
//! What is refused would change the host whatever namespace it comes from, or has been a way out of
//! sandboxes. It is refused with an error and kills nobody, except programs of another architecture than
//! the host's own (32-bit ones): they are ended, since their calls have other numbers.
//!
//! New mounts are put to the supervisor, which makes them itself if their kind is harmless, see
//! [`crate::mount_broker`]. A filter cannot read the kind, which lies behind a pointer. All that changes
//! existing mounts goes on to the kernel: the ones that matter are locked, see [`crate::root::lock`].

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

use crate::trouble::{Trouble, While};

/// Refused with `EPERM`, whatever their arguments.
const REFUSED: &[libc::c_long] = &[
    // The kernel of the host, and its power.
    libc::SYS_kexec_load,
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    // Its memory and its clock.
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    // A handle names a file of a file system past all mounts.
    libc::SYS_open_by_handle_at,
    // Parts of the kernel that know no namespaces.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_nfsservctl,
    libc::SYS_lookup_dcookie,
    // As `sched_setscheduler` below; its arguments lie behind a pointer.
    libc::SYS_sched_setattr,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
];

/// Refused with `ENOSYS`: programs then use the older call, whose arguments a filter can judge. The flags
/// of `clone3` and the kind of file system of `fsopen` it cannot see.
const UNKNOWN: &[libc::c_long] = &[libc::SYS_clone3, libc::SYS_fsopen, libc::SYS_fspick];

/// In a mount's flags: a change of a mount that is there. They win over a new mount.
const CHANGE: u32 = (libc::MS_REMOUNT | libc::MS_BIND | libc::MS_MOVE) as u32;
/// The same for its propagation.
const PROPAGATION: u32 =
    (libc::MS_SHARED | libc::MS_PRIVATE | libc::MS_SLAVE | libc::MS_UNBINDABLE) as u32;
/// A mark of old programs in the upper half of a mount's flags: where it stands, the kernel ignores that
/// half.
const OLD_MARK: u32 = 0xC0ED_0000;
/// Of `linux/seccomp.h`: a signal does not take back what the supervisor is already at.
const WAIT_KILLABLE: libc::c_ulong = 1 << 5;
/// System calls of the x32 ABI have this bit in their numbers.
const X32: u32 = 0x4000_0000;

/// Puts this process, and all it will start, under the filters. Returns the descriptor on which new
/// mounts are reported.
pub(crate) fn install() -> Result<OwnedFd, Trouble> {
    for (calls, error) in [(REFUSED, libc::EPERM), (UNKNOWN, libc::ENOSYS)] {
        let filter = refuse(calls, error, &[]).doing("write a filter")?;
        load(&filter, 0).doing("refuse system calls")?;
    }
    let user = libc::CLONE_NEWUSER.cast_unsigned();
    let vsock = libc::AF_VSOCK.cast_unsigned();
    let real_time = |policy: i32| Argument {
        index: 1,
        mask: 0xF,
        value: policy.cast_unsigned(),
    };
    let first = |mask, value| Argument {
        index: 0,
        mask,
        value,
    };
    let by_argument = [
        // A user namespace gives back what was taken.
        (libc::SYS_unshare, vec![first(user, user)]),
        (libc::SYS_clone, vec![first(user, user)]),
        // The way to the hypervisor, which knows no network namespace.
        (libc::SYS_socket, vec![first(u32::MAX, vsock)]),
        // What runs in real time starves the host, whatever its share is.
        (
            libc::SYS_sched_setscheduler,
            vec![real_time(libc::SCHED_FIFO), real_time(libc::SCHED_RR)],
        ),
    ];
    let filter = refuse(&[], libc::EPERM, &by_argument).doing("write a filter")?;
    load(&filter, 0).doing("refuse system calls")?;
    let reports = report_new_mounts();
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let listener = load(&reports, flags | WAIT_KILLABLE)
        // Kernels before 5.19 have no such flag.
        .or_else(|_| load(&reports, flags))
        .doing("report mounts to the supervisor")?;
    // SAFETY: the kernel has just made this descriptor for us, and nothing else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(listener) })
}

/// An argument of a call: `value` in the bits of `mask`.
struct Argument {
    index: u8,
    mask: u32,
    value: u32,
}

/// A filter that answers these calls with `error`, and others where an argument is so.
fn refuse(
    calls: &[libc::c_long],
    error: i32,
    by_argument: &[(libc::c_long, Vec<Argument>)],
) -> io::Result<BpfProgram> {
    let mut rules = Vec::new();
    for call in calls {
        rules.push((*call, Vec::new()));
    }
    for (call, arguments) in by_argument {
        let rule = |argument: &Argument| {
            SeccompCondition::new(
                argument.index,
                SeccompCmpArgLen::Dword,
                SeccompCmpOp::MaskedEq(argument.mask.into()),
                argument.value.into(),
            )
            .and_then(|condition| SeccompRule::new(vec![condition]))
        };
        let of_call: Result<_, _> = arguments.iter().map(rule).collect();
        rules.push((*call, of_call.map_err(io::Error::other)?));
    }
    let architecture: TargetArch = std::env::consts::ARCH
        .try_into()
        .map_err(io::Error::other)?;
    SeccompFilter::new(
        rules.into_iter().collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(error.cast_unsigned()),
        architecture,
    )
    .and_then(TryInto::try_into)
    .map_err(io::Error::other)
}

/// The filter that reports new mounts. Written out, since the crate knows no such answer.
fn report_new_mounts() -> BpfProgram {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    const IF_ANY: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
    const ANSWER: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    // Offsets in `struct seccomp_data`: the number, and the lower half of the fourth argument.
    let (number, flags) = (0, if cfg!(target_endian = "big") { 44 } else { 40 });
    let mount = u32::try_from(libc::SYS_mount).unwrap_or_default();
    let not_there = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned();
    // Each with where it jumps, counted from the next one, if it holds and if not.
    [
        (LOAD, 0, 0, number),
        (IF_AT_LEAST, 9, 0, X32),
        (IF_EQUAL, 0, 7, mount),
        (LOAD, 0, 0, flags),
        (IF_ANY, 5, 0, CHANGE),
        (AND, 0, 0, 0xFFFF_0000),
        (IF_EQUAL, 2, 0, OLD_MARK),
        // What is left of the flags still holds those of propagation.
        (IF_ANY, 2, 0, PROPAGATION),
        (ANSWER, 0, 0, libc::SECCOMP_RET_USER_NOTIF),
        (ANSWER, 0, 0, libc::SECCOMP_RET_USER_NOTIF),
        (ANSWER, 0, 0, libc::SECCOMP_RET_ALLOW),
        (ANSWER, 0, 0, not_there),
    ]
    .into_iter()
    .map(|(code, jt, jf, k)| sock_filter { code, jt, jf, k })
    .collect()
}

/// Loads a filter. Unlike the crate's own function it does not make `sudo` powerless on the way.
fn load(program: &[sock_filter], flags: libc::c_ulong) -> io::Result<RawFd> {
    #[repr(C)]
    struct Program {
        length: u16,
        instructions: *const sock_filter,
    }
    let program = Program {
        length: u16::try_from(program.len()).map_err(io::Error::other)?,
        instructions: program.as_ptr(),
    };
    // SAFETY: `Program` has the layout of `struct sock_fprog`, and what it points to outlives the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            std::ptr::from_ref(&program),
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    RawFd::try_from(done).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program answers to a call, by running it.
    fn answer(number: u32, flags: u32) -> u32 {
        let program = report_new_mounts();
        let (mut at, mut register) = (0, 0);
        loop {
            let step = &program[at];
            at += 1;
            let jump = |holds: bool| usize::from(if holds { step.jt } else { step.jf });
            match u32::from(step.code) {
                0x20 => register = if step.k == 0 { number } else { flags },
                0x54 => register &= step.k,
                0x15 => at += jump(register == step.k),
                0x35 => at += jump(register >= step.k),
                0x45 => at += jump(register & step.k != 0),
                0x06 => return step.k,
                other => panic!("no such instruction: {other:#x}"),
            }
        }
    }

    #[test]
    fn exactly_new_mounts_are_reported() {
        let mount = u32::try_from(libc::SYS_mount).expect("a number");
        let reported = |flags: u64| {
            let flags = u32::try_from(flags).expect("flags");
            answer(mount, flags) == libc::SECCOMP_RET_USER_NOTIF
        };
        assert!(reported(0));
        assert!(reported(
            libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NOATIME
        ));
        // The mark holds the bits of propagation, which then do not count.
        assert!(reported(u64::from(OLD_MARK)));
        assert!(reported(u64::from(OLD_MARK) | libc::MS_RDONLY));
        for change in [
            libc::MS_BIND,
            libc::MS_BIND | libc::MS_REC,
            libc::MS_REMOUNT | libc::MS_RDONLY,
            libc::MS_MOVE,
            libc::MS_PRIVATE | libc::MS_REC,
            libc::MS_SHARED,
            libc::MS_BIND | u64::from(OLD_MARK),
        ] {
            assert!(!reported(change), "{change:#x}");
        }
        let open = u32::try_from(libc::SYS_openat).expect("a number");
        assert_eq!(answer(open, 0), libc::SECCOMP_RET_ALLOW);
        assert_eq!(
            answer(X32 | mount, 0) & libc::SECCOMP_RET_ACTION_FULL,
            libc::SECCOMP_RET_ERRNO
        );
    }
}
