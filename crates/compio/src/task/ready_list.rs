//! The members of a set that have been woken, and the waker of the task that polls the set.
//!
//! A set polls only woken members, so the cost of a wake does not depend on the size of the set.
//! Callers: [`JoinSet`](super::JoinSet), [`scope`](super::scope()).

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool,
            Ordering::{AcqRel, Release},
        },
    },
    task::{Context, Poll, Wake, Waker},
};

/// The list. Wakers of members, on any thread, share it.
#[derive(Debug, Default)]
pub(super) struct ReadyList {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Arc<Member>>,
    /// Woken when a member is.
    poller: Option<Waker>,
    /// The set is gone: a listed member would keep the list alive, and the list the member.
    is_closed: bool,
}

/// A member of a set, as a waker.
#[derive(Debug)]
pub(super) struct Member {
    /// Its place in the set.
    pub(super) index: usize,
    is_ready: AtomicBool,
    list: Arc<ReadyList>,
}

impl ReadyList {
    /// A new member. It is polled once it has been woken.
    pub(super) fn member(self: &Arc<Self>, index: usize) -> Arc<Member> {
        Arc::new(Member {
            index,
            is_ready: AtomicBool::new(false),
            list: Arc::clone(self),
        })
    }

    /// The number of woken members.
    pub(super) fn len(&self) -> usize {
        self.lock().ready.len()
    }

    /// Wakes the task of `cx` with the next member, or now if there is one.
    pub(super) fn wake_at_next(&self, cx: &Context<'_>) {
        let waker = cx.waker().clone();
        let mut state = self.lock();
        if state.ready.is_empty() {
            let unused = state.poller.replace(waker);
            drop(state);
            drop(unused);
        } else {
            drop(state);
            waker.wake();
        }
    }

    /// Takes the next woken member. If there is none, the task of `cx` is woken with the next one.
    pub(super) fn poll_next(&self, cx: &Context<'_>) -> Poll<Arc<Member>> {
        // Cloned and dropped outside of the lock: both run user code.
        let waker = cx.waker().clone();
        let mut state = self.lock();
        let (member, unused) = match state.ready.pop_front() {
            Some(member) => (Some(member), Some(waker)),
            None => (None, state.poller.replace(waker)),
        };
        drop(state);
        drop(unused);
        match member {
            Some(member) => {
                // AcqRel: pairs with the swap in `wake_by_ref`. The poll that follows sees the writes
                // before the wake; a later wake lists the member again.
                member.is_ready.swap(false, AcqRel);
                Poll::Ready(member)
            }
            None => Poll::Pending,
        }
    }

    /// Empties the list for good. A set calls it at its end.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let rest = (mem::take(&mut state.ready), state.poller.take());
        drop(state);
        // Outside of the lock: the drop of a waker runs user code.
        drop(rest);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// From now on, wakes have no effect.
    pub(super) fn retire(&self) {
        // Release: as a wake, which it prevents.
        self.is_ready.store(true, Release);
    }
}

impl Wake for Member {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // AcqRel: pairs with the swap in `poll_next`.
        if self.is_ready.swap(true, AcqRel) {
            return;
        }
        let poller = {
            let mut state = self.list.lock();
            if state.is_closed {
                return;
            }
            state.ready.push_back(Arc::clone(self));
            state.poller.take()
        };
        if let Some(poller) = poller {
            poller.wake();
        }
    }
}
