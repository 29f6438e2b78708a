//! The tasks that wait for one operation, which can wake one waker only. No public API.
//!
//! Protocols over a stream (TLS, WebSocket) are the callers. Their reads send output, too, and the first write of a
//! TLS connection receives. So two tasks may wait for the same operation of the stream below.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

/// More listed tasks than these are woken early, which is harmless.
const MAX: usize = 16;

/// The tasks that wait for an operation.
#[derive(Debug, Default)]
pub struct Waiters {
    list: Arc<List>,
    /// A waker of the list, made when a second task waits.
    all: Option<Waker>,
}

#[derive(Debug, Default)]
struct List(Mutex<Vec<Waker>>);

impl List {
    fn lock(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<Waker> {
        mem::take(&mut self.lock())
    }

    /// Adds a task. The clone of a waker may be foreign code: it runs without the lock.
    fn add(&self, cx: &Context<'_>) {
        let waker = cx.waker().clone();
        self.lock().push(waker);
    }
}

impl Wake for List {
    fn wake(self: Arc<Self>) {
        for waker in self.take() {
            waker.wake();
        }
    }
}

impl Waiters {
    /// Adds the wakers of all tasks to `woken`: they poll again, and may find other work.
    pub fn take_all(&mut self, woken: &mut Vec<Waker>) {
        woken.append(&mut self.list.lock());
    }

    /// Polls the operation for one of its tasks. If it is ready, the wakers of the other tasks are added to
    /// `woken`: they wait for something else now.
    pub fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        woken: &mut Vec<Waker>,
        operation: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let (is_alone, is_listed) = {
            let mut list = self.list.lock();
            let is_listed = list.iter().any(|waker| waker.will_wake(cx.waker()));
            if list.len() > MAX {
                woken.append(&mut list);
            }
            (list.len() == usize::from(is_listed), is_listed)
        };
        if !is_alone && !is_listed {
            self.list.add(cx);
        }
        let output = if is_alone {
            operation(cx)
        } else {
            let list = &self.list;
            let all = self.all.get_or_insert_with(|| Arc::clone(list).into());
            operation(&mut Context::from_waker(all))
        };
        if output.is_ready() {
            let mut list = self.list.lock();
            woken.extend(list.drain(..).filter(|waker| !waker.will_wake(cx.waker())));
        } else if is_alone && !is_listed {
            self.list.add(cx);
        }
        output
    }
}
