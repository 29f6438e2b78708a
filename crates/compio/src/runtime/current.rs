//! The thread's current runtime.

use std::{
    cell::{Cell, RefCell},
    io, ptr,
    rc::Rc,
    thread,
};

use compio_executor::set_occupied;

use super::{Inner, Runtime};

thread_local! {
    /// The entered runtime: null, or from `Rc::into_raw`. Without a destructor, so that it is accessible until
    /// the very end of the thread: every `Entered` guard is dropped by then.
    static ENTERED: Cell<*const Inner> = const { Cell::new(ptr::null()) };
    /// The thread's own runtime, which is made on first use and ends with the thread.
    static OWN: RefCell<Option<Own>> = const { RefCell::new(None) };
}

/// The entered runtime, or the thread's own.
pub(crate) fn current() -> Rc<Inner> {
    entered().unwrap_or_else(|| {
        or_panic(own().expect(
            "the thread is ending and has dropped its runtime: use `compio::task::block_on`, or a \
             `Runtime` of your own",
        ))
    })
}

/// Calls `code` with the entered runtime, or with the thread's own. Costs less than [`current`], which makes a handle.
#[inline]
pub(crate) fn with_current<T>(code: impl FnOnce(&Inner) -> T) -> T {
    let entered = ENTERED.get();
    if entered.is_null() {
        return code(&current());
    }
    // SAFETY: it comes from the `Rc` of an `Entered` guard, further up this stack. The guard outlives this call, and a
    // guard that is nested inside of `code` keeps the `Rc` until it is dropped.
    code(unsafe { &*entered })
}

/// Calls `code` with the entered runtime, if there is one. As cheap as [`with_current`].
#[cfg(any(feature = "net", feature = "test-util"))]
#[inline]
pub(crate) fn with_entered<T>(code: impl FnOnce(&Inner) -> T) -> Option<T> {
    // SAFETY: as in `with_current`.
    unsafe { ENTERED.get().as_ref() }.map(code)
}

/// The entered runtime, without the cost of a handle.
///
/// # Safety
///
/// The reference is not used after the return of the function that calls this, nor across an await.
#[inline]
pub(crate) unsafe fn entered_ref<'a>() -> Option<&'a Inner> {
    // SAFETY: as in `with_current`, by this function's contract.
    unsafe { ENTERED.get().as_ref() }
}

/// Whether another runtime than this one has been entered.
#[cfg(feature = "time")]
pub(crate) fn is_foreign(runtime: &Rc<Inner>) -> bool {
    let entered = ENTERED.get();
    !entered.is_null() && entered != Rc::as_ptr(runtime)
}

/// The entered runtime.
#[inline]
pub(crate) fn entered() -> Option<Rc<Inner>> {
    let entered = ENTERED.get();
    if entered.is_null() {
        return None;
    }
    // SAFETY: it comes from `Rc::into_raw` of an `Rc` that `ENTERED` still owns. The clone has a count of its own.
    unsafe {
        Rc::increment_strong_count(entered);
        Some(Rc::from_raw(entered))
    }
}

/// The entered runtime.
///
/// # Panics
///
/// If no runtime has been entered. `user` names the caller's function.
#[track_caller]
pub(crate) fn entered_for(user: &str) -> Rc<Inner> {
    match entered() {
        Some(runtime) => runtime,
        None => panic!(
            "no runtime is running on this thread: use {user} in `compio::task::block_on` or a task, or \
             enter a runtime by `Runtime::enter`"
        ),
    }
}

/// The entered runtime, or the thread's own if it has been made and not dropped.
pub(crate) fn existing() -> Option<Rc<Inner>> {
    let own = || OWN.try_with(|own| own.borrow().as_ref().and_then(Own::of_this_process));
    entered().or_else(|| own().ok().flatten())
}

/// The thread's own runtime, made on first use. `None` if the ending thread has dropped it.
fn own() -> Option<io::Result<Rc<Inner>>> {
    OWN.try_with(|own| {
        // In a child of `fork`, an existing one is its parent's.
        if let Some(inner) = own.borrow().as_ref().and_then(Own::of_this_process) {
            return Ok(inner);
        }
        let runtime = Runtime::new()?;
        let inner = Rc::clone(&runtime.inner);
        drop(own.replace(Some(Own::new(runtime))));
        Ok(inner)
    })
    .ok()
}

/// Runs a future on the current runtime. If the thread's own is dropped already, a new runtime runs
/// only this future.
#[cfg_attr(feature = "tracing", track_caller)]
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let own = || own().map(or_panic);
    match entered().or_else(own) {
        Some(runtime) => runtime.block_on(future),
        None => or_panic(Runtime::new()).block_on(future),
    }
}

fn or_panic<T>(runtime: io::Result<T>) -> T {
    match runtime {
        Ok(runtime) => runtime,
        Err(error) => panic!("this thread's runtime could not be made: {error}"),
    }
}

/// A thread's own runtime.
///
/// exit(3) runs the destructors of its caller's thread locals before it ends the other threads. Blocking
/// work in the pool ends with these threads, without a wait. This matches std, whose threads end with
/// the process.
struct Own {
    runtime: Runtime,
    /// Whether the end of its thread is the end of the process: true for the main thread.
    ends_with_process: bool,
}

impl Own {
    fn new(runtime: Runtime) -> Self {
        Self {
            runtime,
            // std gives the name only to the main thread, unless a program gives it to another one.
            ends_with_process: thread::current().name() == Some("main"),
        }
    }
}

impl Own {
    /// `None` in a child of `fork`: the runtime is its parent's.
    fn of_this_process(&self) -> Option<Rc<Inner>> {
        let inner = &self.runtime.inner;
        inner.process.is_current().then(|| Rc::clone(inner))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // A destructor that runs inside the loop was called by exit(3), on any thread.
        if self.ends_with_process || self.runtime.inner.running.get() {
            self.runtime.inner.driver.leave_pool();
        }
    }
}

/// While this lives, a runtime is the thread's current one.
pub(super) struct Entered {
    before: Option<Rc<Inner>>,
}

impl Entered {
    pub(super) fn new(inner: &Rc<Inner>) -> Self {
        let before = exchange(Some(Rc::clone(inner)));
        if let Some(before) = &before {
            before.set_current(false);
        }
        inner.set_current(true);
        set_occupied(true);
        Self { before }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.before.take();
        // The caller has it, or `ours` is the last handle.
        let again = before.as_ref().map(Rc::clone);
        let ours = exchange(before);
        if let Some(ours) = &ours {
            ours.set_current(false);
        }
        set_occupied(again.is_some());
        if let Some(again) = again {
            again.set_current(true);
        }
        // It may be the last handle: dropped with no state borrowed.
        drop(ours);
    }
}

fn exchange(inner: Option<Rc<Inner>>) -> Option<Rc<Inner>> {
    let before = ENTERED.replace(inner.map_or(ptr::null(), Rc::into_raw));
    // SAFETY: it comes from `Rc::into_raw`, and `ENTERED` has just given it up.
    (!before.is_null()).then(|| unsafe { Rc::from_raw(before) })
}
