//! The arena without a kernel: whoever tests says when a flight lands.

use std::{
    cell::Cell,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
    task::{Wake, Waker},
};

use super::{
    Abandoned, CELL_ALIGN, CELLS_PER_PAGE, Flights, Key, Landing, Page, STRIDES, class_of,
    storage_behind, storage_of,
};
use crate::{
    op,
    operation::Operation,
    request::{Answer, Request},
    sys::Scratch,
};

/// What happened to an operation.
#[derive(Clone, Default)]
struct Log(Rc<LogState>);

#[derive(Default)]
struct LogState {
    place: Cell<usize>,
    finished: Cell<u32>,
    dropped: Cell<u32>,
}

impl Log {
    fn finished(&self) -> u32 {
        self.0.finished.get()
    }

    fn dropped(&self) -> u32 {
        self.0.dropped.get()
    }
}

/// Counts its drop.
struct Tally(Log);

impl Drop for Tally {
    fn drop(&mut self) {
        self.0.0.dropped.set(self.0.dropped() + 1);
    }
}

/// An operation of `CARGO` and something to count; it gives both back.
struct Parcel<T> {
    cargo: T,
    tally: Tally,
}

fn parcel<T>(cargo: T) -> (Parcel<T>, Log) {
    let log = Log::default();
    let tally = Tally(log.clone());
    (Parcel { cargo, tally }, log)
}

// SAFETY: the request points to nothing.
unsafe impl<T: 'static> Operation for Parcel<T> {
    type Output = (io::Result<usize>, T, Tally);

    fn request(&mut self) -> Request {
        self.tally.0.0.place.set((&raw const *self).addr());
        Request::Nop
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        let log = &self.tally.0.0;
        log.finished.set(log.finished.get() + 1);
        (answer, self.cargo, self.tally)
    }
}

fn board<O: Operation>(flights: &Flights, operation: O) -> Key {
    // SAFETY: the seat is given up.
    unsafe { flights.board(operation) }.0.key()
}

fn land_quietly(flights: &Flights, key: Key, answer: Answer) {
    assert!(matches!(flights.land(key, answer), Landing::Quiet));
}

fn land_orphan(flights: &Flights, key: Key) {
    assert!(matches!(flights.land(key, Ok(0)), Landing::Bury(orphan) if orphan == key));
}

/// # Safety
///
/// As [`Flights::seat_of`].
unsafe fn take<O: Operation>(flights: &Flights, key: Key) -> (O, Answer) {
    // SAFETY: passed on from this function.
    unsafe { flights.seat_of::<O>(key) }.take(flights)
}

/// Ends the flight of a `Nop`.
fn end(flights: &Flights, key: Key) {
    land_quietly(flights, key, Ok(0));
    // SAFETY: boarded with this type.
    let _ = unsafe { take::<op::Nop>(flights, key) };
}

fn check_round_trip<T: Copy + PartialEq + std::fmt::Debug + 'static>(
    class: Option<usize>,
    cargo: T,
) {
    assert_eq!(class_of::<Parcel<T>>(), class);
    let flights = Flights::new();
    let (operation, log) = parcel(cargo);
    let key = board(&flights, operation);
    assert_eq!(flights.airborne(), 1);
    let place = log.0.place.get();
    assert_eq!(place % align_of::<Parcel<T>>(), 0);

    // SAFETY: boarded with this type.
    let seat = unsafe { flights.seat_of::<Parcel<T>>(key) };
    assert!(!seat.has_landed(), "it flies");
    land_quietly(&flights, key, Ok(7));
    assert_eq!(flights.airborne(), 0);
    // SAFETY: boarded with this type, and not taken yet.
    let (operation, answer) = unsafe { take::<Parcel<T>>(&flights, key) };
    assert_eq!((operation.cargo, answer), (cargo, Ok(7)));
    assert_eq!((log.finished(), log.dropped()), (0, 0));
    drop(operation);
    assert_eq!(log.dropped(), 1);
}

#[derive(Clone, Copy, PartialEq, Debug)]
#[repr(align(64))]
struct Aligned([u8; 64]);

#[test]
fn a_small_operation_comes_back() {
    check_round_trip(Some(0), [3_u8; 8]);
}

#[test]
fn the_largest_small_operation_comes_back() {
    check_round_trip(Some(0), [5_u64; (storage_of(0) - 8) / 8]);
}

#[test]
fn the_smallest_large_operation_comes_back() {
    check_round_trip(Some(1), [5_u64; storage_of(0) / 8]);
}

#[test]
fn the_largest_large_operation_comes_back() {
    check_round_trip(Some(1), [5_u64; (storage_of(1) - 8) / 8]);
}

#[test]
fn a_huge_operation_comes_back_from_its_box() {
    check_round_trip(None, [5_u64; storage_of(1) / 8]);
}

#[test]
fn an_operation_of_large_alignment_comes_back_from_its_box() {
    check_round_trip(None, Aligned([9; 64]));
    check_round_trip(None, 9_u128);
}

#[test]
fn an_operation_without_size_has_a_cell() {
    let flights = Flights::new();
    let key = board(&flights, op::Nop::new());
    land_quietly(&flights, key, Err(5));
    // SAFETY: boarded with this type.
    let (_, answer) = unsafe { take::<op::Nop>(&flights, key) };
    assert_eq!(answer, Err(5));
}

/// The common operations need no box, and the most common ones no more than two cache lines.
#[test]
fn where_the_operations_sit() {
    type Buffer = Vec<u8>;
    assert_eq!(class_of::<op::Nop>(), Some(0));
    assert_eq!(class_of::<op::ReadAt<Buffer>>(), Some(0));
    assert_eq!(class_of::<op::WriteAt<Buffer>>(), Some(0));
    assert_eq!(class_of::<op::Recv<Buffer>>(), Some(0));
    assert_eq!(class_of::<op::Send<Buffer>>(), Some(0));
    assert_eq!(class_of::<op::Splice>(), Some(0));
    assert_eq!(class_of::<op::PollOnce>(), Some(0));
    assert_eq!(class_of::<op::Accept>(), Some(1));
    assert_eq!(class_of::<op::Connect>(), Some(1));
    assert_eq!(class_of::<op::RecvFrom<Buffer>>(), Some(1));
    assert_eq!(class_of::<op::SendTo<Buffer>>(), Some(1));
    assert_eq!(class_of::<op::RecvMsg<[Buffer; 2], Buffer>>(), Some(1));
    assert_eq!(class_of::<op::SendMsg<[Buffer; 2], Buffer>>(), Some(1));
    assert_eq!(class_of::<op::ReadVectoredAt<[Buffer; 2]>>(), Some(1));
    // Not every system knows as much of a file as Linux does.
    assert!(class_of::<op::StatFd>().is_some());
    let with_scratch = 2 * CELL_ALIGN + size_of::<Scratch>();
    assert_eq!(STRIDES[0], with_scratch.next_multiple_of(CELL_ALIGN));
}

#[test]
fn abandoned_in_the_air_it_stays_until_it_lands() {
    let flights = Flights::new();
    let (operation, log) = parcel([0_u8; 8]);
    let key = board(&flights, operation);
    assert!(matches!(flights.abandon(key), Abandoned::Cancel(_)));
    assert_eq!((flights.airborne(), log.dropped()), (1, 0));

    land_orphan(&flights, key);
    assert_eq!((flights.airborne(), log.dropped()), (0, 0));
    flights.bury(key);
    assert_eq!((log.finished(), log.dropped()), (1, 1));
}

#[test]
fn abandoned_after_landing_it_is_buried() {
    let flights = Flights::new();
    let (operation, log) = parcel([0_u8; 8]);
    let key = board(&flights, operation);
    land_quietly(&flights, key, Ok(0));
    assert!(matches!(flights.abandon(key), Abandoned::Bury));
    assert_eq!(log.dropped(), 0);
    flights.bury(key);
    assert_eq!((log.finished(), log.dropped()), (1, 1));
}

#[test]
fn a_boxed_orphan_is_dropped_once() {
    let flights = Flights::new();
    let (operation, log) = parcel([0_u8; 4096]);
    let key = board(&flights, operation);
    assert!(matches!(flights.abandon(key), Abandoned::Cancel(_)));
    land_orphan(&flights, key);
    flights.bury(key);
    assert_eq!((log.finished(), log.dropped()), (1, 1));
}

/// A key whose flight is over, while the next one sits in the same cell.
fn stale_key(flights: &Flights) -> Key {
    let stale = board(flights, op::Nop::new());
    end(flights, stale);
    let fresh = board(flights, op::Nop::new());
    assert_eq!(
        (fresh.index, fresh.generation),
        (stale.index, stale.generation + 1)
    );
    land_quietly(flights, fresh, Ok(0));
    stale
}

#[track_caller]
fn check_refused(what: &str, attempt: impl FnOnce(&Flights, Key)) {
    let flights = Flights::new();
    let stale = stale_key(&flights);
    let refused = catch_unwind(AssertUnwindSafe(|| attempt(&flights, stale))).unwrap_err();
    let message = refused.downcast_ref::<String>().expect("a message");
    assert!(message.contains("is no more"), "{what}: {message}");
}

#[test]
fn a_stale_key_is_refused_everywhere() {
    check_refused("land", |flights, key| {
        flights.land(key, Ok(0));
    });
    check_refused("abandon", |flights, key| drop(flights.abandon(key)));
    check_refused("bury", |flights, key| flights.bury(key));
    check_refused("scratch", |flights, key| {
        if size_of::<Scratch>() == 0 {
            // Not looked for at all.
            flights.mark_given_up(key);
        }
        flights.scratch(key);
    });
    check_refused("mark_work", |flights, key| flights.mark_work(key));
}

#[test]
#[should_panic(expected = "was answered twice")]
fn a_second_answer_is_refused() {
    let flights = Flights::new();
    let key = board(&flights, op::Nop::new());
    land_quietly(&flights, key, Ok(0));
    flights.land(key, Ok(0));
}

#[test]
fn keys_survive_the_trip_through_the_kernel() {
    let key = Key {
        index: 0x8765_4321,
        generation: 0x7edc_ba98,
    };
    assert_eq!(Key::from_bits(key.to_bits()), key);
}

#[test]
fn no_key_looks_like_the_backends_own_completions() {
    let flights = Flights::new();
    let key = board(&flights, op::Nop::new());
    // SAFETY: a live header; the generation is set to the last one that a cell may have.
    unsafe { (*flights.header(key)).generation = (1 << 30) - 1 };
    let last = Key {
        generation: (1 << 30) - 1,
        ..key
    };
    end(&flights, last);
    assert_eq!(board(&flights, op::Nop::new()).generation, 0);
    land_quietly(
        &flights,
        Key {
            generation: 0,
            ..key
        },
        Ok(0),
    );
}

#[test]
fn cells_are_used_again() {
    let flights = Flights::new();
    for _ in 0..10 {
        let keys: Vec<_> = (0..CELLS_PER_PAGE)
            .map(|_| board(&flights, op::Nop::new()))
            .collect();
        for key in keys {
            end(&flights, key);
        }
    }
    assert_eq!(flights.pages().len(), 1);
}

#[test]
fn cells_never_move() {
    let flights = Flights::new();
    let boarded: Vec<_> = (0..20 * CELLS_PER_PAGE)
        .map(|number| {
            let (operation, log) = parcel(number);
            (board(&flights, operation), log)
        })
        .collect();
    assert_eq!(flights.pages().len(), 20);
    for (key, log) in &boarded {
        // SAFETY: a live header.
        let place = unsafe { storage_behind(flights.header(*key)) };
        assert_eq!(place.addr(), log.0.place.get());
    }
    for (number, (key, _)) in boarded.into_iter().enumerate() {
        land_quietly(&flights, key, Ok(0));
        // SAFETY: boarded with this type.
        let (operation, _) = unsafe { take::<Parcel<u32>>(&flights, key) };
        assert_eq!(operation.cargo as usize, number);
    }
}

/// An output whose drop uses the arena that it comes from.
struct Reenter(Rc<Flights>);

impl Drop for Reenter {
    fn drop(&mut self) {
        // More than the page has free cells, so that another one is made meanwhile.
        let keys: Vec<_> = (0..=CELLS_PER_PAGE)
            .map(|_| board(&self.0, op::Nop::new()))
            .collect();
        for key in keys {
            assert!(matches!(self.0.abandon(key), Abandoned::Cancel(_)));
            land_orphan(&self.0, key);
            self.0.bury(key);
        }
    }
}

#[test]
fn a_destructor_may_use_the_arena() {
    let flights = Rc::new(Flights::new());
    let (operation, log) = parcel(Reenter(Rc::clone(&flights)));
    let key = board(&flights, operation);
    assert!(matches!(flights.abandon(key), Abandoned::Cancel(_)));
    land_orphan(&flights, key);
    flights.bury(key);
    assert_eq!((log.dropped(), flights.airborne()), (1, 0));
    assert!(flights.keys_to_cancel().is_empty());
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a destructor that panics");
    }
}

#[test]
fn a_destructor_that_panics_frees_its_cell() {
    let flights = Flights::new();
    let key = board(&flights, parcel(Bomb).0);
    land_quietly(&flights, key, Ok(0));
    assert!(matches!(flights.abandon(key), Abandoned::Bury));
    catch_unwind(AssertUnwindSafe(|| flights.bury(key))).unwrap_err();

    let next = board(&flights, op::Nop::new());
    assert_eq!(next.index, key.index);
    land_quietly(&flights, next, Ok(0));
}

/// An operation that panics when it is asked, as one with a faulty buffer does.
struct Faulty<T>(Parcel<T>);

// SAFETY: there is no request.
unsafe impl<T: 'static> Operation for Faulty<T> {
    type Output = ();

    fn request(&mut self) -> Request {
        panic!("a buffer that panics");
    }

    unsafe fn finish(self, _: io::Result<usize>) {}
}

fn check_faulty<T: 'static>(cargo: T) {
    let flights = Flights::new();
    let (operation, log) = parcel(cargo);
    catch_unwind(AssertUnwindSafe(|| board(&flights, Faulty(operation)))).unwrap_err();
    assert_eq!((flights.airborne(), log.dropped()), (0, 1));
    let next = board(&flights, op::Nop::new());
    assert_eq!(
        (next.index, next.generation),
        (0, 1),
        "the cell is used again"
    );
    land_quietly(&flights, next, Ok(0));
}

#[test]
fn an_operation_that_panics_when_asked_never_flew() {
    check_faulty([0_u8; 8]);
    check_faulty([0_u8; 4096]);
}

struct CountingWaker;

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn the_arena_keeps_one_waker_and_hands_it_out_at_landing() {
    let flights = Flights::new();
    let key = board(&flights, op::Nop::new());
    let counter = Arc::new(CountingWaker);
    let waker = Waker::from(Arc::clone(&counter));
    // SAFETY: boarded with this type; the arena lives on.
    let seat = unsafe { flights.seat_of::<op::Nop>(key) };
    drop(seat.set_waiter(waker.clone()));
    assert!(!seat.is_waiter(Waker::noop()));
    drop(seat.set_waiter(waker));
    assert_eq!(Arc::strong_count(&counter), 2);
    assert!(matches!(flights.land(key, Ok(0)), Landing::Wake(_)));
    assert_eq!(Arc::strong_count(&counter), 1);
}

#[test]
fn a_callers_flight_is_over_when_it_lands() {
    let flights = Flights::new();
    let key = flights.board_callers(Request::Nop, 42);
    assert!(flights.keys_of_caller(42) == [key]);
    assert!(flights.keys_of_caller(43).is_empty());
    assert!(matches!(
        flights.land(key, Err(9)),
        Landing::Tell(42, Err(9))
    ));
    assert!(flights.keys_to_cancel().is_empty());
}

#[test]
fn an_arena_that_dies_with_something_in_the_air_frees_nothing() {
    let flights = Flights::new();
    let (operation, log) = parcel([1_u8; 8]);
    let key = board(&flights, operation);
    // SAFETY: a live header.
    let place = unsafe { storage_behind(flights.header(key)) };
    let Page { base, stride } = flights.pages()[0];
    drop(flights);
    assert_eq!(log.dropped(), 0);

    // SAFETY: the page was left to the kernel, whose part this test plays: all is still there.
    unsafe {
        drop(place.cast::<Parcel<[u8; 8]>>().read());
        Page { base, stride }.free();
    }
    assert_eq!(log.dropped(), 1);
}
