//! Yielding to other tasks.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// Lets every other ready task run first.
///
/// # Example
///
/// ```
/// use std::{cell::RefCell, rc::Rc};
///
/// use compio::task::{block_on, spawn, yield_now};
///
/// block_on(async {
///     let said = Rc::new(RefCell::new(Vec::new()));
///     let tasks = ["ping", "pong"].map(|name| {
///         let said = said.clone();
///         spawn(async move {
///             for _ in 0..2 {
///                 said.borrow_mut().push(name);
///                 yield_now().await;
///             }
///         })
///     });
///     for task in tasks {
///         task.await.unwrap();
///     }
///     assert_eq!(*said.borrow(), ["ping", "pong", "ping", "pong"]);
/// });
/// ```
#[inline]
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// The future of [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
