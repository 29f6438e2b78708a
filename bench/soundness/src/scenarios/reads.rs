//! Cancelled reads.

use std::{
    io::Write,
    net::{Shutdown, TcpStream},
    thread,
    time::Duration,
};

use crate::{
    common::{
        compare, connected, drain, local, pattern, pause, poll_once, report, run, stage, within,
    },
    contender::{Contender, Local},
};

const TIMES: usize = 30;
const MESSAGE: usize = 100;
const MESSAGES: usize = 300;

/// When the bytes arrive.
#[derive(Clone, Copy)]
enum Moment {
    Before,
    After,
    Later,
    Unpolled,
}

/// Bytes at random moments, and dropped reads.
pub fn race<C: Contender>() {
    run::<C, _>(async {
        let (mut stream, peer) = connected::<C>().await;
        let sender = send_at_random(peer);
        let mut received = Vec::new();
        let mut dropped = 0;
        loop {
            match within::<C, _>(1, C::read(&mut stream, Vec::with_capacity(4096))).await {
                Some((Ok(0), _)) => break,
                Some((Ok(_), bytes)) => received.extend(bytes),
                Some((Err(error), _)) => report(&format!("read failed: {error}")),
                None => dropped += 1,
            }
        }
        sender.join().expect("the peer does not panic");
        let bytes = compare(MESSAGES * MESSAGE, &received);
        report(&format!("{bytes} ({dropped} reads dropped)"));
    });
}

/// Bytes at random moments, and reads that are cancelled through the API for it.
pub fn cancelled<C: Contender>() {
    run::<C, _>(async {
        let (mut stream, peer) = connected::<C>().await;
        let sender = send_at_random(peer);
        let mut received = Vec::new();
        let mut given_up = 0;
        loop {
            let buffer = Vec::with_capacity(4096);
            let Some(read) = C::read_for(&mut stream, buffer, Duration::from_millis(1)) else {
                report("no such API");
            };
            match read.await {
                (Ok(0), _) => break,
                (Ok(_), bytes) => received.extend(bytes),
                (Err(_), _) => given_up += 1,
            }
        }
        sender.join().expect("the peer does not panic");
        let bytes = compare(MESSAGES * MESSAGE, &received);
        report(&format!("{bytes} ({given_up} reads given up)"));
    });
}

fn send_at_random(mut peer: TcpStream) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut random = 1_u64;
        for index in 0..MESSAGES {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            thread::sleep(Duration::from_micros(random >> 53));
            let message = pattern(index * MESSAGE, MESSAGE);
            peer.write_all(&message).expect("the stream is read");
        }
    })
}

/// The bytes have arrived, and the runtime has not run since.
pub fn before<C: Contender>() {
    plain::<C>(Moment::Before);
}

/// The bytes arrive after the drop of the read.
pub fn after<C: Contender>() {
    plain::<C>(Moment::After);
}

/// The bytes arrive after the runtime has had time to cancel the read.
pub fn later<C: Contender>() {
    plain::<C>(Moment::Later);
}

/// The runtime has seen them, and the future was not polled since.
pub fn unpolled<C: Contender>() {
    plain::<C>(Moment::Unpolled);
}

fn plain<C: Contender>(moment: Moment) {
    run::<C, _>(async {
        let (mut stream, mut peer) = connected::<C>().await;
        let mut received = Vec::new();
        for index in 0..TIMES {
            let read = C::read(&mut stream, Vec::with_capacity(4096));
            give_up::<C, _>(read, moment, &mut peer, index).await;
            let read = C::read(&mut stream, Vec::with_capacity(4096));
            if let Some((Ok(1..), bytes)) = within::<C, _>(10, read).await {
                received.extend(bytes);
            }
        }
        peer.shutdown(Shutdown::Write).expect("it is connected");
        drain::<C>(&mut stream, &mut received, 50).await;
        report(&compare(TIMES * MESSAGE, &received));
    });
}

async fn give_up<C: Contender, T>(
    mut read: Local<'_, T>,
    moment: Moment,
    peer: &mut TcpStream,
    index: usize,
) {
    let message = pattern(index * MESSAGE, MESSAGE);
    assert!(poll_once(&mut read).await.is_pending(), "nothing has come");
    pause::<C>(1).await;
    match moment {
        Moment::Before => peer.write_all(&message).expect("there is room"),
        Moment::Unpolled => {
            peer.write_all(&message).expect("there is room");
            pause::<C>(3).await;
        }
        Moment::After | Moment::Later => {}
    }
    drop(read);
    match moment {
        Moment::After => peer.write_all(&message).expect("there is room"),
        Moment::Later => {
            pause::<C>(3).await;
            peer.write_all(&message).expect("there is room");
        }
        Moment::Before | Moment::Unpolled => {}
    }
}

/// See [`before`], with a read buffer.
pub fn buffered_before<C: Contender>() {
    buffered::<C>(Moment::Before);
}

/// See [`unpolled`], with a read buffer.
pub fn buffered_unpolled<C: Contender>() {
    buffered::<C>(Moment::Unpolled);
}

fn buffered<C: Contender>(moment: Moment) {
    run::<C, _>(async {
        let (stream, mut peer) = connected::<C>().await;
        let Some(mut reader) = C::reader(stream) else {
            report("no such API");
        };
        let mut received = Vec::new();
        for index in 0..TIMES {
            stage("`fill_buf`, to be dropped");
            let fill = local(async { C::fill(&mut reader).await.map(drop) });
            give_up::<C, _>(fill, moment, &mut peer, index).await;
            stage("the next `fill_buf`");
            if let Some(Ok(bytes)) = within::<C, _>(10, C::fill(&mut reader)).await {
                received.extend(bytes);
            }
        }
        peer.shutdown(Shutdown::Write).expect("it is connected");
        while let Some(Ok(bytes)) = within::<C, _>(50, C::fill(&mut reader)).await {
            if bytes.is_empty() {
                break;
            }
            received.extend(bytes);
        }
        report(&compare(TIMES * MESSAGE, &received));
    });
}

const EXACT: usize = 8;
const EARLY: usize = 5;
const EXACT_TIMES: usize = 20;

/// A timeout around `read_exact`.
pub fn exact<C: Contender>() {
    run::<C, _>(async {
        let (mut stream, mut peer) = connected::<C>().await;
        let mut received = Vec::new();
        for index in 0..EXACT_TIMES {
            send(&mut peer, index * EXACT, EARLY);
            let read = C::read_exact(&mut stream, Vec::with_capacity(EXACT));
            assert!(within::<C, _>(3, read).await.is_none(), "three are missing");
            send(&mut peer, index * EXACT + EARLY, EXACT - EARLY);
            drain_now::<C>(&mut stream, &mut received).await;
        }
        report(&compare(EXACT_TIMES * EXACT, &received));
    });
}

/// As [`exact`], cancelled through the API for it.
pub fn exact_cancelled<C: Contender>() {
    run::<C, _>(async {
        let (mut stream, mut peer) = connected::<C>().await;
        let mut received = Vec::new();
        for index in 0..EXACT_TIMES {
            send(&mut peer, index * EXACT, EARLY);
            let buffer = Vec::with_capacity(EXACT);
            let patience = Duration::from_millis(3);
            let (result, buffer) = match C::read_exact_for(&mut stream, buffer, patience) {
                Some(read) => read.await,
                None => report("no such API"),
            };
            assert!(result.is_err(), "three are missing");
            received.extend(buffer);
            send(&mut peer, index * EXACT + EARLY, EXACT - EARLY);
            drain_now::<C>(&mut stream, &mut received).await;
        }
        report(&compare(EXACT_TIMES * EXACT, &received));
    });
}

fn send(peer: &mut TcpStream, from: usize, len: usize) {
    let bytes = pattern(from, len);
    peer.write_all(&bytes).expect("there is room");
}

/// Reads all bytes that have arrived. The last read, which waits, is not dropped: other scenarios test that.
async fn drain_now<C: Contender>(stream: &mut C::Stream, into: &mut Vec<u8>) {
    let mut peek = [0_u8; EXACT];
    loop {
        // SAFETY: the memory outlives the call.
        let waiting = unsafe {
            let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
            libc::recv(C::fd(stream), peek.as_mut_ptr().cast(), EXACT, flags)
        };
        if waiting <= 0 {
            return;
        }
        let (result, bytes) = C::read(stream, Vec::with_capacity(EXACT)).await;
        result.expect("bytes are there");
        into.extend(bytes);
    }
}
