//! The part of a task that depends on its future's type, behind one static table per type.
//!
//! All user code of a task runs here, and no panic escapes: see [`poll`] and [`cancel`].

use std::{
    alloc::Layout,
    any::Any,
    cell::UnsafeCell,
    mem::{ManuallyDrop, needs_drop, offset_of},
    panic::{AssertUnwindSafe, Location, catch_unwind},
    pin::Pin,
    sync::Arc as StdArc,
    task::{Context, Poll},
};

use crate::{
    join_error::Failure,
    meta::{TaskId, TaskMeta},
    panics::{discard, drop_caught},
    scheduler::Scheduler,
    sync::Arc,
    task::{Header, TaskPtr},
};

pub(crate) struct VTable {
    /// Polls; on `true` the future is dropped, and an output is stored.
    pub(crate) poll: unsafe fn(TaskPtr, &mut Context<'_>) -> bool,
    /// Drops the future unpolled, and stores an output.
    pub(crate) cancel: unsafe fn(TaskPtr),
    /// Drops the output.
    pub(crate) drop_output: unsafe fn(TaskPtr),
    /// The layout of the whole task, whose memory comes from a box.
    pub(crate) layout: Layout,
    /// The offset of the output, a `Result<F::Output, Failure>`, in bytes from the header.
    output_offset: usize,
    /// The offset of the name, a [`Name`], in bytes from the header. 0 for a task without one.
    name_offset: usize,
}

/// The name of a task.
type Name = StdArc<str>;

#[repr(C)]
struct Task<F: Future> {
    header: Header,
    stage: UnsafeCell<Stage<F>>,
}

/// A task with a name. Few tasks have one, and the others are smaller.
#[repr(C)]
struct NamedTask<F: Future> {
    task: Task<F>,
    name: Name,
}

/// The future, then the output in its place; the header's state tells which (M3, M4).
#[repr(C)]
union Stage<F: Future> {
    future: ManuallyDrop<F>,
    output: ManuallyDrop<Result<F::Output, Failure>>,
}

/// Associates the type of a future with its vtable.
struct TableOf<F>(F);

impl<F: Future> TableOf<F> {
    const TABLE: VTable = VTable {
        poll: poll::<F>,
        cancel: cancel::<F>,
        drop_output: drop_output::<F>,
        layout: Layout::new::<Task<F>>(),
        output_offset: offset_of!(Task<F>, stage),
        name_offset: 0,
    };

    const NAMED: VTable = VTable {
        layout: Layout::new::<NamedTask<F>>(),
        name_offset: offset_of!(NamedTask<F>, name),
        ..Self::TABLE
    };
}

/// A new task without a name, waiting, held by its executor and its handle.
#[inline]
pub(crate) fn allocate<F: Future + 'static>(
    scheduler: &Arc<Scheduler>,
    id: TaskId,
    location: &'static Location<'static>,
    future: F,
) -> TaskPtr {
    let header = Header::new(scheduler, id, location, &TableOf::<F>::TABLE);
    let task = Box::new(Task::new(header, future));
    // SAFETY: `repr(C)`, the header comes first; the pointer may reach the whole box.
    unsafe { TaskPtr::new(Box::into_raw(task).cast()) }
}

/// As [`allocate`], for a task that may have a name.
pub(crate) fn allocate_as<F: Future + 'static>(
    scheduler: &Arc<Scheduler>,
    meta: TaskMeta,
    future: F,
) -> TaskPtr {
    let (id, location, name) = meta.into_parts();
    let Some(name) = name else {
        return allocate(scheduler, id, location, future);
    };
    let header = Header::new(scheduler, id, location, &TableOf::<F>::NAMED);
    let task = Box::new(NamedTask {
        task: Task::new(header, future),
        name,
    });
    // SAFETY: as in `allocate`.
    unsafe { TaskPtr::new(Box::into_raw(task).cast()) }
}

impl<F: Future> Task<F> {
    #[inline]
    fn new(header: Header, future: F) -> Self {
        Self {
            header,
            stage: UnsafeCell::new(Stage {
                future: ManuallyDrop::new(future),
            }),
        }
    }
}

/// Where the name of a task is, if it has one.
///
/// # Safety
/// The task lives (M2).
#[inline]
unsafe fn place_of_name(task: TaskPtr) -> Option<*mut Name> {
    // SAFETY: M2 for the header; the offset belongs to this task.
    unsafe {
        let offset = task.header().vtable.name_offset;
        (offset != 0).then(|| task.as_ptr().byte_add(offset).cast())
    }
}

/// The name of a task.
///
/// # Safety
/// The task lives as long as the result is used (M2).
pub(crate) unsafe fn name<'a>(task: TaskPtr) -> Option<&'a Name> {
    // SAFETY: the caller's promise; nothing writes the name before the task is freed.
    unsafe { place_of_name(task).map(|name| &*name) }
}

/// # Safety
/// The last reference of the task is gone, and the name is dropped once.
#[inline]
pub(crate) unsafe fn drop_name(task: TaskPtr) {
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(name) = place_of_name(task) {
            name.drop_in_place();
        }
    }
}

/// Moves the output out of a task.
///
/// # Safety
/// Home thread (M1). The caller has just cleared OUTPUT (M4). `T` is the output of its future.
#[inline]
pub(crate) unsafe fn take_output<T>(task: TaskPtr) -> Result<T, Failure> {
    // SAFETY: M2 for the header; the offset belongs to this task's stage, and all fields of the stage
    // have offset 0 (`repr(C)`). M4: it holds an output.
    unsafe {
        let offset = task.header().vtable.output_offset;
        task.as_ptr()
            .byte_add(offset)
            .cast::<Result<T, Failure>>()
            .read()
    }
}

/// # Safety
/// `task` is a living `Task<F>` (M2).
#[inline]
unsafe fn stage<F: Future>(task: TaskPtr) -> *mut Stage<F> {
    let task: *mut Task<F> = task.as_ptr().cast();
    // SAFETY: M2; no reference to the stage is made.
    unsafe { UnsafeCell::raw_get(&raw const (*task).stage) }
}

/// # Safety
/// Home thread (M1); Running, and the stage holds the future (M3).
unsafe fn poll<F: Future>(task: TaskPtr, cx: &mut Context<'_>) -> bool {
    // SAFETY: M2.
    let stage = unsafe { stage::<F>(task) };
    let polled = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: M3: the stage holds it, only the code that set Running touches it, and it stays
        // in place until it is dropped there.
        let future: &mut F = unsafe { &mut (*stage).future };
        // SAFETY: as above.
        unsafe { Pin::new_unchecked(future) }.poll(cx)
    }));
    let output = match polled {
        Ok(Poll::Pending) => return false,
        Ok(Poll::Ready(output)) => Ok(output),
        Err(payload) => Err(Failure::Panic(payload)),
    };
    // SAFETY: the caller's promise.
    unsafe { replace_future::<F>(task, output) };
    true
}

/// # Safety
/// Home thread (M1); Running, and the stage holds the future (M3).
unsafe fn cancel<F: Future>(task: TaskPtr) {
    // SAFETY: the caller's promise.
    unsafe { replace_future::<F>(task, Err(Failure::Cancelled)) };
}

/// Drops the future and stores the output in its place.
///
/// If the destructor panics, this panic is the output, unless the poll had panicked before.
///
/// # Safety
/// Home thread (M1); Running, the stage holds the future (M3), and no other code touches the stage.
unsafe fn replace_future<F: Future>(task: TaskPtr, mut output: Result<F::Output, Failure>) {
    // SAFETY: M2.
    let stage = unsafe { stage::<F>(task) };
    if needs_drop::<F>() {
        // SAFETY: the stage holds it, and it is never touched again, even if its destructor panics.
        let dropped = catch_unwind(AssertUnwindSafe(|| unsafe {
            ManuallyDrop::drop(&mut (*stage).future);
        }));
        if let Err(payload) = dropped {
            output = report(output, payload);
        }
    }
    if output.as_ref().is_err_and(Failure::is_panic) {
        // SAFETY: M3, so it lives.
        unsafe { task.count_panic() };
    }
    // SAFETY: nothing is left in the stage, which is large enough and aligned because it is a
    // union.
    unsafe { (&raw mut (*stage).output).write(ManuallyDrop::new(output)) };
}

/// The output of a task whose future has panicked in its destructor.
#[cold]
pub(crate) fn report<T>(
    output: Result<T, Failure>,
    payload: Box<dyn Any + Send>,
) -> Result<T, Failure> {
    if output.as_ref().is_err_and(Failure::is_panic) {
        discard(payload);
        return output;
    }
    drop_caught(output);
    Err(Failure::Panic(payload))
}

/// # Safety
/// Home thread (M1). The caller has just cleared OUTPUT (M4).
unsafe fn drop_output<F: Future>(task: TaskPtr) {
    // SAFETY: M4; it is never touched again, even if its destructor panics.
    drop_caught(unsafe { take_output::<F::Output>(task) });
}
