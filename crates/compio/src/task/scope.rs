//! Futures that borrow from the stack of their parent, and run concurrently on its task.
//!
//! The future of the scope owns its children and polls them itself. So a child lives no longer than
//! that future, and a leaked future is a leak of the children, too: no code polls them again.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    rc::{Rc, Weak},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use slab::Slab;

use super::ready_list::{Member, ReadyList};

/// Runs `body`, and with it the futures that it spawns on the [`Scope`]. They may borrow whatever lives
/// longer than the scope. Completes when all of them have completed.
///
/// The children run on this task: concurrently, and not in parallel. **They make progress only while the
/// future of the scope is polled.** [`spawn`](super::spawn()) starts tasks of their own, which cannot
/// borrow.
///
/// # Cancellation
///
/// Drops body and children.
///
/// # Panics
///
/// If the body or a child panics. The others are dropped.
///
/// # Example
///
/// ```
/// use std::cell::Cell;
///
/// use compio::task;
///
/// #[compio::main]
/// async fn main() {
///     let sum = Cell::new(0);
///     let numbers = vec![1, 2, 3];
///     task::scope(|scope| {
///         for number in &numbers {
///             let sum = &sum;
///             scope.spawn(async move {
///                 task::yield_now().await;
///                 sum.set(sum.get() + number);
///             });
///         }
///         async {}
///     })
///     .await;
///     assert_eq!(sum.get(), 6);
/// }
/// ```
pub async fn scope<'env, B, F>(body: B) -> F::Output
where
    B: FnOnce(Scope<'env>) -> F,
    F: Future,
{
    let children = Rc::new(Children::default());
    let scope = Scope {
        children: Rc::downgrade(&children),
    };
    let body_member = children.ready.member(BODY);
    body_member.wake_by_ref();
    let mut body = pin!(body(scope));
    let mut output = None;
    poll_fn(|cx| {
        // Only the members that are ready now: a member that wakes itself must not keep this task.
        for _ in 0..children.ready.len() {
            let Poll::Ready(member) = children.ready.poll_next(cx) else {
                break;
            };
            if !Arc::ptr_eq(&member, &body_member) {
                children.poll(member);
            } else if output.is_none() {
                let waker = Waker::from(member);
                if let Poll::Ready(ready) = body.as_mut().poll(&mut Context::from_waker(&waker)) {
                    output = Some(ready);
                }
            }
        }
        if children.is_empty()
            && let Some(output) = output.take()
        {
            return Poll::Ready(output);
        }
        children.ready.wake_at_next(cx);
        Poll::Pending
    })
    .await
}

/// The index of the body, which is no child.
const BODY: usize = usize::MAX;

/// Spawns futures that may borrow, in [`scope`]. A clone may be moved into a child, which can spawn further
/// ones.
pub struct Scope<'env> {
    children: Weak<Children<'env>>,
}

#[derive(Default)]
struct Children<'env> {
    futures: RefCell<Slab<Child<'env>>>,
    ready: Arc<ReadyList>,
}

type ChildFuture<'env> = Pin<Box<dyn Future<Output = ()> + 'env>>;

struct Child<'env> {
    /// `None` while it is polled, and after it has panicked.
    future: Option<ChildFuture<'env>>,
    member: Arc<Member>,
}

impl<'env> Scope<'env> {
    /// Adds a child. The scope's future polls it for the first time when it is polled next.
    ///
    /// Dropping the handle detaches the child; the scope still waits for it.
    ///
    /// # Panics
    ///
    /// If the scope has ended.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> ScopedJoinHandle<F::Output>
    where
        F: Future + 'env,
        F::Output: 'env,
    {
        let Some(children) = self.children.upgrade() else {
            panic!("the scope of this child has ended");
        };
        let slot = Rc::new(Slot::default());
        let promise = Promise(Rc::clone(&slot));
        let future = Box::pin(async move {
            let output = future.await;
            promise.keep(output);
        });
        let member = children.insert(future);
        // Nothing is borrowed: it runs user code.
        member.wake_by_ref();
        ScopedJoinHandle { slot }
    }
}

impl Drop for Children<'_> {
    fn drop(&mut self) {
        self.ready.close();
    }
}

impl<'env> Children<'env> {
    fn insert(&self, future: ChildFuture<'env>) -> Arc<Member> {
        let mut futures = self.futures.borrow_mut();
        let entry = futures.vacant_entry();
        let member = self.ready.member(entry.key());
        entry.insert(Child {
            future: Some(future),
            member: Arc::clone(&member),
        });
        member
    }

    fn is_empty(&self) -> bool {
        self.futures.borrow().is_empty()
    }

    /// Polls a child that has been woken, unless its place belongs to another one by now. Nothing is borrowed
    /// meanwhile: it may spawn.
    fn poll(&self, member: Arc<Member>) {
        let index = member.index;
        let taken = match self.futures.borrow_mut().get_mut(index) {
            Some(child) if Arc::ptr_eq(&child.member, &member) => child.future.take(),
            Some(_) | None => None,
        };
        let Some(mut future) = taken else {
            return;
        };
        let waker = Waker::from(member);
        if future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
        {
            self.futures.borrow_mut()[index].future = Some(future);
            return;
        }
        let child = self.futures.borrow_mut().remove(index);
        child.member.retire();
        drop(future);
    }
}

impl Clone for Scope<'_> {
    fn clone(&self) -> Self {
        Self {
            children: Weak::clone(&self.children),
        }
    }
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

/// Waits for a child of a [`scope`], and yields its output.
///
/// # Cancellation
///
/// Awaiting `&mut handle` and dropping that future loses nothing.
///
/// # Panics
///
/// A poll panics if the child was dropped before its end, with its scope; or after the handle has yielded the
/// output.
pub struct ScopedJoinHandle<T> {
    slot: Rc<Slot<T>>,
}

impl<T> fmt::Debug for ScopedJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").finish_non_exhaustive()
    }
}

struct Slot<T> {
    progress: Cell<Progress<T>>,
    waker: Cell<Option<Waker>>,
}

#[derive(Default)]
enum Progress<T> {
    #[default]
    Running,
    Finished(T),
    /// The output was taken, or the child was dropped.
    Gone,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            progress: Cell::default(),
            waker: Cell::new(None),
        }
    }
}

impl<T> Slot<T> {
    fn end(&self, progress: Progress<T>) {
        self.progress.set(progress);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The duty to fill a slot. Its drop reports that the child is gone.
struct Promise<T>(Rc<Slot<T>>);

impl<T> Promise<T> {
    fn keep(self, output: T) {
        self.0.end(Progress::Finished(output));
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        // Unless the output is there, or was there.
        match self.0.progress.take() {
            Progress::Running => self.0.end(Progress::Gone),
            progress @ (Progress::Finished(_) | Progress::Gone) => self.0.progress.set(progress),
        }
    }
}

impl<T> Future for ScopedJoinHandle<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match self.slot.progress.replace(Progress::Gone) {
            Progress::Finished(output) => Poll::Ready(output),
            Progress::Running => {
                self.slot.progress.set(Progress::Running);
                drop(self.slot.waker.replace(Some(cx.waker().clone())));
                Poll::Pending
            }
            Progress::Gone => panic!(
                "a child of a scope has no output: it was dropped with its scope, or the output was taken"
            ),
        }
    }
}
