//! The lifetime of an OVERLAPPED (scenario 23): calls that post a packet at completion and calls
//! that do not, the target of a cancel, and cancels from other code. `packets`, `pipes`, `connect`
//! and `directory` have more of these tests.

use std::{
    cell::Cell,
    future::Future,
    hint,
    io::Write,
    pin::Pin,
    ptr,
    rc::Rc,
    task::{Context, Waker},
    thread,
    time::Duration,
};

use compio_driver::{AsRawFd, RawFd, op::ReadAt};
use windows_sys::Win32::{Foundation::ERROR_OPERATION_ABORTED, System::IO::CancelIoEx};

use crate::support::{Canary, Mode, begin, check_code, drain, driver, pair, run};

/// Calls that complete at once and calls that wait alternate in the same cell: a packet of one
/// call, or its absence, must not be attributed to the other.
#[test]
fn s23_an_immediate_call_completes_once() {
    let driver = driver();
    let (server, mut client) = pair(Mode::Byte);
    for round in 0..500_u32 {
        let byte = [round as u8];
        client.write_all(&byte).unwrap();
        let (len, buffer) = run(
            &driver,
            driver.submit(ReadAt::at_cursor(server.clone(), Vec::with_capacity(1))),
        );
        assert_eq!((len.unwrap(), &buffer[..]), (1, &byte[..]));
        let mut waiting = driver.submit(ReadAt::at_cursor(server.clone(), Vec::with_capacity(1)));
        begin(&driver, &mut waiting);
        driver.turn(Some(Duration::ZERO)).unwrap();
        begin(&driver, &mut waiting);
        client.write_all(&byte).unwrap();
        let (len, buffer) = run(&driver, waiting);
        assert_eq!((len.unwrap(), &buffer[..]), (1, &byte[..]));
        assert_eq!(driver.in_flight(), 0);
    }
}

/// The cancel comes before the byte, with it, or after it: the byte goes to this read or to the
/// next one.
#[test]
fn s23_a_cancel_races_with_the_end() {
    let driver = driver();
    let (server, mut client) = pair(Mode::Byte);
    let (mut by_the_first, mut by_the_next) = (0, 0);
    for round in 0..300_u32 {
        let mut read = driver.submit(ReadAt::at_cursor(server.clone(), Vec::with_capacity(1)));
        begin(&driver, &mut read);
        let mut writer = client.try_clone().unwrap();
        let thread = thread::spawn(move || {
            for _ in 0..round * 37 % 2000 {
                hint::spin_loop();
            }
            writer.write_all(&[round as u8]).unwrap();
        });
        for _ in 0..round * 91 % 2000 {
            hint::spin_loop();
        }
        read.cancel();
        let (len, buffer) = run(&driver, read);
        let byte = match len {
            Ok(len) => {
                assert_eq!(len, 1);
                by_the_first += 1;
                buffer[0]
            }
            Err(error) => {
                check_code::<()>(Err(error), ERROR_OPERATION_ABORTED);
                by_the_next += 1;
                let next = ReadAt::at_cursor(server.clone(), Vec::with_capacity(1));
                run(&driver, driver.submit(next)).1[0]
            }
        };
        assert_eq!(byte, round as u8);
        thread.join().unwrap();
    }
    println!("{by_the_first} before the cancel, {by_the_next} after it");
    client.flush().unwrap();
    assert_eq!(driver.in_flight(), 0);
}

/// Other owners of the handle can cancel the pending calls: they end without a cancel request of
/// the driver.
#[test]
fn s23_a_cancel_by_other_code_ends_pending_reads() {
    let driver = driver();
    let (server, mut client) = pair(Mode::Byte);
    let deaths = Rc::<Cell<usize>>::default();
    for _ in 0..20 {
        let read = || driver.submit(ReadAt::at_cursor(server.clone(), Canary::new(&deaths)));
        let (mut awaited, mut dropped) = (read(), read());
        begin(&driver, &mut awaited);
        begin(&driver, &mut dropped);
        drop(dropped);
        let RawFd::Handle(handle) = server.as_raw_fd() else {
            panic!("a pipe has a handle");
        };
        // SAFETY: the handle is open; no OVERLAPPED is named.
        unsafe { CancelIoEx(handle, ptr::null()) };
        check_code(run(&driver, awaited).0, ERROR_OPERATION_ABORTED);
        drain(&driver);
    }
    assert_eq!(deaths.get(), 40);
    client.write_all(b"x").unwrap();
    let read = ReadAt::at_cursor(server, Vec::with_capacity(8));
    assert_eq!(run(&driver, driver.submit(read)).1, b"x");
}

/// With a pending read the operation is the handle's last owner, and closes it. A late completion
/// does not write to memory that has been reused.
#[test]
fn s23_memory_of_an_ended_read_is_never_written_to() {
    let driver = driver();
    for round in 0..100 {
        let (server, mut client) = pair(Mode::Byte);
        let mut read = driver.submit(ReadAt::at_cursor(server, Vec::with_capacity(4096)));
        begin(&driver, &mut read);
        if round % 2 == 0 {
            driver.turn(Some(Duration::ZERO)).unwrap();
        }
        let writer = thread::spawn(move || {
            // The pipe may be closed already.
            let _ = client.write_all(&[0xaa; 4096]);
        });
        drop(read);
        let canaries: Vec<_> = (0..8).map(|_| vec![0x55_u8; 4096]).collect();
        drain(&driver);
        writer.join().unwrap();
        assert!(canaries.iter().flatten().all(|byte| *byte == 0x55));
    }
}

/// A driver is dropped while its reads wait, complete and are cancelled.
#[test]
fn s23_a_driver_dies_while_its_reads_end() {
    for round in 0..50 {
        let driver = driver();
        let deaths = Rc::<Cell<usize>>::default();
        let (server, mut client) = pair(Mode::Byte);
        let mut reads: Vec<_> = (0..10)
            .map(|_| driver.submit(ReadAt::at_cursor(server.clone(), Canary::new(&deaths))))
            .collect();
        reads.iter_mut().for_each(|read| begin(&driver, read));
        reads[round % 10].cancel();
        let writer = thread::spawn(move || {
            for _ in 0..5 {
                if client.write_all(b"x").is_err() {
                    return;
                }
            }
        });
        let kept = reads.split_off(5);
        drop(reads);
        drop(driver);
        for mut read in kept {
            let mut context = Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut read).poll(&mut context).is_ready());
        }
        drop(server);
        writer.join().unwrap();
        assert_eq!(deaths.get(), 10);
    }
}
