//! Facts about tasks that have no room in their headers: the times of their spawns, and large numbers of polls.
//!
//! A header of 96 bytes keeps small tasks in the allocator's fastest class. So the time of a spawn is not stored with the
//! task. Numbers of tasks increase in the order of their spawns, and a mark is the first number of each moment. Tasks
//! whose number was chosen earlier or elsewhere have entries of their own.

use std::{cell::RefCell, collections::BTreeMap};

use crate::{meta::TaskId, sync::Cell};

/// When there are as many marks, old ones are removed.
const MARKS_MAX: usize = 1024;

/// A mark is removed if its neighbours are closer than this part of its age. At most 32 · ln(age) marks stay: less than
/// [`MARKS_MAX`] for centuries in milliseconds.
const PRECISION: u64 = 16;

/// Belongs to the home thread. No user code runs while it is borrowed.
pub(crate) struct TaskLog {
    /// Whether the next task in order gets a mark.
    is_new_moment: Cell<bool>,
    tables: RefCell<Tables>,
}

#[derive(Default)]
struct Tables {
    marks: Vec<Mark>,
    /// The spawns of tasks whose numbers are in no order.
    spawns: BTreeMap<TaskId, u64>,
    /// How often the polls of a task have overflowed its header.
    overflows: BTreeMap<TaskId, u32>,
}

/// Removes marks whose absence changes no age by more than one part in [`PRECISION`]. The first and the last one stay.
fn thin_out(marks: &mut Vec<Mark>, now: u64) {
    let mut len = 0_usize;
    for index in 0..marks.len() {
        let mark = marks[index];
        let is_needed = match (len.checked_sub(1), marks.get(index + 1)) {
            (Some(last), Some(next)) => {
                let gap = next.moment.saturating_sub(marks[last].moment);
                gap > now.saturating_sub(mark.moment) / PRECISION
            }
            _ => true,
        };
        if is_needed {
            marks[len] = mark;
            len += 1;
        }
    }
    marks.truncate(len);
}

/// Whether entries of ended tasks should be removed from a table, if so many tasks are alive.
pub(crate) fn is_full<V>(table: &BTreeMap<TaskId, V>, alive: usize) -> bool {
    table.len() > 2 * alive + 64
}

/// Removes the entries of other tasks than these.
pub(crate) fn retain<V>(table: &mut BTreeMap<TaskId, V>, alive: impl Iterator<Item = TaskId>) {
    let kept = alive.filter_map(|id| table.remove_entry(&id)).collect();
    *table = kept;
}

#[derive(Clone, Copy)]
struct Mark {
    first: TaskId,
    moment: u64,
}

impl TaskLog {
    pub(crate) fn new() -> Self {
        Self {
            is_new_moment: Cell::new(true),
            tables: RefCell::new(Tables {
                // Now, and not at the first spawn.
                marks: Vec::with_capacity(64),
                ..Tables::default()
            }),
        }
    }

    /// Another moment begins.
    #[inline]
    pub(crate) fn begin_moment(&self) {
        self.is_new_moment.set(true);
    }

    /// A task is spawned that has just got its number.
    #[inline]
    pub(crate) fn spawn(&self, id: TaskId, now: impl FnOnce() -> u64) {
        if self.is_new_moment.get() {
            self.add_mark(id, now());
        }
    }

    #[cold]
    fn add_mark(&self, first: TaskId, moment: u64) {
        self.is_new_moment.set(false);
        let marks = &mut self.tables.borrow_mut().marks;
        if marks.len() >= MARKS_MAX {
            thin_out(marks, moment);
        }
        marks.push(Mark { first, moment });
    }

    /// A task is spawned whose number was chosen earlier, or by another thread.
    pub(crate) fn spawn_out_of_order(&self, id: TaskId, now: u64) {
        self.tables.borrow_mut().spawns.insert(id, now);
    }

    /// The polls of a task have overflowed its header.
    pub(crate) fn overflow(&self, id: TaskId) {
        *self.tables.borrow_mut().overflows.entry(id).or_default() += 1;
    }

    /// Whether entries of ended tasks should be removed, if so many tasks are alive.
    pub(crate) fn is_full(&self, alive: usize) -> bool {
        let tables = self.tables.borrow();
        is_full(&tables.spawns, alive) || is_full(&tables.overflows, alive)
    }

    /// Removes the entries of other tasks than these, which are in no order.
    pub(crate) fn retain(&self, alive: impl Iterator<Item = TaskId> + Clone) {
        let tables = &mut *self.tables.borrow_mut();
        retain(&mut tables.spawns, alive.clone());
        retain(&mut tables.overflows, alive);
    }

    /// The entries of single tasks, in both tables.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn entries(&self) -> usize {
        let tables = self.tables.borrow();
        tables.spawns.len() + tables.overflows.len()
    }

    /// The moment of a task's spawn.
    pub(crate) fn spawned_at(&self, id: TaskId) -> u64 {
        let tables = self.tables.borrow();
        if let Some(moment) = tables.spawns.get(&id) {
            return *moment;
        }
        let after = tables.marks.partition_point(|mark| mark.first <= id);
        // The first mark stays: each task in order has one before it.
        after
            .checked_sub(1)
            .map_or(0, |index| tables.marks[index].moment)
    }

    /// The number of a task's polls, of which its header has the lower 16 bits.
    pub(crate) fn polls(&self, id: TaskId, low: u16) -> u64 {
        let tables = self.tables.borrow();
        let overflows = tables.overflows.get(&id).copied().unwrap_or(0);
        (u64::from(overflows) << 16) + u64::from(low)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn times_of_spawns_are_exact_while_marks_are_few() {
        let log = TaskLog::new();
        let ids: Vec<TaskId> = (0..100).map(|_| TaskId::next()).collect();
        for (number, id) in ids.iter().enumerate() {
            if number % 10 == 0 {
                log.begin_moment();
            }
            log.spawn(*id, || number as u64 / 10);
        }
        for (number, id) in ids.iter().enumerate() {
            assert_eq!(log.spawned_at(*id), number as u64 / 10);
        }
    }

    #[test]
    fn old_times_get_coarser_and_memory_is_bounded() {
        let log = TaskLog::new();
        let ids: Vec<TaskId> = (0..100_000).map(|_| TaskId::next()).collect();
        for (moment, id) in ids.iter().enumerate() {
            log.begin_moment();
            log.spawn(*id, || moment as u64);
        }
        assert!(log.tables.borrow().marks.len() <= MARKS_MAX);
        for (moment, id) in ids.iter().enumerate() {
            let found = log.spawned_at(*id) as usize;
            assert!(found <= moment);
            // At most a sixteenth of the age.
            assert!(
                moment - found <= (ids.len() - found) / 16,
                "{moment}: {found}"
            );
        }
    }

    #[test]
    fn tasks_out_of_order_have_exact_times() {
        let log = TaskLog::new();
        let early = TaskId::next();
        log.spawn(TaskId::next(), || 5);
        log.spawn_out_of_order(early, 9);
        assert_eq!(log.spawned_at(early), 9);
        log.overflow(early);
        assert_eq!(log.polls(early, 3), (1 << 16) + 3);
        log.retain([early].into_iter());
        assert_eq!(log.spawned_at(early), 9);
        log.retain([].into_iter());
        assert!(log.tables.borrow().spawns.is_empty());
        assert!(log.tables.borrow().overflows.is_empty());
    }

    /// The loop's clock runs for years: 100 seconds between two spawns, in milliseconds.
    #[test]
    fn moments_are_exact_and_marks_bounded_over_years() {
        let log = TaskLog::new();
        let mut last = TaskId::next();
        for step in 0..1_500_000u64 {
            last = TaskId::next();
            log.begin_moment();
            log.spawn(last, || step * 100_000);
        }
        let marks = log.tables.borrow().marks.len();
        assert!(marks <= MARKS_MAX, "{marks}");
        let expected = 1_499_999u64 * 100_000;
        assert_eq!(log.spawned_at(last), expected);
    }
}
