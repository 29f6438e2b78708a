//! The drop of a runtime with operations in flight.

use std::{thread, time::Duration};

use crate::{
    common::{
        Fifo, Quiet, Terminal, connect, connected, descriptors, ms, pause, poll_once, report,
        stage, timed,
    },
    contender::Contender,
};

const EACH: usize = 8;

/// Reads, accepts and timers.
pub fn sockets<C: Contender>() {
    ends::<C, _>(0, async || {
        let mut peers = Vec::new();
        for _ in 0..EACH {
            let (listener, address) = C::listen().await.expect("a listener");
            peers.push(connect(address));
            let mut stream = C::accept(&listener).await.expect("the peer is there");
            C::detach(async move { drop(C::accept(&listener).await) });
            C::detach(async move { drop(C::read(&mut stream, Vec::with_capacity(100)).await) });
            C::detach(async { C::sleep(Duration::from_secs(3600)).await });
        }
        peers
    });
}

/// A FIFO without data.
pub fn fifo_read<C: Contender>() {
    file_read::<C, _>(Fifo::held);
}

/// A terminal without input.
pub fn terminal_read<C: Contender>() {
    file_read::<C, _>(Terminal::new);
}

fn file_read<C: Contender, Q: Quiet>(make: impl FnOnce() -> Q) {
    ends::<C, _>(0, async || {
        let quiet = make();
        let file = C::open(quiet.path()).await;
        let mut file = file.expect("it can be opened");
        C::detach(async move {
            let (result, _) = C::read_file(&mut file, Vec::with_capacity(100)).await;
            report(&format!(
                "not observable: it ends by itself with {result:?}"
            ));
        });
        quiet
    });
}

/// A FIFO without a reader.
pub fn fifo_open<C: Contender>() {
    ends::<C, _>(0, async || {
        let fifo = Fifo::new();
        let open = C::create(&fifo.path);
        C::detach(async move {
            let result = open.await.map(drop);
            report(&format!(
                "not observable: it ends by itself with {result:?}"
            ));
        });
        fifo
    });
}

/// A listener and a stream are dropped after their runtime.
pub fn late_stream<C: Contender>() {
    let before = descriptors();
    let mut runtime = C::runtime().expect("the runtime can be made");
    let ends = C::block_on(&mut runtime, async {
        let (listener, address) = C::listen().await.expect("a listener");
        let peer = connect(address);
        let stream = C::accept(&listener).await.expect("the peer is there");
        (listener, stream, peer)
    });
    stage("the runtime's drop");
    drop(runtime);
    stage("the drop of the listener and the stream");
    drop(ends);
    thread::sleep(Duration::from_millis(100));
    report(&format!("fine, {}", left(before)));
}

/// A read is dropped after its runtime.
pub fn late_read<C: Contender>() {
    let mut runtime = C::runtime().expect("the runtime can be made");
    let read = C::block_on(&mut runtime, async {
        let (stream, peer) = connected::<C>().await;
        // The read borrows its stream, and must outlive everything else.
        let stream = Box::leak(Box::new(stream));
        let mut read = C::read(stream, Vec::with_capacity(100));
        assert!(poll_once(&mut read).await.is_pending(), "nothing has come");
        pause::<C>(5).await;
        (read, peer)
    });
    stage("the runtime's drop");
    drop(runtime);
    stage("the drop of the read");
    drop(read);
    report("fine");
}

/// Another thread with running work.
pub fn blocking<C: Contender>() {
    ends::<C, _>(1000, async || {
        let work = C::blocking(|| thread::sleep(Duration::from_secs(1)));
        C::detach(work);
    });
}

/// `millis`: the time for background work to end before descriptors are counted.
fn ends<C: Contender, Rest>(millis: u64, begin: impl AsyncFnOnce() -> Rest) {
    let before = descriptors();
    let mut runtime = C::runtime().expect("the runtime can be made");
    let rest = C::block_on(&mut runtime, async {
        let rest = begin().await;
        pause::<C>(10).await;
        rest
    });
    stage("the runtime's drop");
    let ((), took) = timed(|| drop(runtime));
    stage("what comes after");
    drop(rest);
    // Closes in the background get a little longer.
    thread::sleep(Duration::from_millis(millis + 100));
    report(&format!("returns in {}, {}", ms(took), left(before)));
}

fn left(before: usize) -> String {
    match descriptors() as isize - before as isize {
        0 => "no descriptor left over".into(),
        1 => "1 descriptor left over".into(),
        some => format!("{some} descriptors left over"),
    }
}
