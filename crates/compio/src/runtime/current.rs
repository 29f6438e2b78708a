//! Which runtime is this thread's.

use std::{
    cell::{OnceCell, RefCell},
    mem,
    rc::Rc,
};

use super::{Inner, Runtime};

thread_local! {
    /// The one that has been entered.
    static ENTERED: RefCell<Option<Rc<Inner>>> = const { RefCell::new(None) };
    /// The thread's own, which is made on first use and ends with the thread.
    static OWN: OnceCell<Runtime> = const { OnceCell::new() };
}

/// The runtime that has been entered, or the thread's own.
pub(crate) fn current() -> Rc<Inner> {
    ENTERED
        .try_with(|entered| entered.borrow().clone())
        .ok()
        .flatten()
        .unwrap_or_else(own)
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

/// While the thread ends there may be nothing to exchange: then no runtime is current.
fn exchange(inner: Option<Rc<Inner>>) -> Option<Rc<Inner>> {
    ENTERED
        .try_with(|entered| mem::replace(&mut *entered.borrow_mut(), inner))
        .ok()
        .flatten()
}
