//! A driver whose descriptor another driver polls, as unix allows.

use std::{io::Write, os::unix::net::UnixStream, time::Duration};

use compio_driver::{
    AsRawFd,
    op::{PollOnce, Readiness, Recv},
};

use crate::{
    support::{begin, each_backend, run, share},
    turns::check_rest,
};

#[test]
fn a_driver_waits_for_another_one() {
    for outer in each_backend() {
        for inner in each_backend() {
            let (near, mut far) = UnixStream::pair().unwrap();
            let near = share(near);
            for _ in 0..5 {
                let mut recv = inner.submit(Recv::new(near.clone(), Vec::with_capacity(8), 0));
                begin(&inner, &mut recv);
                check_rest(&inner);
                let poll = PollOnce::new(Number(inner.as_raw_fd()), Readiness::READABLE);
                let mut poll = outer.submit(poll);
                begin(&outer, &mut poll);
                outer.turn(Some(Duration::from_millis(1))).unwrap();
                begin(&outer, &mut poll);
                far.write_all(b"x").unwrap();
                run(&outer, poll).unwrap();
                assert_eq!(run(&inner, recv).1, b"x");
            }
        }
    }
}

/// The descriptor of a driver that outlives the operation.
struct Number(compio_driver::RawFd);

impl AsRawFd for Number {
    fn as_raw_fd(&self) -> compio_driver::RawFd {
        self.0
    }
}

// SAFETY: the test keeps the driver.
unsafe impl compio_driver::OwnsFd for Number {}
