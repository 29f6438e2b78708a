//! Who waits for something that no kernel tells of.

use std::{
    any::Any,
    cell::RefCell,
    rc::{Rc, Weak},
    task::Waker,
};

use compio_io::panics::wake_all;

/// Those who wait for one thing. Whoever has gone away is swept out from time to time.
#[derive(Default)]
pub(crate) struct Waiters(RefCell<Vec<Weak<Place>>>);

/// One of them, or somebody who may be one later. Its drop ends the wait.
#[derive(Default)]
pub(crate) struct Waiter(Option<Rc<Place>>);

/// Holds a waker for as long as it is listed.
#[derive(Default)]
struct Place(RefCell<Option<Waker>>);

/// Below this a list is not worth a sweep.
const SWEEP_MIN: usize = 16;

/// Makes room in a full list: by those that are over, or by twice as much of it, so that what a sweep
/// costs is spread over as many additions.
pub(crate) fn sweep<T>(list: &mut Vec<T>, is_over: impl Fn(&T) -> bool) {
    if list.len() < SWEEP_MIN || list.len() < list.capacity() {
        return;
    }
    list.retain(|one| !is_over(one));
    if list.len() > list.capacity() / 2 {
        list.reserve(list.capacity());
    }
}

impl Waiters {
    /// From now on `waiter`, which waits here only, is woken by this waker.
    pub(crate) fn list(&self, waiter: &mut Waiter, waker: &Waker) {
        let place = waiter.0.get_or_insert_default();
        let is_known = place
            .0
            .borrow()
            .as_ref()
            .is_some_and(|known| known.will_wake(waker));
        if is_known {
            return;
        }
        // Cloned and dropped with nothing borrowed: both run code of the waker's maker.
        let waker = waker.clone();
        let before = place.0.replace(Some(waker));
        if before.is_none() {
            let mut places = self.0.borrow_mut();
            sweep(&mut places, |place| place.strong_count() == 0);
            places.push(Rc::downgrade(place));
        }
        drop(before);
    }

    /// Wakes them all; none waits any more. A panic of a waker is to go on when all is done.
    pub(crate) fn wake(&self) -> Option<Box<dyn Any + Send>> {
        let places = self.0.take();
        // One by one: a waker may end another's wait.
        wake_all(places.into_iter().filter_map(|place| {
            let place = place.upgrade()?;
            place.0.take()
        }))
    }
}
