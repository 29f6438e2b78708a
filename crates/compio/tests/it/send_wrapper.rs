//! Values that other threads may hold and drop.

use std::{
    cell::Cell,
    rc::Rc,
    sync::mpsc::{self, Sender},
    thread,
    time::Duration,
};

use compio::{
    runtime::{Handle, Runtime, SendWrapper},
    task::spawn,
    time::sleep,
};

use crate::support::run;

/// Sends its thread when it is dropped.
struct Recorded(Sender<thread::ThreadId>, Rc<Cell<u32>>);

impl Drop for Recorded {
    fn drop(&mut self) {
        let _ = self.0.send(thread::current().id());
    }
}

#[test]
fn drop_on_another_thread_ends_the_park_of_the_home_thread() {
    run(async {
        let (drops, dropped) = mpsc::channel();
        let wrapped = SendWrapper::new(Recorded(drops, Rc::default()));
        let other = thread::spawn(move || drop(wrapped));
        // The runtime parks in between.
        while !other.is_finished() {
            sleep(Duration::from_millis(1)).await;
        }
        other.join().unwrap();
        let home = loop {
            if let Ok(thread) = dropped.try_recv() {
                break thread;
            }
            sleep(Duration::from_millis(1)).await;
        };
        assert_eq!(home, thread::current().id());
    });
}

#[test]
fn drop_after_the_end_of_the_runtime_leaks() {
    let (drops, dropped) = mpsc::channel();
    let local = Rc::new(Cell::new(0));
    let runtime = Runtime::new().unwrap();
    let inner = Rc::clone(&local);
    let wrapped = runtime.enter(|| SendWrapper::new(Recorded(drops, inner)));
    drop(runtime);
    thread::spawn(move || drop(wrapped)).join().unwrap();
    assert!(dropped.try_recv().is_err());
    assert_eq!(Rc::strong_count(&local), 2);
}

#[test]
fn wrapper_made_outside_of_a_runtime_is_used_and_dropped_at_home() {
    let (drops, dropped) = mpsc::channel();
    let wrapped = SendWrapper::new(Recorded(drops, Rc::default()));
    let wrapped = thread::spawn(move || wrapped).join().unwrap();
    wrapped.1.set(1);
    drop(wrapped);
    assert_eq!(dropped.try_recv(), Ok(thread::current().id()));
}

#[test]
fn task_of_wrapped_future_is_spawned_where_send_is_required() {
    run(async {
        let local = Rc::new(Cell::new(0));
        let inner = Rc::clone(&local);
        let future = SendWrapper::new(async move {
            sleep(Duration::from_millis(1)).await;
            inner.set(1);
        });
        // Requires `Send`.
        Handle::current().spawn(future).await.unwrap();
        assert_eq!(local.get(), 1);
    });
}

#[test]
fn panic_on_another_thread_reaches_its_joiner_and_the_value_goes_home() {
    run(async {
        let (drops, dropped) = mpsc::channel();
        let wrapped = SendWrapper::new(Recorded(drops, Rc::default()));
        let other = spawn(async move {
            let other = thread::spawn(move || wrapped.1.get());
            while !other.is_finished() {
                sleep(Duration::from_millis(1)).await;
            }
            other.join().unwrap_err()
        });
        let payload = other.await.unwrap();
        let message = payload.downcast_ref::<String>().expect("a text");
        assert!(message.contains("Handle::spawn_with"), "{message}");
        while dropped.try_recv() != Ok(thread::current().id()) {
            sleep(Duration::from_millis(1)).await;
        }
    });
}

/// A body of one frame, which stays on its thread.
#[cfg(feature = "hyper")]
struct OneFrame(Option<&'static [u8]>, std::marker::PhantomData<Rc<()>>);

#[cfg(feature = "hyper")]
impl hyper::body::Body for OneFrame {
    type Data = &'static [u8];
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        let data = self.0.take();
        std::task::Poll::Ready(data.map(|data| Ok(hyper::body::Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        let len = self.0.map_or(0, <[u8]>::len);
        hyper::body::SizeHint::with_exact(len as u64)
    }
}

#[cfg(feature = "hyper")]
#[test]
fn wrapped_body_gives_its_frames_at_home_and_no_hints_elsewhere() {
    use hyper::body::Body;

    run(async {
        let wrapped = SendWrapper::new(OneFrame(Some(b"hello"), Default::default()));
        assert_eq!(wrapped.size_hint().exact(), Some(5));
        let other = thread::spawn(move || {
            let hint = wrapped.size_hint();
            (wrapped.is_end_stream(), hint.exact(), wrapped)
        });
        let (is_end, exact, mut wrapped) = other.join().unwrap();
        assert_eq!((is_end, exact), (false, None));
        let mut next = async || {
            let poll =
                |cx: &mut std::task::Context<'_>| std::pin::Pin::new(&mut wrapped).poll_frame(cx);
            std::future::poll_fn(poll).await
        };
        let frame = next().await.expect("a frame").unwrap();
        assert_eq!(frame.into_data().unwrap(), b"hello");
        assert!(next().await.is_none());
        assert!(wrapped.is_end_stream());
    });
}
