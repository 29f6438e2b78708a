//! The queues against lists of keys.

use std::collections::BTreeMap;

use proptest::prelude::{Strategy, prop_oneof, proptest};

use super::{Direction, Queues};
use crate::{
    flight::Key,
    request::{Poll, Request, Span, ready},
    sys::poll::Happening,
};

const FDS: i32 = 3;
const CELLS: u32 = 12;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Somebody in this cell waits, if the cell is free.
    Push(u32, i32, Direction),
    /// Who is in this cell gives up, if anybody is.
    Remove(u32),
    /// A wish for whoever was in this cell before.
    RemoveStale(u32),
    /// The first one is served.
    Serve(i32, Direction),
    /// The poller is asked for all that is missing.
    Arm(i32),
    /// The poller tells of something.
    Note(i32),
}

fn step() -> impl Strategy<Value = Step> {
    let direction = || {
        prop_oneof![
            proptest::strategy::Just(Direction::Read),
            proptest::strategy::Just(Direction::Write),
            proptest::strategy::Just(Direction::Aside),
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

/// What the queues should be.
#[derive(Default)]
struct Model {
    lanes: BTreeMap<(i32, usize), Vec<u64>>,
    /// In which generation each cell is, and whether somebody waits there.
    cells: [(u32, bool); CELLS as usize],
    /// For whom the poller was asked.
    armed: BTreeMap<(i32, usize), Vec<u64>>,
}

fn key(cell: u32, generation: u32) -> Key {
    Key::from_bits(u64::from(generation) << 32 | u64::from(cell))
}

/// Each waits for what its direction stands for; whoever is aside for something exceptional.
fn request(fd: i32, direction: Direction) -> Request {
    match direction {
        Direction::Aside => Request::Poll(Poll::Once {
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
        for lane in self.lanes.values_mut() {
            lane.retain(|other| *other != bits);
        }
        let lanes = &self.lanes;
        self.armed.retain(|place, _| !lanes[place].is_empty());
        self.cells[bits as u32 as usize].1 = false;
    }

    fn check(&self, queues: &Queues) {
        for fd in 0..FDS {
            for direction in Direction::ALL {
                let mut seen = Vec::new();
                let mut next = queues.first(fd, direction);
                while let Some((key, _)) = next {
                    seen.push(key.to_bits());
                    next = queues.after(key);
                }
                let lane = self.lanes.get(&(fd, direction as usize));
                assert_eq!(&seen, lane.unwrap_or(&Vec::new()));
                let is_crowded = !seen.is_empty() && direction != Direction::Aside;
                assert_eq!(queues.is_crowded(fd, direction, None), is_crowded);
            }
        }
        let waiting: usize = self.lanes.values().map(Vec::len).sum();
        assert_eq!(queues.is_empty(), waiting == 0);
        for fd in 0..FDS {
            let is_missing = Direction::ALL
                .into_iter()
                .any(|direction| !self.is_asked_for(fd, direction));
            // To ask once more than needed does no harm.
            assert!(queues.arming(fd).is_some() || !is_missing);
        }
    }

    /// Whether the poller knows of all who wait. In line it is enough that it knew of one, since
    /// somebody has waited ever after.
    fn is_asked_for(&self, fd: i32, direction: Direction) -> bool {
        let place = (fd, direction as usize);
        let everybody = self.lanes.get(&place).into_iter().flatten();
        let armed = self.armed.get(&place);
        match direction {
            Direction::Read | Direction::Write => everybody.count() == 0 || armed.is_some(),
            Direction::Aside => {
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
                let lane = self.lanes.entry((fd, direction as usize)).or_default();
                lane.push(key.to_bits());
            }
            Step::Remove(cell) => {
                let (generation, is_waiting) = self.cells[cell as usize];
                let key = key(cell, generation);
                assert_eq!(queues.remove(key), is_waiting);
                self.forget(key.to_bits());
            }
            Step::RemoveStale(cell) => {
                let generation = self.cells[cell as usize].0;
                assert!(!queues.remove(key(cell, generation.wrapping_sub(1))));
            }
            Step::Serve(fd, direction) => {
                if let Some((key, _)) = queues.first(fd, direction) {
                    assert!(queues.remove(key));
                    self.forget(key.to_bits());
                }
            }
            Step::Arm(fd) => {
                let lanes = Direction::ALL.map(|to| self.lanes.get(&(fd, to as usize)));
                let [reads, writes, aside] = lanes.map(|lane| lane.is_some_and(|l| !l.is_empty()));
                let Some(arming) = queues.arming(fd) else {
                    return;
                };
                for (bits, is_wanted) in [
                    (ready::IN, reads),
                    (ready::OUT, writes),
                    (ready::PRI, aside),
                ] {
                    assert_eq!(arming.events & bits != 0, is_wanted);
                }
                queues.set_armed(fd);
                for direction in Direction::ALL {
                    let place = (fd, direction as usize);
                    if let Some(lane) = self.lanes.get(&place).filter(|lane| !lane.is_empty()) {
                        self.armed.insert(place, lane.clone());
                    }
                }
            }
            Step::Note(fd) => {
                queues.note(&Happening {
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
