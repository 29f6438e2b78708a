//! System calls that a seccomp filter refuses, or another thread decides about.
//!
//! A filter is permanent. It holds for the thread that sets it, and for the threads and children that
//! this thread starts later.

use std::{
    io, mem,
    os::fd::{FromRawFd, OwnedFd},
};

/// From now on this system call fails with this error on this thread. The code makes two system calls
/// and allocates nothing, unless they fail: it may run in a child before its exec.
pub fn refuse(call: libc::c_long, error: i32) {
    let mut steps = [
        step(LOAD, 0, 0, number_at()),
        step(IS_EQUAL, 0, 1, call as u32),
        step(libc::BPF_RET, 0, 0, libc::SECCOMP_RET_ERRNO | error as u32),
        step(libc::BPF_RET, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    set(&mut steps, 0);
}

/// From now on each other system call of this thread kills the process by SIGSYS.
pub fn allow_only(calls: &[libc::c_long]) {
    let mut steps = vec![step(LOAD, 0, 0, number_at())];
    for (index, call) in calls.iter().enumerate() {
        // Jumps over the other comparisons and the instruction that kills.
        let ahead = calls.len() - index;
        steps.push(step(IS_EQUAL, ahead as u8, 0, *call as u32));
    }
    let kill = libc::SECCOMP_RET_KILL_PROCESS;
    steps.push(step(libc::BPF_RET, 0, 0, kill));
    steps.push(step(libc::BPF_RET, 0, 0, libc::SECCOMP_RET_ALLOW));
    set(&mut steps, 0);
}

/// From now on poll(2) fails with this error on this thread. On architectures without the call, the
/// same function of the C library calls ppoll(2).
pub fn refuse_poll(error: i32) {
    #[cfg(target_arch = "x86_64")]
    refuse(libc::SYS_poll, error);
    refuse(libc::SYS_ppoll, error);
}

/// From now on the owner of the returned descriptor decides about these system calls of this thread.
pub fn listen(calls: &[libc::c_long]) -> OwnedFd {
    let mut steps = vec![step(LOAD, 0, 0, number_at())];
    for (index, call) in calls.iter().enumerate() {
        // Jumps over the other comparisons and the instruction that allows the call.
        let ahead = calls.len() - index;
        steps.push(step(IS_EQUAL, ahead as u8, 0, *call as u32));
    }
    steps.push(step(libc::BPF_RET, 0, 0, libc::SECCOMP_RET_ALLOW));
    steps.push(step(libc::BPF_RET, 0, 0, libc::SECCOMP_RET_USER_NOTIF));
    let listener = set(&mut steps, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
    // SAFETY: the descriptor is new.
    unsafe { OwnedFd::from_raw_fd(listener as i32) }
}

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const IS_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;

/// The place of the call's number.
fn number_at() -> u32 {
    mem::offset_of!(libc::seccomp_data, nr) as u32
}

fn step(code: u32, if_true: u8, if_false: u8, value: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: if_true,
        jf: if_false,
        k: value,
    }
}

/// Sets the filter, and returns the result of the call.
fn set(steps: &mut [libc::sock_filter], flags: libc::c_ulong) -> libc::c_long {
    let program = libc::sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: the program outlives the call, which copies it.
    let result = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    assert!(result >= 0, "{}", io::Error::last_os_error());
    result
}
