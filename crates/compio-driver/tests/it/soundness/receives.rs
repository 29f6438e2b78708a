//! 4: a receive that is cancelled, not dropped, returns every byte that it has received.

use std::{
    io::{Read, Write},
    time::Duration,
};

use compio_driver::{
    CancelToken, Driver, SharedFd, Submit,
    op::{ReadAt, Recv},
};

use crate::support::{
    begin, check_code, code, drain, driver, each_backend, pipe_in, run, share, streams,
};

/// When the cancel is requested.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// Together with the operation.
    Queued,
    /// The kernel waits, and the bytes come afterwards.
    Pending,
    /// The kernel has completed the receive, and the driver has not reaped the completion.
    Answered,
    /// The driver has reaped the completion, and the future has not been polled since.
    Landed,
}

const MOMENTS: [Moment; 4] = [
    Moment::Queued,
    Moment::Pending,
    Moment::Answered,
    Moment::Landed,
];

/// Cancels a read at this moment, and returns its bytes, if any.
fn cancelled<O>(
    driver: &Driver,
    mut read: Submit<O>,
    far: &mut impl Write,
    moment: Moment,
    by_token: bool,
) -> Vec<u8>
where
    O: compio_driver::Operation<Output = (std::io::Result<usize>, Vec<u8>)>,
{
    let token = CancelToken::new();
    let scope = driver.scope(&token);
    begin(driver, &mut read);
    drop(scope);
    let mut send = || far.write_all(b"ab").unwrap();
    match moment {
        Moment::Queued => {}
        Moment::Pending => driver.turn(Some(Duration::ZERO)).unwrap(),
        Moment::Answered => {
            driver.turn(Some(Duration::ZERO)).unwrap();
            send();
        }
        Moment::Landed => {
            send();
            drain(driver);
        }
    }
    if by_token {
        token.cancel();
    } else {
        read.cancel();
    }
    if let Moment::Queued | Moment::Pending = moment {
        send();
    }
    match run(driver, read) {
        (Ok(len), buffer) => {
            assert_eq!(len, buffer.len());
            buffer
        }
        (Err(error), buffer) => {
            check_code::<()>(Err(error), code::CANCELLED);
            assert_eq!((&buffer[..], buffer.capacity()), (&b""[..], 64));
            buffer
        }
    }
}

/// The bytes of a cancelled read and of the next reads are together all bytes sent.
fn check_all_moments<O>(driver: &Driver, read: impl Fn() -> O, far: &mut impl Write)
where
    O: compio_driver::Owned<Output = (std::io::Result<usize>, Vec<u8>)>,
{
    for moment in MOMENTS {
        for by_token in [false, true] {
            for _ in 0..20 {
                let read_once = driver.submit(read());
                let mut got = cancelled(driver, read_once, far, moment, by_token);
                if let Moment::Landed = moment {
                    assert_eq!(got, b"ab");
                }
                while got.len() < 2 {
                    let (len, bytes) = run(driver, driver.submit(read()));
                    len.unwrap();
                    got.extend(bytes);
                }
                assert_eq!(got, b"ab", "{moment:?}, {:?}", driver.backend());
            }
        }
    }
}

#[test]
fn s04_a_cancelled_receive_loses_no_byte_at_any_moment() {
    for driver in each_backend() {
        let (near, mut far) = streams();
        let near: SharedFd = share(near);
        let receive = || Recv::new(near.clone(), Vec::with_capacity(64), 0);
        check_all_moments(&driver, receive, &mut far);
    }
}

#[test]
fn s04_a_cancelled_read_of_a_pipe_loses_no_byte_at_any_moment() {
    for driver in each_backend() {
        let (near, mut far) = pipe_in();
        let read = || ReadAt::at_cursor(near.clone(), Vec::with_capacity(64));
        check_all_moments(&driver, read, &mut far);
    }
}

#[test]
fn s04_a_dropped_receive_leaves_later_bytes_where_they_are() {
    let driver = driver();
    let (one, mut other) = streams();
    let mut recv = driver.submit(Recv::new(share(one.try_clone().unwrap()), vec![0; 8], 0));
    begin(&driver, &mut recv);
    driver.turn(Some(Duration::ZERO)).unwrap();
    drop(recv);
    drain(&driver);
    other.write_all(b"later").unwrap();
    drop(other);
    let mut text = String::new();
    (&one).read_to_string(&mut text).unwrap();
    assert_eq!(text, "later");
}
