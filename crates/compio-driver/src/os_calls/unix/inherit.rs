//! Descriptors that pass from a process to its child by their numbers, as in systemd's protocol of socket
//! activation (`sd_listen_fds(3)`).

use std::{
    env,
    ffi::{CString, OsStr, OsString, c_char},
    io::{self, Write},
    os::{
        fd::{AsRawFd, FromRawFd},
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    process::{self, Child, Command},
    ptr,
    sync::{Mutex, PoisonError},
};

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_getfd, fcntl_setfd};

use crate::sys::{self, BorrowedFd, OwnedFd, RawFd, in_simulation};

/// The number of the first passed descriptor. The standard streams have the numbers below.
pub const FIRST_PASSED: RawFd = 3;

/// The search path of execvp(3) for an environment without `PATH`.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Takes over descriptors that this process has inherited: all `count`, from the number `first` on. No child
/// process inherits them further. Each number is taken once.
///
/// Descriptors that this process has opened are not taken: Rust opens all with `FD_CLOEXEC`, and an inherited one
/// lacks the flag until it is taken. The caller has checked that its parent passes these numbers to this process.
///
/// # Errors
///
/// `InvalidData` if a number is below [`FIRST_PASSED`], is not open, has the flag, or has been taken already; then
/// none is taken.
pub fn take_inherited(first: RawFd, count: usize) -> io::Result<Vec<OwnedFd>> {
    in_simulation!(refuse_here("inherited descriptors"));
    // The flag is not enough: the new owner may clear it, to pass the descriptor to a child.
    static TAKEN: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let numbers = || (first..=RawFd::MAX).take(count);
    for number in numbers() {
        if let Some(problem) = obstacle(number, &taken) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the descriptor {number} {problem}"),
            ));
        }
    }
    taken.extend(numbers());
    let take = |number| {
        // SAFETY: it is open. It has no owner in this process: an owner that has opened it has set the flag that is
        // missing, and an owner that has taken it has left its number in the list.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
        Ok(fd)
    };
    numbers().map(take).collect()
}

/// The reason why a number cannot be taken.
fn obstacle(number: RawFd, taken: &[RawFd]) -> Option<&'static str> {
    if number < FIRST_PASSED {
        return Some("is a standard stream, or no descriptor");
    }
    if taken.contains(&number) {
        return Some("has been taken already");
    }
    // SAFETY: the number is used for one call, which fails if it is not open.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    match fcntl_getfd(fd) {
        Err(_) => Some("is not open"),
        Ok(flags) if flags.contains(FdFlags::CLOEXEC) => Some("is not inherited"),
        Ok(_) => None,
    }
}

/// Whether a socket is in the state of listen(2) (`SO_ACCEPTCONN`). On Apple systems, which lack the option,
/// whether it has no peer.
pub fn is_listening(socket: BorrowedFd<'_>) -> io::Result<bool> {
    in_simulation!(socket => is_listening());
    sys::is_listening(socket.as_raw_fd()).map_err(io::Error::from_raw_os_error)
}

/// A program with its arguments and its whole environment.
#[derive(Debug)]
pub struct Program {
    /// Searched for in the `PATH` of its environment, unless it contains a slash.
    pub path: OsString,
    /// Without argument 0, which is the path.
    pub arguments: Vec<OsString>,
    /// The environment. A later variable of a name replaces an earlier one.
    pub variables: Vec<(OsString, OsString)>,
}

impl Program {
    /// Starts the program with the descriptors from [`FIRST_PASSED`] on, and with its process ID in one more variable.
    /// Blocks until the system has started it.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a NUL in a string; the OS errors of fork(2) and execve(2).
    pub fn start_with(&self, descriptors: Vec<OwnedFd>, pid_variable: &str) -> io::Result<Child> {
        in_simulation!(refuse_here("child processes"));
        let reserved = reserve(&descriptors)?;
        let mut exec = Exec::new(self, descriptors, pid_variable)?;
        let mut command = Command::new(&self.path);
        // SAFETY: the closure only makes system calls that are permitted between fork(2) and execve(2). It neither
        // allocates nor takes a lock.
        unsafe { command.pre_exec(move || exec.run()) };
        let child = command.spawn();
        drop(reserved);
        child
    }
}

/// Occupies all free numbers of the passed descriptors. Otherwise `Command` may use one for the pipe through which the
/// child reports an error of execve(2), and the child would overwrite it.
///
/// Another thread can free a number before the fork. Then an error of execve(2) is not reported, and the child ends
/// by itself.
fn reserve(descriptors: &[OwnedFd]) -> io::Result<Vec<OwnedFd>> {
    let mut reserved = Vec::new();
    let Some(any) = descriptors.first() else {
        return Ok(reserved);
    };
    let end = FIRST_PASSED + descriptors.len() as RawFd;
    loop {
        let fd = fcntl_dupfd_cloexec(any, FIRST_PASSED)?;
        if fd.as_raw_fd() >= end {
            return Ok(reserved);
        }
        reserved.push(fd);
    }
}

/// The arguments of execve(2), which are complete before the fork, except for the process ID.
struct Exec {
    descriptors: Vec<OwnedFd>,
    /// The files to try, in the order of the search path.
    paths: Vec<CString>,
    /// The variable up to its `=`, and room for a number and a NUL.
    pid: Vec<u8>,
    pid_start: usize,
    /// The strings that the lists point to.
    _strings: Vec<CString>,
    /// Terminated by a null pointer.
    arguments: Vec<*const c_char>,
    /// Terminated by a null pointer. The first entry is the process ID.
    variables: Vec<*const c_char>,
}

// SAFETY: the pointers lead to the strings of the same value, which nothing changes.
unsafe impl Send for Exec {}
// SAFETY: as above.
unsafe impl Sync for Exec {}

impl Exec {
    fn new(program: &Program, descriptors: Vec<OwnedFd>, pid_variable: &str) -> io::Result<Self> {
        let is_last = |index: usize| {
            let (name, _) = &program.variables[index];
            let later = &program.variables[index + 1..];
            name != pid_variable && later.iter().all(|(other, _)| other != name)
        };
        let mut strings = vec![c_string(&program.path)?];
        for argument in &program.arguments {
            strings.push(c_string(argument)?);
        }
        let arguments_end = strings.len();
        for (index, (name, value)) in program.variables.iter().enumerate() {
            if is_last(index) {
                let variable = [name.as_bytes(), b"=", value.as_bytes()].concat();
                strings.push(c_string(OsStr::from_bytes(&variable))?);
            }
        }
        let pointers = |strings: &[CString]| -> Vec<_> {
            let pointers = strings.iter().map(|string| string.as_ptr());
            pointers.chain([ptr::null()]).collect()
        };
        let arguments = pointers(&strings[..arguments_end]);
        let mut variables = pointers(&strings[arguments_end..]);
        variables.insert(0, ptr::null());
        let mut pid = c_string(format!("{pid_variable}=").as_ref())?.into_bytes();
        let pid_start = pid.len();
        // Zeros: the longest number of 32 bits, and a NUL.
        pid.resize(pid_start + 11, 0);
        Ok(Self {
            descriptors,
            paths: search(program)?,
            pid,
            pid_start,
            _strings: strings,
            arguments,
            variables,
        })
    }

    /// Replaces the program of this process, which is the child. Returns the error.
    fn run(&mut self) -> io::Result<()> {
        let end = FIRST_PASSED + self.descriptors.len() as RawFd;
        for fd in &mut self.descriptors {
            // To a number that is no target of another one. The old number is closed in this process only.
            *fd = fcntl_dupfd_cloexec(&*fd, end)?;
        }
        for (number, fd) in (FIRST_PASSED..).zip(&self.descriptors) {
            // SAFETY: no code of this process uses the number any more. `reserve` has kept it free of the pipe of
            // `Command`. The duplicate has no `FD_CLOEXEC`.
            if unsafe { libc::dup2(fd.as_raw_fd(), number) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        // The room is enough for any number.
        write!(&mut self.pid[self.pid_start..], "{}", process::id())?;
        self.variables[0] = self.pid.as_ptr().cast();
        let mut error = io::Error::from_raw_os_error(libc::ENOENT);
        for path in &self.paths {
            // SAFETY: both lists end with a null pointer, and point to strings of this value.
            unsafe {
                libc::execve(
                    path.as_ptr(),
                    self.arguments.as_ptr(),
                    self.variables.as_ptr(),
                );
            }
            let failure = io::Error::last_os_error();
            match failure.raw_os_error() {
                // As execvp(3): another directory may have the program.
                Some(libc::ENOENT | libc::ENOTDIR) => {}
                Some(libc::EACCES) => error = failure,
                _ => return Err(failure),
            }
        }
        Err(error)
    }
}

/// The files that may be the program.
fn search(program: &Program) -> io::Result<Vec<CString>> {
    if program.path.as_bytes().contains(&b'/') {
        return Ok(vec![c_string(&program.path)?]);
    }
    let last = program.variables.iter().rfind(|(name, _)| name == "PATH");
    let path = last.map_or(OsStr::new(DEFAULT_PATH), |(_, path)| path);
    env::split_paths(path)
        .map(|directory| c_string(directory.join(&program.path).as_os_str()))
        .collect()
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn numbers_of_no_inherited_descriptor_are_refused() {
        let (_reader, own) = io::pipe().unwrap();
        for (first, count) in [
            (0, 1),
            (2, 1),
            (-1, 1),
            (RawFd::MIN, 1),
            (RawFd::MAX, 2),
            (own.as_raw_fd(), 1),
        ] {
            let error = take_inherited(first, count).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        }
        assert!(take_inherited(RawFd::MAX, 0).unwrap().is_empty());
    }
}
