//! Hierarchical timer wheels of 64 slots: a slot of one wheel is as long as all slots of the wheel
//! below it. Each entry is a point in time with a waker.
//!
//! An entry is in the wheel of the highest digit in which its time differs from the present, in the
//! slot of that digit. So the next entries are in the first used slot of the lowest used wheel.
//! When time reaches a slot, its entries that are not due yet move to lower wheels: each entry
//! moves a few times, independent of the number of entries.
//!
//! A slot is a linked list through its entries, so it needs no memory of its own. A removed entry loses
//! its waker and stays in its list as a tombstone, until its slot is due, or until tombstones outnumber
//! live entries.

#[cfg(feature = "sim")]
use std::cell::Cell;
use std::{iter, mem, task::Waker};

use slab::Slab;

/// Nanoseconds since the timers' epoch.
pub(super) type Nanos = u64;

/// Identifies one entry. It is never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimerKey {
    /// Grows with each entry: with equal deadlines, the older entry is due first.
    number: u64,
    place: u32,
}

/// The number of slots of a wheel, as a power of two.
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;

/// Aligns the wheels so that a slot of one of them is 2^20 ns, about the span of timers that one wake of
/// the thread serves.
const SKEW: u32 = 4;

/// Enough for all bits.
const WHEELS: usize = (u64::BITS + SKEW).div_ceil(SLOT_BITS) as usize;

/// A slot with more entries, in a wheel above this one, is not searched: it is a wait of 67 ms or
/// more.
const SEARCHED: usize = 64;
const SEARCHED_WHEEL: usize = 4;

/// Number of tombstones that is not worth a sweep.
const DEAD_FREE: usize = 64;

/// The number of entries for which the emptied list of due entries keeps memory.
const KEPT: usize = 1024;

/// The end of a list.
const END: u32 = u32::MAX;

#[derive(Debug)]
struct Entry {
    /// The time from which it is due.
    deadline: Nanos,
    number: u64,
    /// `None` after it was removed.
    waker: Option<Waker>,
    /// How late it may be taken.
    late_max: u32,
    /// The next one in its slot.
    next: u32,
    /// The tag of the task that waits, for records.
    tag: u32,
}

impl Entry {
    fn limit(&self) -> Nanos {
        self.deadline.saturating_add(self.late_max.into())
    }
}

/// The next wake of the thread.
#[derive(Debug, Clone, Copy)]
struct Wake {
    /// The deadline of an entry.
    at: Nanos,
    /// The number of that entry.
    number: u64,
    /// No entry may be taken later than this, which is not before `at`.
    limit: Nanos,
}

#[derive(Debug)]
pub(super) struct Wheels {
    /// All earlier entries have been taken.
    present: Nanos,
    /// The used slots: a bit each.
    used: [u64; WHEELS],
    /// The first entry of each slot in use.
    heads: [[u32; SLOTS]; WHEELS],
    entries: Slab<Entry>,
    /// The number of tombstones.
    dead: usize,
    next_number: u64,
    /// The next wake, while it is known. Its entry is alive.
    wake: Option<Wake>,
    /// Empty; kept for its memory. Deadline, number and index.
    due: Vec<(Nanos, u64, u32)>,
    /// The earliest deadline, while it is known.
    #[cfg(feature = "sim")]
    first: Cell<Option<Nanos>>,
}

impl Wheels {
    pub(super) fn new() -> Self {
        Self {
            present: 0,
            used: [0; WHEELS],
            heads: [[END; SLOTS]; WHEELS],
            entries: Slab::new(),
            dead: 0,
            next_number: 0,
            wake: None,
            due: Vec::new(),
            #[cfg(feature = "sim")]
            first: Cell::new(None),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.len() == self.dead
    }

    pub(super) fn insert(
        &mut self,
        deadline: Nanos,
        late_max: u32,
        waker: Waker,
        tag: u32,
    ) -> TimerKey {
        let number = self.next_number;
        self.next_number += 1;
        let is_first = self.entries.is_empty();
        if self.entries.capacity() == 0 {
            // Enough for few timers: the number of tombstones at a time varies.
            self.entries.reserve(2 * DEAD_FREE);
        }
        let place = self.entries.insert(Entry {
            deadline,
            number,
            waker: Some(waker),
            late_max,
            next: END,
            tag,
        });
        let place = u32::try_from(place).expect("there is no memory for 2^32 timers");
        self.link(place);
        #[cfg(feature = "sim")]
        if self.alive() == 1 || self.first.get().is_some_and(|first| deadline < first) {
            self.first.set(Some(deadline));
        }
        self.hasten(
            is_first,
            number,
            deadline,
            deadline.saturating_add(late_max.into()),
        );
        TimerKey { number, place }
    }

    /// Updates the next wake for a new entry.
    fn hasten(&mut self, is_first: bool, number: u64, deadline: Nanos, limit: Nanos) {
        self.wake = match self.wake {
            None if is_first => Some(Wake {
                at: deadline,
                number,
                limit,
            }),
            // It may need an earlier wake, which serves fewer entries than the known one.
            Some(wake) if limit < wake.limit => None,
            Some(wake) if deadline > wake.at && deadline <= wake.limit => Some(Wake {
                at: deadline,
                number,
                ..wake
            }),
            known => known,
        };
    }

    /// The waker of an entry that has neither been taken nor removed.
    pub(super) fn get(&self, key: TimerKey) -> Option<&Waker> {
        let entry = self.entries.get(key.place as usize)?;
        entry.waker.as_ref().filter(|_| entry.number == key.number)
    }

    /// The tag of an entry that has neither been taken nor removed.
    pub(super) fn tag(&self, key: TimerKey) -> Option<u32> {
        let entry = self.entries.get(key.place as usize)?;
        let is_alive = entry.waker.is_some() && entry.number == key.number;
        is_alive.then_some(entry.tag)
    }

    /// Replaces the waker and the tag; returns the waker to drop, as an error if the entry has been taken or removed.
    pub(super) fn replace(
        &mut self,
        key: TimerKey,
        waker: Waker,
        tag: u32,
    ) -> Result<Waker, Waker> {
        let entry = self.entries.get_mut(key.place as usize);
        match entry.filter(|entry| entry.number == key.number) {
            Some(Entry {
                waker: Some(known),
                tag: known_tag,
                ..
            }) => {
                *known_tag = tag;
                Ok(mem::replace(known, waker))
            }
            _ => Err(waker),
        }
    }

    /// The number of entries that have neither been taken nor removed.
    pub(super) fn alive(&self) -> usize {
        self.entries.len() - self.dead
    }

    /// Tag and deadline of these entries, in no order.
    pub(super) fn records(&self) -> impl Iterator<Item = (u32, Nanos)> {
        let entries = self.entries.iter();
        let alive = entries.filter(|(_, entry)| entry.waker.is_some());
        alive.map(|(_, entry)| (entry.tag, entry.deadline))
    }

    /// Removes an entry; returns its waker, unless it has been taken.
    pub(super) fn remove(&mut self, key: TimerKey) -> Option<Waker> {
        let entry = self.entries.get_mut(key.place as usize)?;
        if entry.number != key.number {
            return None;
        }
        let waker = entry.waker.take()?;
        #[cfg(feature = "sim")]
        if self.first.get() == Some(entry.deadline) {
            self.first.set(None);
        }
        self.dead += 1;
        if self.wake.is_some_and(|wake| wake.number == key.number) {
            self.wake = None;
        }
        // Tombstones must also fill a quarter of the memory, because a sweep walks all of it.
        let alive = self.entries.len() - self.dead;
        if self.dead > (alive + DEAD_FREE).max(self.entries.capacity() / 4) {
            self.sweep();
        }
        Some(waker)
    }

    /// Drops all tombstones. Walks the slab, not the lists, and rebuilds the lists.
    fn sweep(&mut self) {
        self.used = [0; WHEELS];
        self.entries.retain(|_, entry| entry.waker.is_some());
        self.dead = 0;
        let (present, used, heads) = (self.present, &mut self.used, &mut self.heads);
        for (place, entry) in &mut self.entries {
            // It was a `u32` when it was inserted.
            entry.next = push(present, used, heads, entry.deadline, place as u32);
        }
    }

    /// The time of the next wake, such that no entry is taken too late. It is the last deadline at
    /// or before the earliest limit of all entries, so that one wake serves the most entries. It may
    /// be earlier if a search would take long; then [`take`](Self::take) moves the entries to lower
    /// wheels.
    pub(super) fn next(&mut self) -> Option<Nanos> {
        if self.is_empty() {
            return None;
        }
        if let Some(wake) = self.wake {
            return Some(wake.at);
        }
        let mut limit = Nanos::MAX;
        // The first slot that is not searched.
        let mut end = None;
        for (wheel, index, start) in SlotsInUse::of(self) {
            if start > limit {
                break;
            }
            if wheel > SEARCHED_WHEEL && self.places(wheel, index).nth(SEARCHED).is_some() {
                limit = start;
                end = Some((wheel, index, start));
                break;
            }
            self.prune(wheel, index);
            let limits = self.slot(wheel, index).map(|entry| entry.limit());
            limit = limits.fold(limit, Nanos::min);
        }
        // A late entry goes to the current slot.
        let limit = limit.max(self.present);
        let last = SlotsInUse::of(self)
            .take_while(|slot| slot.2 <= limit && Some(*slot) != end)
            .flat_map(|(wheel, index, _)| self.slot(wheel, index))
            .filter(|entry| entry.deadline <= limit)
            .map(|entry| (entry.deadline, entry.number))
            .max();
        let Some((at, number)) = last else {
            return end.map(|(_, _, start)| start);
        };
        self.wake = Some(Wake { at, number, limit });
        Some(at)
    }

    /// The earliest deadline of all entries.
    #[cfg(any(feature = "sim", feature = "test-util"))]
    pub(super) fn first_deadline(&self) -> Option<Nanos> {
        #[cfg(feature = "sim")]
        if self.first.get().is_some() {
            return self.first.get();
        }
        // All entries of a slot are earlier than those of the next one.
        let first = SlotsInUse::of(self).find_map(|(wheel, index, _)| {
            let alive = self.slot(wheel, index);
            let alive = alive.filter(|entry| entry.waker.is_some());
            alive.map(|entry| entry.deadline).min()
        });
        #[cfg(feature = "sim")]
        self.first.set(first);
        first
    }

    /// Moves the wakers of entries that are due at `now` to `list`, in the order of their deadlines.
    pub(super) fn take(&mut self, now: Nanos, list: &mut Vec<Waker>) {
        #[cfg(feature = "sim")]
        self.first.set(None);
        while let Some((wheel, index, start)) = SlotsInUse::of(self).next()
            && start <= now
        {
            self.present = start;
            self.used[wheel] &= !(1 << index);
            let mut place = self.heads[wheel][index];
            while place != END {
                let entry = &self.entries[place as usize];
                let next = entry.next;
                if entry.waker.is_none() {
                    self.bury(place);
                } else if entry.deadline <= now {
                    self.due.push((entry.deadline, entry.number, place));
                } else {
                    self.link(place);
                }
                place = next;
            }
        }
        // The clock never goes back, but a caller's time might.
        self.present = self.present.max(now);
        if self.wake.is_some_and(|wake| wake.at <= now) {
            self.wake = None;
        }
        self.due.sort_unstable();
        for (_, _, place) in self.due.drain(..) {
            list.extend(self.entries.remove(place as usize).waker);
        }
        self.due.shrink_to(KEPT);
    }

    /// Removes all entries; returns their wakers.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = Waker> + use<> {
        self.used = [0; WHEELS];
        self.dead = 0;
        self.wake = None;
        #[cfg(feature = "sim")]
        self.first.set(None);
        let entries = mem::take(&mut self.entries);
        entries.into_iter().filter_map(|(_, entry)| entry.waker)
    }

    /// Links an entry into its current slot.
    fn link(&mut self, place: u32) {
        let entry = &mut self.entries[place as usize];
        let (used, heads) = (&mut self.used, &mut self.heads);
        entry.next = push(self.present, used, heads, entry.deadline, place);
    }

    /// Drops the tombstones of a slot.
    fn prune(&mut self, wheel: usize, index: usize) {
        let mut place = self.heads[wheel][index];
        let mut head = END;
        while place != END {
            let entry = &mut self.entries[place as usize];
            let next = entry.next;
            if entry.waker.is_none() {
                self.bury(place);
            } else {
                // The order within a slot is irrelevant.
                entry.next = head;
                head = place;
            }
            place = next;
        }
        self.heads[wheel][index] = head;
        if head == END {
            self.used[wheel] &= !(1 << index);
        }
    }

    /// Frees a tombstone that has been unlinked from its list.
    fn bury(&mut self, place: u32) {
        self.entries.remove(place as usize);
        self.dead -= 1;
    }

    fn slot(&self, wheel: usize, index: usize) -> impl Iterator<Item = &Entry> {
        self.places(wheel, index)
            .map(|place| &self.entries[place as usize])
    }

    fn places(&self, wheel: usize, index: usize) -> impl Iterator<Item = u32> {
        let is_used = self.used[wheel] >> index & 1 == 1;
        let mut place = if is_used {
            self.heads[wheel][index]
        } else {
            END
        };
        iter::from_fn(move || {
            let this = place;
            place = self.entries.get(this as usize)?.next;
            Some(this)
        })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// Makes an entry the first of its slot; returns its successor.
fn push(
    present: Nanos,
    used: &mut [u64; WHEELS],
    heads: &mut [[u32; SLOTS]; WHEELS],
    deadline: Nanos,
    place: u32,
) -> u32 {
    let deadline = deadline.max(present);
    let wheel = (deadline ^ present)
        .checked_ilog2()
        .map_or(0, |bit| (bit + SKEW) / SLOT_BITS) as usize;
    let index = (deadline >> shift(wheel)) as usize % SLOTS;
    let is_used = used[wheel] >> index & 1 == 1;
    used[wheel] |= 1 << index;
    let behind = mem::replace(&mut heads[wheel][index], place);
    if is_used { behind } else { END }
}

/// The used slots, in the order of time: wheel, index and start of each.
struct SlotsInUse {
    present: Nanos,
    used: [u64; WHEELS],
    wheel: usize,
}

impl SlotsInUse {
    fn of(wheels: &Wheels) -> Self {
        Self {
            present: wheels.present,
            used: wheels.used,
            wheel: 0,
        }
    }
}

impl Iterator for SlotsInUse {
    type Item = (usize, usize, Nanos);

    fn next(&mut self) -> Option<Self::Item> {
        while *self.used.get(self.wheel)? == 0 {
            self.wheel += 1;
        }
        let used = &mut self.used[self.wheel];
        let index = used.trailing_zeros();
        *used &= *used - 1;
        let low = shift(self.wheel);
        let high = low + SLOT_BITS;
        // The bits that all entries of this wheel share with the present.
        let common = self.present.checked_shr(high).unwrap_or(0);
        let common = common.checked_shl(high).unwrap_or(0);
        Some((self.wheel, index as usize, common | u64::from(index) << low))
    }
}

/// The lowest bit of a wheel's digit.
fn shift(wheel: usize) -> u32 {
    (wheel as u32 * SLOT_BITS).saturating_sub(SKEW)
}
