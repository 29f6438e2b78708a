//! Tests of the arena without a kernel: each test completes the operations itself.

use std::{
    cell::Cell,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
    task::{Wake, Waker},
};

use super::{
    Abandoned, Arena, Key, OnComplete,
    cell::{CELL_ALIGN, CELLS_PER_PAGE, Page, STRIDES, class_of, storage_behind, storage_of},
};
use crate::{
    op,
    operation::Operation,
    request::{RawResult, Request},
    sys::OpState,
};

/// The history of an operation.
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

/// An operation that owns a cargo and a drop counter, and returns both.
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

fn insert<O: Operation>(arena: &Arena, operation: O) -> Key {
    // SAFETY: the handle is dropped here.
    unsafe { arena.insert(operation) }.0.key()
}

fn land_quietly(arena: &Arena, key: Key, answer: RawResult) {
    assert!(matches!(arena.complete(key, answer), OnComplete::Nothing));
}

fn land_orphan(arena: &Arena, key: Key) {
    assert!(
        matches!(arena.complete(key, Ok(0)), OnComplete::ReleaseOrphan(orphan) if orphan == key)
    );
}

/// # Safety
///
/// As [`Arena::handle_of`].
unsafe fn take<O: Operation>(arena: &Arena, key: Key) -> (O, RawResult) {
    // SAFETY: passed on from this function.
    unsafe { arena.handle_of::<O>(key) }.take(arena)
}

/// Completes and takes a `Nop`.
fn end(arena: &Arena, key: Key) {
    land_quietly(arena, key, Ok(0));
    // SAFETY: inserted with this type.
    let _ = unsafe { take::<op::Nop>(arena, key) };
}

fn check_round_trip<T: Copy + PartialEq + std::fmt::Debug + 'static>(
    class: Option<usize>,
    cargo: T,
) {
    assert_eq!(class_of::<Parcel<T>>(), class);
    let arena = Arena::new();
    let (operation, log) = parcel(cargo);
    let key = insert(&arena, operation);
    assert_eq!(arena.in_flight_count(), 1);
    let place = log.0.place.get();
    assert_eq!(place % align_of::<Parcel<T>>(), 0);

    // SAFETY: inserted with this type.
    let handle = unsafe { arena.handle_of::<Parcel<T>>(key) };
    assert!(!handle.is_completed(), "it is in flight");
    land_quietly(&arena, key, Ok(7));
    assert_eq!(arena.in_flight_count(), 0);
    // SAFETY: inserted with this type, and not taken yet.
    let (operation, answer) = unsafe { take::<Parcel<T>>(&arena, key) };
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
    let arena = Arena::new();
    let key = insert(&arena, op::Nop::new());
    land_quietly(&arena, key, Err(5));
    // SAFETY: inserted with this type.
    let (_, answer) = unsafe { take::<op::Nop>(&arena, key) };
    assert_eq!(answer, Err(5));
}

/// The common operations need no box, and the most common ones no more than two cache lines.
#[test]
fn common_operations_fit_the_cells() {
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
    // The size depends on the system: Linux has the most attributes of a file.
    assert!(class_of::<op::StatFd>().is_some());
    let with_scratch = 2 * CELL_ALIGN + size_of::<OpState>();
    assert_eq!(STRIDES[0], with_scratch.next_multiple_of(CELL_ALIGN));
}

#[test]
fn an_orphan_stays_until_it_completes() {
    let arena = Arena::new();
    let (operation, log) = parcel([0_u8; 8]);
    let key = insert(&arena, operation);
    assert!(matches!(arena.abandon(key), Abandoned::Cancel(_)));
    assert_eq!((arena.in_flight_count(), log.dropped()), (1, 0));

    land_orphan(&arena, key);
    assert_eq!((arena.in_flight_count(), log.dropped()), (0, 0));
    arena.release_orphan(key);
    assert_eq!((log.finished(), log.dropped()), (1, 1));
}

#[test]
fn orphan_counts_for_the_kernel_until_it_completes() {
    let arena = Arena::new();
    let key = insert(&arena, parcel(()).0);
    assert!(!arena.has_orphans_in_kernel(), "no orphan");
    assert!(matches!(arena.abandon(key), Abandoned::Cancel(_)));
    assert!(arena.has_orphans_in_kernel());
    arena.mark_in_thread_pool(key);
    assert!(!arena.has_orphans_in_kernel(), "in the thread pool");
    arena.unmark_in_thread_pool(key);
    land_orphan(&arena, key);
    assert!(!arena.has_orphans_in_kernel(), "completed");
    arena.release_orphan(key);
}

#[test]
fn a_completed_operation_that_is_abandoned_is_released() {
    let arena = Arena::new();
    let (operation, log) = parcel([0_u8; 8]);
    let key = insert(&arena, operation);
    land_quietly(&arena, key, Ok(0));
    assert!(matches!(arena.abandon(key), Abandoned::ReleaseOrphan));
    assert_eq!(log.dropped(), 0);
    arena.release_orphan(key);
    assert_eq!((log.finished(), log.dropped()), (1, 1));
}

#[test]
fn a_boxed_orphan_is_dropped_once() {
    let arena = Arena::new();
    let (operation, log) = parcel([0_u8; 4096]);
    let key = insert(&arena, operation);
    assert!(matches!(arena.abandon(key), Abandoned::Cancel(_)));
    land_orphan(&arena, key);
    arena.release_orphan(key);
    assert_eq!((log.finished(), log.dropped()), (1, 1));
}

/// A key of a freed cell that the next operation occupies.
fn stale_key(arena: &Arena) -> Key {
    let stale = insert(arena, op::Nop::new());
    end(arena, stale);
    let fresh = insert(arena, op::Nop::new());
    assert_eq!(
        (fresh.index, fresh.generation),
        (stale.index, stale.generation + 1)
    );
    land_quietly(arena, fresh, Ok(0));
    stale
}

#[track_caller]
fn check_refused(what: &str, attempt: impl FnOnce(&Arena, Key)) {
    let arena = Arena::new();
    let stale = stale_key(&arena);
    let refused = catch_unwind(AssertUnwindSafe(|| attempt(&arena, stale))).unwrap_err();
    let message = refused.downcast_ref::<String>().expect("a message");
    assert!(message.contains("is stale"), "{what}: {message}");
}

#[test]
fn a_stale_key_is_refused_everywhere() {
    check_refused("complete", |arena, key| {
        arena.complete(key, Ok(0));
    });
    check_refused("abandon", |arena, key| drop(arena.abandon(key)));
    check_refused("release_orphan", |arena, key| arena.release_orphan(key));
    check_refused("op_state", |arena, key| {
        if size_of::<OpState>() == 0 {
            // `op_state` does not access the cell then.
            arena.mark_cancel_requested(key);
        }
        arena.op_state(key);
    });
    check_refused("mark_in_thread_pool", |arena, key| {
        arena.mark_in_thread_pool(key)
    });
}

#[test]
#[should_panic(expected = "was completed twice")]
fn a_second_completion_is_refused() {
    let arena = Arena::new();
    let key = insert(&arena, op::Nop::new());
    land_quietly(&arena, key, Ok(0));
    arena.complete(key, Ok(0));
}

#[test]
fn a_key_survives_the_conversion_to_bits() {
    let key = Key {
        index: 0x8765_4321,
        generation: 0x7edc_ba98,
    };
    assert_eq!(Key::from(u64::from(key)), key);
}

#[test]
fn no_key_looks_like_the_backends_own_completions() {
    let arena = Arena::new();
    let key = insert(&arena, op::Nop::new());
    // SAFETY: a live header; the generation is set to the last one that a cell may have.
    unsafe { (*arena.header(key)).generation = (1 << 30) - 1 };
    let last = Key {
        generation: (1 << 30) - 1,
        ..key
    };
    end(&arena, last);
    assert_eq!(insert(&arena, op::Nop::new()).generation, 0);
    land_quietly(
        &arena,
        Key {
            generation: 0,
            ..key
        },
        Ok(0),
    );
}

#[test]
fn cells_are_used_again() {
    let arena = Arena::new();
    for _ in 0..10 {
        let keys: Vec<_> = (0..CELLS_PER_PAGE)
            .map(|_| insert(&arena, op::Nop::new()))
            .collect();
        for key in keys {
            end(&arena, key);
        }
    }
    assert_eq!(arena.pages().len(), 1);
}

#[test]
fn cells_never_move() {
    let arena = Arena::new();
    let boarded: Vec<_> = (0..20 * CELLS_PER_PAGE)
        .map(|number| {
            let (operation, log) = parcel(number);
            (insert(&arena, operation), log)
        })
        .collect();
    assert_eq!(arena.pages().len(), 20);
    for (key, log) in &boarded {
        // SAFETY: a live header.
        let place = unsafe { storage_behind(arena.header(*key)) };
        assert_eq!(place.addr(), log.0.place.get());
    }
    for (number, (key, _)) in boarded.into_iter().enumerate() {
        land_quietly(&arena, key, Ok(0));
        // SAFETY: inserted with this type.
        let (operation, _) = unsafe { take::<Parcel<u32>>(&arena, key) };
        assert_eq!(operation.cargo as usize, number);
    }
}

/// An output whose drop uses the arena that it comes from.
struct Reenter(Rc<Arena>);

impl Drop for Reenter {
    fn drop(&mut self) {
        // More than the page has free cells, so that another page is added at this time.
        let keys: Vec<_> = (0..=CELLS_PER_PAGE)
            .map(|_| insert(&self.0, op::Nop::new()))
            .collect();
        for key in keys {
            assert!(matches!(self.0.abandon(key), Abandoned::Cancel(_)));
            land_orphan(&self.0, key);
            self.0.release_orphan(key);
        }
    }
}

#[test]
fn a_destructor_may_use_the_arena() {
    let arena = Rc::new(Arena::new());
    let (operation, log) = parcel(Reenter(Rc::clone(&arena)));
    let key = insert(&arena, operation);
    assert!(matches!(arena.abandon(key), Abandoned::Cancel(_)));
    land_orphan(&arena, key);
    arena.release_orphan(key);
    assert_eq!((log.dropped(), arena.in_flight_count()), (1, 0));
    assert!(arena.keys_to_cancel().is_empty());
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a destructor that panics");
    }
}

#[test]
fn a_destructor_that_panics_frees_its_cell() {
    let arena = Arena::new();
    let key = insert(&arena, parcel(Bomb).0);
    land_quietly(&arena, key, Ok(0));
    assert!(matches!(arena.abandon(key), Abandoned::ReleaseOrphan));
    catch_unwind(AssertUnwindSafe(|| arena.release_orphan(key))).unwrap_err();

    let next = insert(&arena, op::Nop::new());
    assert_eq!(next.index, key.index);
    land_quietly(&arena, next, Ok(0));
}

/// An operation whose `request` panics, as with a faulty buffer.
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
    let arena = Arena::new();
    let (operation, log) = parcel(cargo);
    catch_unwind(AssertUnwindSafe(|| insert(&arena, Faulty(operation)))).unwrap_err();
    assert_eq!((arena.in_flight_count(), log.dropped()), (0, 1));
    let next = insert(&arena, op::Nop::new());
    assert_eq!(
        (next.index, next.generation),
        (0, 1),
        "the cell is used again"
    );
    land_quietly(&arena, next, Ok(0));
}

#[test]
fn an_operation_whose_request_panics_frees_its_cell() {
    check_faulty([0_u8; 8]);
    check_faulty([0_u8; 4096]);
}

struct CountingWaker;

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn the_arena_keeps_one_waker_and_returns_it_at_completion() {
    let arena = Arena::new();
    let key = insert(&arena, op::Nop::new());
    let counter = Arc::new(CountingWaker);
    let waker = Waker::from(Arc::clone(&counter));
    // SAFETY: inserted with this type; the arena outlives the handle.
    let handle = unsafe { arena.handle_of::<op::Nop>(key) };
    drop(handle.set_waiter(waker.clone()));
    assert!(!handle.is_waiter(Waker::noop()));
    drop(handle.set_waiter(waker));
    assert_eq!(Arc::strong_count(&counter), 2);
    assert!(matches!(arena.complete(key, Ok(0)), OnComplete::Wake(_)));
    assert_eq!(Arc::strong_count(&counter), 1);
}

#[test]
fn an_external_operation_frees_its_cell_at_completion() {
    let arena = Arena::new();
    let key = arena.insert_external(Request::Nop, 42);
    assert!(arena.keys_of_caller(42) == [key]);
    assert!(arena.keys_of_caller(43).is_empty());
    assert!(matches!(
        arena.complete(key, Err(9)),
        OnComplete::Report(42, Err(9))
    ));
    assert!(arena.keys_to_cancel().is_empty());
}

#[test]
fn an_arena_dropped_with_an_operation_in_flight_frees_nothing() {
    let arena = Arena::new();
    let (operation, log) = parcel([1_u8; 8]);
    let key = insert(&arena, operation);
    // SAFETY: a live header.
    let place = unsafe { storage_behind(arena.header(key)) };
    let Page { base, stride } = arena.pages()[0];
    drop(arena);
    assert_eq!(log.dropped(), 0);

    // SAFETY: the arena has leaked the page for the kernel, which this test replaces: it is still valid.
    unsafe {
        drop(place.cast::<Parcel<[u8; 8]>>().read());
        Page { base, stride }.free();
    }
    assert_eq!(log.dropped(), 1);
}

#[test]
fn age_of_an_operation_is_exact_at_any_age() {
    const LIMIT: u64 = 1 << 31;
    let arena = Arena::new();
    arena.set_now(7);
    let (old, _) = parcel(());
    // SAFETY: the handles are dropped before the arena.
    let (old, _) = unsafe { arena.insert(old) };
    let begins = |arena: &Arena| -> Vec<u64> {
        let records = arena.records(&Default::default(), |_| false);
        records.iter().map(|record| record.begun_at).collect()
    };
    arena.set_now(LIMIT - 1);
    assert_eq!(begins(&arena), [7]);
    let (young, _) = parcel(());
    // SAFETY: as above.
    let (young, _) = unsafe { arena.insert(young) };
    // Five hours of microseconds, at once and in steps.
    for now in [LIMIT, LIMIT + 10, 3 * LIMIT / 2, 8 * LIMIT, 9 * LIMIT] {
        arena.set_now(now);
        assert_eq!(begins(&arena), [7, LIMIT - 1]);
    }
    for handle in [old, young] {
        assert!(matches!(
            arena.complete(handle.key(), Ok(0)),
            OnComplete::Nothing
        ));
        drop(handle.take(&arena));
    }
}
