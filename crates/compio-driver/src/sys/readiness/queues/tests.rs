//! Compares the queues with lists of keys.

use std::collections::BTreeMap;

use proptest::prelude::{Strategy, prop_oneof, proptest};

use super::{Direction, Queues};
use crate::{
    key::Key,
    request::{Poll, Request, Span, ready},
    sys::ready_event::ReadyEvent,
};

const FDS: i32 = 3;
const CELLS: u32 = 12;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A request in this cell waits, if the cell is free.
    Push(u32, i32, Direction),
    /// The request in this cell is cancelled, if there is one.
    Remove(u32),
    /// A cancel for an earlier request in this cell.
    RemoveStale(u32),
    /// The first request completes.
    Serve(i32, Direction),
    /// The missing registration is made.
    Arm(i32),
    /// The poller reports an event.
    Note(i32),
}

fn step() -> impl Strategy<Value = Step> {
    let direction = || {
        prop_oneof![
            proptest::strategy::Just(Direction::Read),
            proptest::strategy::Just(Direction::Write),
            proptest::strategy::Just(Direction::Other),
        ]
    };
    prop_oneof![
        4 => (0..CELLS, 0..FDS, direction()).prop_map(|(cell, fd, to)| Step::Push(cell, fd, to)),
        3 => (0..CELLS).prop_map(Step::Remove),
        1 => (0..CELLS).prop_map(Step::RemoveStale),
        2 => (0..FDS, direction()).prop_map(|(fd, to)| Step::Serve(fd, to)),
        2 => (0..FDS).prop_map(Step::Arm),
        1 => (0..FDS).prop_map(Step::Note),
    ]
}

/// The expected state of the queues.
#[derive(Default)]
struct Model {
    queues: BTreeMap<(i32, usize), Vec<u64>>,
    /// The generation of each cell, and whether a request waits there.
    cells: [(u32, bool); CELLS as usize],
    /// The requests that the poller was registered for.
    armed: BTreeMap<(i32, usize), Vec<u64>>,
}

fn key(cell: u32, generation: u32) -> Key {
    Key::from(u64::from(generation) << 32 | u64::from(cell))
}

/// A request that waits in the queue of its direction. `Other` waits for an exceptional condition.
fn request(fd: i32, direction: Direction) -> Request {
    match direction {
        Direction::Other => Request::Poll(Poll::Once {
            fd,
            events: ready::PRI,
        }),
        Direction::Read | Direction::Write => Request::Net(crate::request::Net::Recv {
            fd,
            span: Span::new(std::ptr::null_mut(), 0),
            flags: 0,
        }),
    }
}

impl Model {
    fn forget(&mut self, bits: u64) {
        for queue in self.queues.values_mut() {
            queue.retain(|other| *other != bits);
        }
        let queues = &self.queues;
        self.armed.retain(|place, _| !queues[place].is_empty());
        self.cells[bits as u32 as usize].1 = false;
    }

    fn check(&self, queues: &Queues) {
        for fd in 0..FDS {
            for direction in Direction::ALL {
                let mut seen = Vec::new();
                let mut next = queues.first(fd, direction);
                while let Some((key, _)) = next {
                    seen.push(u64::from(key));
                    next = queues.after(key);
                }
                let queue = self.queues.get(&(fd, direction as usize));
                assert_eq!(&seen, queue.unwrap_or(&Vec::new()));
                let must_queue = !seen.is_empty() && direction != Direction::Other;
                assert_eq!(queues.must_queue(fd, direction, None), must_queue);
            }
        }
        let waiting: usize = self.queues.values().map(Vec::len).sum();
        assert_eq!(queues.is_empty(), waiting == 0);
        for fd in 0..FDS {
            let is_missing = Direction::ALL
                .into_iter()
                .any(|direction| !self.is_asked_for(fd, direction));
            // A superfluous registration is harmless.
            assert!(queues.arming(fd).is_some() || !is_missing);
        }
    }

    /// Whether the poller is registered for all waiting requests. In a FIFO queue a registration for
    /// one request suffices, because the queue has not been empty since.
    fn is_asked_for(&self, fd: i32, direction: Direction) -> bool {
        let place = (fd, direction as usize);
        let everybody = self.queues.get(&place).into_iter().flatten();
        let armed = self.armed.get(&place);
        match direction {
            Direction::Read | Direction::Write => everybody.count() == 0 || armed.is_some(),
            Direction::Other => {
                let is_armed = |bits| armed.is_some_and(|armed| armed.contains(bits));
                everybody.into_iter().all(is_armed)
            }
        }
    }

    fn go(&mut self, queues: &mut Queues, step: Step) {
        match step {
            Step::Push(cell, fd, direction) => {
                let (generation, is_waiting) = &mut self.cells[cell as usize];
                if *is_waiting {
                    return;
                }
                (*generation, *is_waiting) = (*generation + 1, true);
                let key = key(cell, *generation);
                queues.push(fd, direction, key, request(fd, direction));
                let queue = self.queues.entry((fd, direction as usize)).or_default();
                queue.push(u64::from(key));
            }
            Step::Remove(cell) => {
                let (generation, is_waiting) = self.cells[cell as usize];
                let key = key(cell, generation);
                assert_eq!(queues.remove(key), is_waiting);
                self.forget(u64::from(key));
            }
            Step::RemoveStale(cell) => {
                let generation = self.cells[cell as usize].0;
                assert!(!queues.remove(key(cell, generation.wrapping_sub(1))));
            }
            Step::Serve(fd, direction) => {
                if let Some((key, _)) = queues.first(fd, direction) {
                    assert!(queues.remove(key));
                    self.forget(u64::from(key));
                }
            }
            Step::Arm(fd) => {
                let waiting = Direction::ALL.map(|to| self.queues.get(&(fd, to as usize)));
                let [reads, writes, other] =
                    waiting.map(|queue| queue.is_some_and(|l| !l.is_empty()));
                let Some(arming) = queues.arming(fd) else {
                    return;
                };
                for (bits, is_wanted) in [
                    (ready::IN, reads),
                    (ready::OUT, writes),
                    (ready::PRI, other),
                ] {
                    assert_eq!(arming.events & bits != 0, is_wanted);
                }
                queues.set_armed(fd);
                for direction in Direction::ALL {
                    let place = (fd, direction as usize);
                    if let Some(queue) = self.queues.get(&place).filter(|queue| !queue.is_empty()) {
                        self.armed.insert(place, queue.clone());
                    }
                }
            }
            Step::Note(fd) => {
                queues.on_event(&ReadyEvent {
                    fd,
                    is_readable: true,
                    is_writable: false,
                    may_hide: false,
                });
                self.armed.retain(|(other, _), _| *other != fd);
            }
        }
    }
}

proptest! {
    #[test]
    fn queues_are_lists(steps in proptest::collection::vec(step(), 0..200)) {
        let (mut queues, mut model) = (Queues::default(), Model::default());
        for step in steps {
            model.go(&mut queues, step);
            model.check(&queues);
        }
    }
}
