//! The streams that wait for a buffer of a pool, in order.
//!
//! A returned buffer wakes the first few of them, and not all: each of many streams would be polled for each
//! buffer, which is quadratic. So a stream that was woken must not keep the wake to itself:
//!
//! ```text
//!  listed --woken--> notified +-- takes a buffer ---------------------> done
//!     ^                       +-- needs none, or is dropped: passes on -> done
//!     +---- no buffer is left-+
//! ```
//!
//! While there is a free buffer and a listed stream, some stream is notified. A stream keeps its number until
//! it has received or waits for data, so that no stream is overtaken again and again.
//!
//! Several are woken, because one of them may be in a task that does not poll it at the moment. If all of
//! them are, the [`Relay`](crate::buffers) of the pool wakes the next ones in the next turn of the driver.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::BTreeMap,
    task::Waker,
};

use compio_io::panics::wake_all;

/// How many streams a returned buffer wakes.
const WAKES: usize = 4;

/// The waiting streams of a pool, by their numbers.
#[derive(Default)]
pub(crate) struct BufferQueue {
    next: Cell<u64>,
    listed: RefCell<BTreeMap<u64, Waker>>,
}

/// The number of a stream that is listed or notified.
#[derive(Default)]
pub(crate) struct Ticket(Option<u64>);

impl Ticket {
    /// Whether the stream is listed or notified.
    pub(crate) fn is_some(&self) -> bool {
        self.0.is_some()
    }
}

impl BufferQueue {
    /// Lists a stream. If it was notified, it gets its place again.
    pub(crate) fn list(&self, ticket: &mut Ticket, waker: &Waker) {
        let number = *ticket.0.get_or_insert_with(|| {
            let number = self.next.get();
            self.next.set(number + 1);
            number
        });
        let is_known = self
            .listed
            .borrow()
            .get(&number)
            .is_some_and(|known| known.will_wake(waker));
        if is_known {
            return;
        }
        // Cloned and dropped while nothing is borrowed: both run user code (Waker vtable).
        let waker = waker.clone();
        let before = self.listed.borrow_mut().insert(number, waker);
        drop(before);
    }

    /// Ends the wait of a stream. If it was notified, the caller passes that on.
    pub(crate) fn leave(&self, ticket: &mut Ticket) {
        if let Some(number) = ticket.0.take() {
            let waker = self.listed.borrow_mut().remove(&number);
            drop(waker);
        }
    }

    /// Whether no stream is listed.
    pub(crate) fn is_empty(&self) -> bool {
        self.listed.borrow().is_empty()
    }

    /// Notifies the first streams. Returns a waker's panic.
    pub(crate) fn wake(&self) -> Option<Box<dyn Any + Send>> {
        // All are removed first: a waker may list or drop another stream.
        let first = [(); WAKES].map(|()| {
            let entry = self.listed.borrow_mut().pop_first();
            entry.map(|(_, waker)| waker)
        });
        wake_all(first.into_iter().flatten())
    }
}
