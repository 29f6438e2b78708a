//! Threads that can be started in a child of `fork`.

use std::{ffi::c_void, io, mem::MaybeUninit, ptr, thread};

use crate::{per_process::Process, sys::in_simulation};

/// Starts a detached thread. Panics must not leave `code`.
///
/// # Errors
///
/// The OS error of pthread_create(3), for instance `WouldBlock` if a limit on threads is reached.
pub fn start_thread(name: &str, code: impl FnOnce() + Send + 'static) -> io::Result<()> {
    in_simulation!(refuse_here("threads"));
    if Process::is_first() {
        let builder = thread::Builder::new().name(name.into());
        return builder.spawn(code).map(drop);
    }
    // A thread of std takes a lock at its start, for its guard page (`stack_overflow::thread_info`). A
    // thread of the parent may have held that lock at the fork, and no thread releases it in the child.
    start_plainly(Box::new(Box::new(code)))
}

type Code = Box<dyn FnOnce() + Send>;

fn start_plainly(code: Box<Code>) -> io::Result<()> {
    let code = Box::into_raw(code);
    let mut attributes = MaybeUninit::uninit();
    let mut started = MaybeUninit::uninit();
    // SAFETY: the attributes are initialised before they are used, and destroyed once. `run` gets the
    // only pointer to the code.
    let error = unsafe {
        let attributes: *mut libc::pthread_attr_t = attributes.as_mut_ptr();
        match libc::pthread_attr_init(attributes) {
            0 => {
                libc::pthread_attr_setdetachstate(attributes, libc::PTHREAD_CREATE_DETACHED);
                let error =
                    libc::pthread_create(started.as_mut_ptr(), attributes, run, code.cast());
                libc::pthread_attr_destroy(attributes);
                error
            }
            error => error,
        }
    };
    if error == 0 {
        return Ok(());
    }
    // SAFETY: the thread has not started, so this is the only owner.
    drop(unsafe { Box::from_raw(code) });
    Err(io::Error::from_raw_os_error(error))
}

extern "C" fn run(code: *mut c_void) -> *mut c_void {
    // SAFETY: made by `start_plainly`, for this call.
    let code: Box<Code> = unsafe { Box::from_raw(code.cast()) };
    code();
    ptr::null_mut()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn plain_thread_runs_its_code() {
        let (done, is_done) = mpsc::channel();
        start_plainly(Box::new(Box::new(move || done.send(42).unwrap()))).unwrap();
        assert_eq!(is_done.recv().unwrap(), 42);
    }
}
