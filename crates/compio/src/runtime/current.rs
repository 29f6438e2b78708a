//! Which runtime is this thread's.

use std::{
    cell::{Cell, OnceCell},
    mem::ManuallyDrop,
    rc::Rc,
};

use super::{Inner, Runtime};

thread_local! {
    /// The one that has been entered. Without a destructor, so that it can be had until the thread's
    /// very end: whoever enters has left by then.
    static ENTERED: Cell<Option<ManuallyDrop<Rc<Inner>>>> = const { Cell::new(None) };
    /// The thread's own, which is made on first use and ends with the thread.
    static OWN: OnceCell<Runtime> = const { OnceCell::new() };
}

/// The runtime that has been entered, or the thread's own.
pub(crate) fn current() -> Rc<Inner> {
    entered().unwrap_or_else(own)
}

/// Whether another runtime than this one has been entered.
#[cfg(feature = "time")]
pub(crate) fn is_foreign(runtime: &Rc<Inner>) -> bool {
    let Some(entered) = exchange(None) else {
        return false;
    };
    let is_foreign = !Rc::ptr_eq(&entered, runtime);
    exchange(Some(entered));
    is_foreign
}

fn entered() -> Option<Rc<Inner>> {
    let inner = exchange(None)?;
    let clone = Rc::clone(&inner);
    exchange(Some(inner));
    Some(clone)
}

fn own() -> Rc<Inner> {
    OWN.try_with(|own| {
        let runtime = own.get_or_init(|| match Runtime::new() {
            Ok(runtime) => runtime,
            Err(error) => panic!("this thread's runtime could not be made: {error}"),
        });
        Rc::clone(&runtime.inner)
    })
    .expect("the thread is ending, and its runtime is gone")
}

/// While this lives, a runtime is the thread's current one.
pub(super) struct Entered {
    before: Option<Rc<Inner>>,
}

impl Entered {
    pub(super) fn new(inner: &Rc<Inner>) -> Self {
        Self {
            before: exchange(Some(Rc::clone(inner))),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let ours = exchange(self.before.take());
        // It may be the last handle: dropped with nothing borrowed.
        drop(ours);
    }
}

fn exchange(inner: Option<Rc<Inner>>) -> Option<Rc<Inner>> {
    ENTERED
        .replace(inner.map(ManuallyDrop::new))
        .map(ManuallyDrop::into_inner)
}
