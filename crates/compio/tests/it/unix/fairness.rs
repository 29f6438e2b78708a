//! The bound of fairness for sockets. A write to a Unix socket is complete when it returns, so that the
//! test knows the moment at which the peer is readable.

use std::{
    cell::{Cell, RefCell},
    io::Write,
    os::unix::net::UnixStream as StdStream,
    sync::atomic::Ordering::SeqCst,
};

use compio::{io::AsyncRead, net::UnixStream, task::spawn};

use crate::{
    fairness_bounds::{Crowd, WARM_UP, check_bound},
    support::run,
};

/// The polls between a write to a socket and the poll of the task that reads.
async fn until_readable(tasks: usize) -> usize {
    let (near, far) = StdStream::pair().unwrap();
    let far = RefCell::new(far);
    let calls = Cell::new(0);
    let crowd = Crowd::new(tasks, move || {
        calls.set(calls.get() + 1);
        if calls.get() == WARM_UP {
            far.borrow_mut().write_all(b"x").unwrap();
        }
        calls.get() == WARM_UP
    });
    let polls = crowd.polls();
    let mut near = UnixStream::from_std(near).unwrap();
    let task = spawn(async move {
        assert_eq!(near.read([0; 1]).await.0.unwrap(), 1);
        polls.load(SeqCst)
    });
    let readable = task.await.unwrap();
    crowd.end(readable).await
}

#[test]
fn socket_waits_for_bounded_polls() {
    run(check_bound(until_readable));
}
