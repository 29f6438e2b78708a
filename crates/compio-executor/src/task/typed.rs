//! The part of a task that depends on its future's type, behind one static table per type.
//!
//! All user code of a task runs here, and no panic escapes: see [`poll`] and [`cancel`].

use std::{
    alloc::Layout,
    any::Any,
    cell::UnsafeCell,
    mem::{ManuallyDrop, needs_drop, offset_of},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    join_error::JoinError,
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
    /// The offset of the output, a `Result<F::Output, JoinError>`, in bytes from the header.
    output_offset: usize,
}

#[repr(C)]
struct Task<F: Future> {
    header: Header,
    stage: UnsafeCell<Stage<F>>,
}

/// The future, then the output in its place; the header's state tells which (M3, M4).
#[repr(C)]
union Stage<F: Future> {
    future: ManuallyDrop<F>,
    output: ManuallyDrop<Result<F::Output, JoinError>>,
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
    };
}

/// A new task, waiting, held by its executor and its handle.
#[inline]
pub(crate) fn allocate<F: Future + 'static>(scheduler: &Arc<Scheduler>, future: F) -> TaskPtr {
    let task = Box::new(Task {
        header: Header::new(scheduler, &TableOf::<F>::TABLE),
        stage: UnsafeCell::new(Stage {
            future: ManuallyDrop::new(future),
        }),
    });
    // SAFETY: `repr(C)`, the header comes first; the pointer may reach the whole box.
    unsafe { TaskPtr::new(Box::into_raw(task).cast()) }
}

/// Moves the output out of a task.
///
/// # Safety
/// Home thread (M1). The caller has just cleared OUTPUT (M4). `T` is the output of its future.
#[inline]
pub(crate) unsafe fn take_output<T>(task: TaskPtr) -> Result<T, JoinError> {
    // SAFETY: M2 for the header; the offset belongs to this task's stage, and all fields of the stage
    // have offset 0 (`repr(C)`). M4: it holds an output.
    unsafe {
        let offset = task.header().vtable.output_offset;
        task.as_ptr()
            .byte_add(offset)
            .cast::<Result<T, JoinError>>()
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
        Err(payload) => Err(JoinError::panic(payload)),
    };
    // SAFETY: the caller's promise.
    unsafe { replace_future(stage, output) };
    true
}

/// # Safety
/// Home thread (M1); Running, and the stage holds the future (M3).
unsafe fn cancel<F: Future>(task: TaskPtr) {
    // SAFETY: the caller's promise.
    unsafe { replace_future(stage::<F>(task), Err(JoinError::cancelled())) };
}

/// Drops the future and stores the output in its place.
///
/// If the destructor panics, this panic is the output, unless the poll had panicked before.
///
/// # Safety
/// The stage holds the future (M3), and no other code touches the stage.
unsafe fn replace_future<F: Future>(
    stage: *mut Stage<F>,
    mut output: Result<F::Output, JoinError>,
) {
    if needs_drop::<F>() {
        // SAFETY: the stage holds it, and it is never touched again, even if its destructor panics.
        let dropped = catch_unwind(AssertUnwindSafe(|| unsafe {
            ManuallyDrop::drop(&mut (*stage).future);
        }));
        if let Err(payload) = dropped {
            output = report(output, payload);
        }
    }
    // SAFETY: nothing is left in the stage, which is large enough and aligned because it is a
    // union.
    unsafe { (&raw mut (*stage).output).write(ManuallyDrop::new(output)) };
}

#[cold]
fn report<T>(output: Result<T, JoinError>, payload: Box<dyn Any + Send>) -> Result<T, JoinError> {
    if output.as_ref().is_err_and(JoinError::is_panic) {
        discard(payload);
        return output;
    }
    drop_caught(output);
    Err(JoinError::panic(payload))
}

/// # Safety
/// Home thread (M1). The caller has just cleared OUTPUT (M4).
unsafe fn drop_output<F: Future>(task: TaskPtr) {
    // SAFETY: M4; it is never touched again, even if its destructor panics.
    drop_caught(unsafe { take_output::<F::Output>(task) });
}
