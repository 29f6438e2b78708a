//! Cancel tokens: cancelling operations without loss.

use std::{cell::Cell, io::Write, mem::MaybeUninit, rc::Rc, sync::Arc, task::Poll};

use compio_driver::{
    CancelToken, Driver,
    op::{Blocking, Nop, Recv, Send},
};
use compio_io::buf::{IoBuf, IoBufMut};

use crate::support::{
    Bell, begin, check_returned, code, drain, each_backend, poll_once, poll_with, run, share, tcp,
};

/// A pending receive, begun in the scopes of these tokens.
fn waiting(
    driver: &Driver,
    tokens: &[&CancelToken],
) -> (compio_driver::Submit<Recv<Vec<u8>>>, std::net::TcpStream) {
    let (peer, socket) = tcp();
    let mut receive = driver.submit(Recv::new(share(socket), b"kept".to_vec(), 0));
    let scopes: Vec<_> = tokens.iter().map(|token| driver.scope(token)).collect();
    begin(driver, &mut receive);
    drop(scopes);
    (receive, peer)
}

#[test]
fn an_operation_of_the_scope_is_cancelled_and_returns_its_buffer() {
    for driver in each_backend() {
        let token = CancelToken::new();
        let (receive, _peer) = waiting(&driver, &[&token]);
        token.cancel();
        assert!(token.is_cancelled());
        check_returned(run(&driver, receive), code::CANCELLED, b"kept");
    }
}

#[test]
fn an_operation_outside_of_the_scope_goes_on() {
    for driver in each_backend() {
        let token = CancelToken::new();
        let (before, mut peer) = waiting(&driver, &[]);
        let (other, mut other_peer) = waiting(&driver, &[&CancelToken::new()]);
        token.cancel();
        peer.write_all(b"one").unwrap();
        other_peer.write_all(b"two").unwrap();
        assert_eq!(run(&driver, before).1, b"one");
        assert_eq!(run(&driver, other).1, b"two");
    }
}

#[test]
fn scopes_lie_in_each_other() {
    for driver in each_backend() {
        for cancel_outer in [false, true] {
            let (outer, inner) = (CancelToken::new(), CancelToken::new());
            let (receive, _peer) = waiting(&driver, &[&outer, &inner]);
            if cancel_outer { &outer } else { &inner }.cancel();
            check_returned(run(&driver, receive), code::CANCELLED, b"kept");
        }
    }
}

#[test]
fn the_first_of_completion_and_cancel_counts() {
    for driver in each_backend() {
        let token = CancelToken::new();
        let (receive, mut peer) = waiting(&driver, &[&token]);
        peer.write_all(b"late").unwrap();
        // A turn that completes another operation takes this completion, too.
        let (second, mut second_peer) = waiting(&driver, &[]);
        second_peer.write_all(b"x").unwrap();
        run(&driver, second).0.unwrap();
        token.cancel();
        let (read, buffer) = run(&driver, receive);
        match read {
            Ok(len) => assert_eq!((len, &buffer[..]), (4, &b"late"[..])),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(code::CANCELLED));
                assert_eq!(buffer, b"kept");
            }
        }
    }
}

#[test]
fn a_cancelled_token_lets_nothing_begin() {
    for driver in each_backend() {
        let token = CancelToken::new();
        token.cancel();
        token.cancel();
        let (_peer, socket) = tcp();
        let mut send = driver.submit(Send::new(share(socket), b"kept".to_vec(), 0));
        let scope = driver.scope(&token);
        let Poll::Ready(result) = poll_once(&driver, &mut send) else {
            panic!("it should be refused at once");
        };
        check_returned(result, code::CANCELLED, b"kept");
        drop(scope);
        assert_eq!(driver.in_flight(), 0);
        assert_eq!(run(&driver, driver.submit(Nop::new())).unwrap(), 0);
    }
}

#[test]
fn a_token_cancels_after_thousands_of_operations() {
    for driver in each_backend() {
        let token = CancelToken::new();
        for _ in 0..2000 {
            let mut nop = driver.submit(Nop::new());
            let scope = driver.scope(&token);
            assert!(poll_once(&driver, &mut nop).is_pending());
            drop(scope);
            run(&driver, nop).unwrap();
        }
        let (receive, _peer) = waiting(&driver, &[&token]);
        token.cancel();
        check_returned(run(&driver, receive), code::CANCELLED, b"kept");
    }
}

#[test]
fn a_token_ignores_dropped_futures_and_drivers() {
    for driver in each_backend() {
        let token = CancelToken::new();
        let (receive, _peer) = waiting(&driver, &[&token]);
        drop(receive);
        drain(&driver);
        let (_receive, _peer) = waiting(&driver, &[&token]);
        drop(driver);
        token.cancel();
    }
}

#[test]
fn blocking_work_of_a_cancelled_token_never_runs() {
    for driver in each_backend() {
        let token = CancelToken::new();
        let ran = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let flag = ran.clone();
        token.cancel();
        let mut work = driver.submit(Blocking::new(move || {
            flag.store(true, std::sync::atomic::Ordering::Relaxed);
        }));
        let _scope = driver.scope(&token);
        assert!(matches!(poll_once(&driver, &mut work), Poll::Ready(Err(_))));
        assert!(!ran.load(std::sync::atomic::Ordering::Relaxed));
    }
}

#[test]
fn a_task_that_waits_for_the_cancel_is_woken() {
    let token = CancelToken::new();
    let (bell, waker) = Bell::new();
    let mut cancelled = token.cancelled();
    assert!(poll_with(&mut cancelled, &waker).is_pending());
    assert!(poll_with(&mut cancelled, &waker).is_pending());
    assert_eq!(bell.rings(), 0);
    token.clone().cancel();
    assert_eq!(bell.rings(), 1);
    assert!(poll_with(&mut cancelled, &waker).is_ready());
}

#[test]
fn a_dropped_wait_for_the_cancel_leaves_no_waker() {
    let token = CancelToken::new();
    let (bell, waker) = Bell::new();
    for _ in 0..1000 {
        let mut cancelled = token.cancelled();
        assert!(poll_with(&mut cancelled, &waker).is_pending());
    }
    drop(waker);
    assert_eq!(Arc::strong_count(&bell), 1);
    token.cancel();
    assert_eq!(bell.rings(), 0);
}

#[test]
fn the_last_waker_is_the_one_that_is_woken() {
    let token = CancelToken::new();
    let (first, first_waker) = Bell::new();
    let (last, last_waker) = Bell::new();
    let mut cancelled = token.cancelled();
    assert!(poll_with(&mut cancelled, &first_waker).is_pending());
    assert!(poll_with(&mut cancelled, &last_waker).is_pending());
    token.cancel();
    assert_eq!((first.rings(), last.rings()), (0, 1));
}

#[test]
fn a_waker_may_use_the_token_again() {
    let driver = Driver::new().unwrap();
    let token = CancelToken::new();
    let seen = Rc::new(Cell::new(false));
    let noted = Rc::clone(&seen);
    let handle = token.clone();
    let mut future = Box::pin(async move {
        handle.cancelled().await;
        handle.cancel();
        noted.set(true);
    });
    assert!(poll_once(&driver, &mut future).is_pending());
    token.cancel();
    run(&driver, future);
    assert!(seen.get());
}

#[test]
fn scopes_may_be_left_in_any_order() {
    for driver in each_backend() {
        let (outer, inner) = (CancelToken::new(), CancelToken::new());
        let outer_scope = driver.scope(&outer);
        let inner_scope = driver.scope(&inner);
        drop(outer_scope);
        let (mut of_the_inner, _peer) = waiting(&driver, &[]);
        drop(inner_scope);
        let (of_nobody, mut peer) = waiting(&driver, &[]);
        outer.cancel();
        run(&driver, driver.submit(Nop::new())).unwrap();
        assert!(poll_once(&driver, &mut of_the_inner).is_pending());
        inner.cancel();
        check_returned(run(&driver, of_the_inner), code::CANCELLED, b"kept");
        peer.write_all(b"came").unwrap();
        assert_eq!(run(&driver, of_nobody).1, b"came");
    }
}

/// A buffer that cancels the token when the driver asks for its pointer.
struct Trap(CancelToken, Vec<u8>);

// SAFETY: the vector's contract is this type's.
unsafe impl IoBuf for Trap {
    fn as_init(&self) -> &[u8] {
        self.1.as_init()
    }

    fn buf_capacity(&self) -> usize {
        self.1.buf_capacity()
    }
}

// SAFETY: the vector's contract is this type's.
unsafe impl IoBufMut for Trap {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        self.0.cancel();
        // SAFETY: passed on from this function.
        unsafe { self.1.as_uninit() }
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: passed on from this function.
        unsafe { self.1.set_init(len) };
    }
}

#[test]
fn a_buffer_may_cancel_its_own_operation() {
    for driver in each_backend() {
        let token = CancelToken::new();
        let (_peer, socket) = tcp();
        let buffer = Trap(token.clone(), b"kept".to_vec());
        let mut receive = driver.submit(Recv::new(share(socket), buffer, 0));
        let scope = driver.scope(&token);
        let first = poll_once(&driver, &mut receive);
        drop(scope);
        let (result, buffer) = match first {
            Poll::Ready(result) => result,
            Poll::Pending => run(&driver, receive),
        };
        check_returned((result, buffer.1), code::CANCELLED, b"kept");
        assert_eq!(driver.in_flight(), 0);
    }
}
