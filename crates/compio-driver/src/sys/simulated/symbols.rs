//! Functions of the C library for a test binary: clocks, random bytes and the start of threads, answered by the current host.
//!
//! Any code of the process calls them, on any thread: an allocator, a signal handler, a destructor of a thread-local value. So
//! each begins with one thread-local value that has no destructor, and none panics. Without a current host they make a system
//! call, or call the real function: nothing is cached, and nothing is called before it exists.

use std::{cell::Cell, ffi::c_void, slice, time::Instant};

// For the macro.
pub use libc::{
    c_int, c_uint, clockid_t, pthread_attr_t, pthread_t, size_t, ssize_t, time_t, timespec, timeval,
};

use super::{
    clocks::{EPOCH, Readings},
    with_current,
    world::World,
};

thread_local! {
    /// The clocks of the current host, if there is one. The virtual time stands still while a host is current.
    static NOW: Cell<Option<Readings>> = const { Cell::new(None) };
}

/// Sets the clocks of this thread. Without readings they are real.
pub(super) fn set_clocks(now: Option<Readings>) {
    NOW.set(now);
}

/// The time of the current host, if there is one.
#[inline]
pub(super) fn now() -> Option<Instant> {
    NOW.get().map(|now| now.instant)
}

/// The reading of the monotonic clock at the virtual time zero. It is a real one if the binary does not define the symbols.
pub(super) fn first_instant() -> Instant {
    let first = Readings {
        instant: Instant::now(),
        monotonic: EPOCH,
        wall: EPOCH,
    };
    let before = NOW.replace(Some(first));
    let first = Instant::now();
    NOW.set(before);
    first
}

// Its documentation is in `compio::sim`.
#[doc(hidden)]
#[macro_export]
macro_rules! override_libc {
    () => {
        const _: () = {
            use $crate::os::simulated::symbols;

            #[unsafe(no_mangle)]
            unsafe extern "C" fn clock_gettime(
                clock: symbols::clockid_t,
                time: *mut symbols::timespec,
            ) -> symbols::c_int {
                // SAFETY: the contract is the same.
                unsafe { symbols::clock_gettime(clock, time) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn gettimeofday(
                time: *mut symbols::timeval,
                _zone: *mut ::core::ffi::c_void,
            ) -> symbols::c_int {
                // SAFETY: the contract is the same.
                unsafe { symbols::gettimeofday(time) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn time(time: *mut symbols::time_t) -> symbols::time_t {
                // SAFETY: the contract is the same.
                unsafe { symbols::time(time) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn getrandom(
                buffer: *mut ::core::ffi::c_void,
                len: symbols::size_t,
                flags: symbols::c_uint,
            ) -> symbols::ssize_t {
                // SAFETY: the contract is the same.
                unsafe { symbols::getrandom(buffer, len, flags) }
            }

            // Without the dynamic linker there is no way to the real function.
            #[cfg(target_env = "gnu")]
            #[unsafe(no_mangle)]
            unsafe extern "C" fn pthread_create(
                thread: *mut symbols::pthread_t,
                attributes: *const symbols::pthread_attr_t,
                start: symbols::Start,
                argument: *mut ::core::ffi::c_void,
            ) -> symbols::c_int {
                // SAFETY: the contract is the same.
                unsafe { symbols::pthread_create(thread, attributes, start, argument) }
            }
        };
    };
}

/// As clock_gettime(2). CPU times are real.
///
/// # Safety
///
/// The pointer is valid for a write.
pub unsafe fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    let now = NOW.get().and_then(|now| match clock {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => Some(now.wall),
        libc::CLOCK_MONOTONIC
        | libc::CLOCK_MONOTONIC_RAW
        | libc::CLOCK_MONOTONIC_COARSE
        | libc::CLOCK_BOOTTIME => Some(now.monotonic),
        _ => None,
    });
    match now {
        Some(now) => {
            let now = timespec {
                tv_sec: now.as_secs() as time_t,
                tv_nsec: now.subsec_nanos() as libc::c_long,
            };
            // SAFETY: by the contract of this function.
            unsafe { time.write(now) };
            0
        }
        // SAFETY: the call writes to the pointer only, which is valid by the contract of this function.
        None => unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) as c_int },
    }
}

/// The wall clock.
fn wall_clock() -> timespec {
    let mut now = timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a pointer to a local value. The call cannot fail.
    unsafe { clock_gettime(libc::CLOCK_REALTIME, &mut now) };
    now
}

/// As gettimeofday(2), without a time zone.
///
/// # Safety
///
/// The pointer is null, or valid for a write.
pub unsafe fn gettimeofday(time: *mut timeval) -> c_int {
    let now = wall_clock();
    if !time.is_null() {
        let now = timeval {
            tv_sec: now.tv_sec,
            tv_usec: (now.tv_nsec / 1000) as libc::suseconds_t,
        };
        // SAFETY: by the contract of this function.
        unsafe { time.write(now) };
    }
    0
}

/// As time(2).
///
/// # Safety
///
/// As for [`gettimeofday`].
pub unsafe fn time(time: *mut time_t) -> time_t {
    let now = wall_clock().tv_sec;
    if !time.is_null() {
        // SAFETY: by the contract of this function.
        unsafe { time.write(now) };
    }
    now
}

/// As getrandom(2). The bytes are those of a random stream of the host.
///
/// # Safety
///
/// The buffer is valid for writes of this length.
pub unsafe fn getrandom(buffer: *mut c_void, len: size_t, flags: c_uint) -> ssize_t {
    if len > 0 && NOW.get().is_some() {
        let buffer = buffer.cast::<u8>();
        // SAFETY: the buffer is valid by the contract of this function, and initialized first.
        let bytes = unsafe {
            buffer.write_bytes(0, len);
            slice::from_raw_parts_mut(buffer, len)
        };
        let filled = with_current(|world, host| world.fill_random(host, bytes));
        if filled.flatten().is_some() {
            return len as ssize_t;
        }
    }
    // SAFETY: the call writes to the buffer only, which is valid by the contract of this function.
    unsafe { libc::syscall(libc::SYS_getrandom, buffer, len, flags) as ssize_t }
}

/// The function of a thread.
#[cfg(target_env = "gnu")]
pub type Start = extern "C" fn(*mut c_void) -> *mut c_void;

/// As pthread_create(3). A host gets EAGAIN, and the run fails.
///
/// # Safety
///
/// As of the function of the C library.
#[cfg(target_env = "gnu")]
pub unsafe fn pthread_create(
    thread: *mut pthread_t,
    attributes: *const pthread_attr_t,
    start: Start,
    argument: *mut c_void,
) -> c_int {
    type Real =
        unsafe extern "C" fn(*mut pthread_t, *const pthread_attr_t, Start, *mut c_void) -> c_int;
    if NOW.get().is_some() {
        with_current(World::refuse_thread);
        return libc::EAGAIN;
    }
    // SAFETY: a name that ends with a null byte. The result is the next definition, after the one of the binary.
    let real = unsafe { libc::dlsym(libc::RTLD_NEXT, c"pthread_create".as_ptr()) };
    if real.is_null() {
        return libc::EAGAIN;
    }
    // SAFETY: the definition of the C library has this type.
    let real = unsafe { std::mem::transmute::<*mut c_void, Real>(real) };
    // SAFETY: the contract is the same.
    unsafe { real(thread, attributes, start, argument) }
}
