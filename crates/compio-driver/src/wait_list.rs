//! Lists of tasks that wait for an event of this thread, which no kernel reports.

use std::{
    any::Any,
    cell::RefCell,
    rc::{Rc, Weak},
    task::Waker,
};

use compio_io::panics::wake_all;

/// The tasks that wait for one event. Dropped waiters are removed from time to time.
#[derive(Default)]
pub(crate) struct Waiters(RefCell<Vec<Weak<Place>>>);

/// A handle of one waiting task, listed or not yet. Its drop ends the wait.
#[derive(Default)]
pub(crate) struct Waiter(Option<Rc<Place>>);

/// Holds a waker for as long as it is listed.
#[derive(Default)]
struct Place(RefCell<Option<Waker>>);

/// A shorter list is not swept.
const SWEEP_MIN: usize = 16;

/// Makes room in a full list: removes the entries that are over, and doubles the capacity if more than half
/// of them remain. So the cost of a sweep is spread over as many additions.
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
    /// From now on this waker wakes `waiter`, which is on no other list.
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
        // Cloned and dropped while nothing is borrowed: both run user code (Waker vtable).
        let waker = waker.clone();
        let before = place.0.replace(Some(waker));
        if before.is_none() {
            let mut places = self.0.borrow_mut();
            sweep(&mut places, |place| place.strong_count() == 0);
            places.push(Rc::downgrade(place));
        }
        drop(before);
    }

    /// Wakes all tasks and empties the list. Returns a waker's panic, which the caller resumes at the end.
    pub(crate) fn wake(&self) -> Option<Box<dyn Any + Send>> {
        let places = self.0.take();
        // One at a time: a waker may drop another waiter.
        wake_all(places.into_iter().filter_map(|place| {
            let place = place.upgrade()?;
            place.0.take()
        }))
    }
}
