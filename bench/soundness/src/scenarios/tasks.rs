//! Tasks, their wakers and their handles.

use std::{
    future::poll_fn,
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
    thread,
    time::Duration,
};

use crate::{
    common::{Seen, connect, connected, look, pause, report, run, stage, within},
    contender::Contender,
};

/// A waker outlives its runtime.
pub fn waker<C: Contender>() {
    let mut runtime = C::runtime().expect("the runtime can be made");
    let kept = Arc::new(Mutex::new(None::<Waker>));
    let keep = kept.clone();
    C::block_on(&mut runtime, async {
        C::detach(poll_fn(move |cx| {
            *keep.lock().expect("not poisoned") = Some(cx.waker().clone());
            Poll::Pending
        }));
        pause::<C>(5).await;
    });
    stage("the runtime's drop");
    drop(runtime);
    stage("the wake");
    let waker = kept.lock().expect("not poisoned").take();
    let waker = waker.expect("the task was polled");
    tell(thread::spawn(move || {
        waker.wake_by_ref();
        drop(waker.clone());
        waker.wake();
        "nothing happens".into()
    }));
}

/// A join handle outlives its runtime.
pub fn handle<C: Contender>() {
    let mut runtime = C::runtime().expect("the runtime can be made");
    let handle = C::block_on(&mut runtime, async {
        let handle = C::pending_handle();
        pause::<C>(5).await;
        handle
    });
    let Some(handle) = handle else {
        report("the compiler refuses it: the handle is not `Send`");
    };
    stage("the runtime's drop");
    drop(runtime);
    stage("the poll");
    tell(thread::spawn(handle));
}

fn tell(other: thread::JoinHandle<String>) {
    match other.join() {
        Ok(said) => report(&said),
        Err(_) => report("the other thread panicked"),
    }
}

/// Another thread wakes a sleeping runtime.
pub fn remote<C: Contender>() {
    const WAKES: usize = 200;
    run::<C, _>(async {
        let waiting = Arc::new(Mutex::new(None::<Waker>));
        let count = Arc::new(AtomicUsize::new(0));
        let (there, counted) = (waiting.clone(), count.clone());
        let other = thread::spawn(move || {
            while counted.load(Ordering::Acquire) < WAKES {
                let waker = there.lock().expect("not poisoned").take();
                match waker {
                    Some(waker) => {
                        // So that it sleeps again.
                        thread::sleep(Duration::from_micros(200));
                        counted.fetch_add(1, Ordering::AcqRel);
                        waker.wake();
                    }
                    None => thread::yield_now(),
                }
            }
        });
        stage("a wake");
        for round in 1..=WAKES {
            poll_fn(|cx| {
                if count.load(Ordering::Acquire) >= round {
                    return Poll::Ready(());
                }
                *waiting.lock().expect("not poisoned") = Some(cx.waker().clone());
                Poll::Pending
            })
            .await;
        }
        other.join().expect("the other thread does not panic");
        report(&format!("all {WAKES} arrived"));
    });
}

/// A task panics.
pub fn panic<C: Contender>() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut runtime = C::runtime().expect("the runtime can be made");
    let said = Arc::new(Mutex::new(None));
    let say = said.clone();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        C::block_on(&mut runtime, async {
            stage("the panic");
            let joined = C::join(async { panic!("on purpose") });
            let joined = within::<C, _>(500, joined).await;
            *say.lock().expect("not poisoned") = Some(match joined {
                Some(Err(error)) => format!("the handle says \"{}\"", error.trim()),
                Some(Ok(())) => "the handle says all was well".into(),
                None => "the handle says nothing".into(),
            });
        });
    }));
    let said = said.lock().map_or(None, |mut said| said.take());
    let said = match (caught, said) {
        (Err(_), _) => "`block_on` panics with it".into(),
        (Ok(()), said) => said.unwrap_or_default(),
    };
    stage(&format!("another task ({said})"));
    let alive = catch_unwind(AssertUnwindSafe(|| {
        C::block_on(&mut runtime, async {
            let other = C::join(async { pause::<C>(1).await });
            within::<C, _>(500, other).await == Some(Ok(()))
        })
    }));
    let alive = match alive {
        Ok(true) => "the runtime goes on",
        Ok(false) => "another task does not run any more",
        Err(_) => "the next `block_on` panics",
    };
    report(&format!("{said}; {alive}"));
}

/// Operations that are never polled.
pub fn unpolled<C: Contender>() {
    run::<C, _>(async {
        let (listener, address) = C::listen().await.expect("a listener");
        let mut waiting = connect(address);
        let (mut stream, mut peer) = connected::<C>().await;
        peer.write_all(b"here").expect("there is room");
        let accept = C::accept(&listener);
        let read = C::read(&mut stream, Vec::with_capacity(100));
        pause::<C>(5).await;
        drop((accept, read));
        let write = C::write(&mut stream, b"there".to_vec());
        pause::<C>(5).await;
        drop(write);
        let written = look(&mut peer) != Seen::Silence;
        let accepted = look(&mut waiting) != Seen::Silence;
        let read = C::read(&mut stream, Vec::with_capacity(100));
        let bytes = within::<C, _>(200, read).await.map(|(_, bytes)| bytes);
        let read = bytes.as_deref() != Some(b"here");
        if written || accepted || read {
            let done = |done| if done { "DONE" } else { "not done" };
            report(&format!(
                "read {}, write {}, accept {}",
                done(read),
                done(written),
                done(accepted)
            ));
        }
        report("nothing happens");
    });
}
