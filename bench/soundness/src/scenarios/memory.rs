//! Buffers that the kernel still uses after their owner is dropped.

use std::{io::Write, mem, thread, time::Duration};

use crate::{
    common::{connected, duplicate, pause, poll_once, report, run, stage},
    contender::Contender,
    watch::{self, WATCHED},
};

const TIMES: usize = 50;

/// The runtime is dropped.
pub fn shutdown<C: Contender>() {
    let mut runtime = C::runtime().expect("the runtime can be made");
    let mut peer = C::block_on(&mut runtime, async {
        let (mut stream, peer) = connected::<C>().await;
        // A duplicate keeps the connection open.
        duplicate(C::fd(&stream));
        C::detach(async move { drop(C::read(&mut stream, watched()).await) });
        pause::<C>(10).await;
        peer
    });
    stage("the runtime's drop");
    drop(runtime);
    let freed = watch::freed();
    // The error of a dead connection does not matter.
    let _ = peer.write_all(&[b'x'; 1000]);
    thread::sleep(Duration::from_millis(20));
    tell(freed);
}

/// The future is leaked, and everything else dropped.
pub fn forgotten<C: Contender>() {
    let mut runtime = C::runtime().expect("the runtime can be made");
    let mut peer = C::block_on(&mut runtime, async {
        let (mut stream, mut peer) = connected::<C>().await;
        duplicate(C::fd(&stream));
        let mut read = C::read(&mut stream, watched());
        assert!(poll_once(&mut read).await.is_pending(), "nothing has come");
        pause::<C>(5).await;
        mem::forget(read);
        stage("the drop of the stream");
        drop(stream);
        pause::<C>(5).await;
        peer.write_all(&[b'x'; 1000]).expect("there is room");
        pause::<C>(5).await;
        peer
    });
    stage("the runtime's drop");
    drop(runtime);
    let freed = watch::freed();
    // The error of a dead connection does not matter.
    let _ = peer.write_all(&[b'x'; 1000]);
    thread::sleep(Duration::from_millis(20));
    tell(freed);
}

/// The future is dropped while bytes arrive.
pub fn dropped<C: Contender>() {
    run::<C, _>(async {
        let (mut stream, mut peer) = connected::<C>().await;
        for index in 0..TIMES {
            let mut read = C::read(&mut stream, watched());
            // Bytes of the last round may be ready at once.
            if poll_once(&mut read).await.is_pending() {
                pause::<C>(1).await;
                if index % 2 == 0 {
                    drop(read);
                    peer.write_all(&[b'x'; 1000]).expect("there is room");
                } else {
                    peer.write_all(&[b'x'; 1000]).expect("there is room");
                    drop(read);
                }
            }
            pause::<C>(1).await;
        }
        tell(watch::freed());
    });
}

fn watched() -> Vec<u8> {
    let buffer = Vec::with_capacity(WATCHED);
    assert_eq!(buffer.capacity(), WATCHED, "exactly so much was asked for");
    buffer
}

fn tell(freed: usize) {
    let freed = match freed {
        0 => report("no: the buffer is never freed"),
        1 => "freed".into(),
        many => format!("{many} buffers freed"),
    };
    match watch::changed() {
        0 => report(&format!("no ({freed})")),
        changed => report(&format!(
            "YES: {changed} bytes of freed memory were written ({freed})"
        )),
    }
}
