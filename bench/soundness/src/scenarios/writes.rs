//! Cancelled writes.

use std::{io::Read, thread, time::Duration};

use crate::{
    common::{connected, pattern, pause, poll_once, report, run, stage, within},
    contender::Contender,
};

const LARGE: usize = 16 << 20;
const MARK: &[u8] = b"next";
const TIMES: usize = 20;
const SMALL: usize = 10;

/// A write that does not fit, and one after it.
pub fn large<C: Contender>() {
    run::<C, _>(async {
        let (mut stream, mut peer) = connected::<C>().await;
        let write = C::write_all(&mut stream, pattern(0, LARGE));
        if within::<C, _>(20, write).await.is_some() {
            report("not observable: 16 MiB fit");
        }
        let reader = thread::spawn(move || {
            let mut received = Vec::new();
            peer.set_read_timeout(Some(Duration::from_millis(300)))
                .expect("not zero");
            // EOF or a timeout: the received bytes are kept in both cases.
            let _ = peer.read_to_end(&mut received);
            received
        });
        stage("the write after the dropped one");
        let next = C::write_all(&mut stream, MARK.to_vec()).await;
        let received = reader.join().expect("the peer does not panic");
        report(&tell(next.is_ok(), &received));
    });
}

fn tell(next: bool, received: &[u8]) -> String {
    let next = if next { "" } else { " (the next write failed)" };
    let sent = pattern(0, received.len());
    let differs = received
        .iter()
        .zip(&sent)
        .position(|(is, should)| is != should);
    let first = differs.unwrap_or(received.len());
    let kib = first >> 10;
    match &received[first..] {
        rest if rest == MARK => format!("the first {kib} KiB arrived, then the next write{next}"),
        [] => format!("the first {kib} KiB arrived, without the next write{next}"),
        rest => format!(
            "OUT OF ORDER: the first {kib} KiB arrived, then {} KiB of both writes{next}",
            rest.len() >> 10
        ),
    }
}

/// Writes that fit.
pub fn small<C: Contender>() {
    run::<C, _>(async {
        let (mut stream, mut peer) = connected::<C>().await;
        let mut ready = 0;
        for _ in 0..TIMES {
            let mut write = C::write(&mut stream, vec![b'x'; SMALL]);
            ready += usize::from(poll_once(&mut write).await.is_ready());
        }
        // Bytes that wait for an acknowledgement arrive within 40 ms.
        pause::<C>(100).await;
        let patience = Some(Duration::from_millis(20));
        peer.set_read_timeout(patience).expect("not zero");
        let mut received = Vec::new();
        // It ends when the peer is silent.
        let _ = peer.read_to_end(&mut received);
        let dropped = TIMES - ready;
        if dropped == 0 {
            report(&format!(
                "none was pending: all {ready} were written by the first poll"
            ));
        }
        let sent = received.len() / SMALL - ready;
        report(&format!(
            "{dropped} dropped, {sent} of them sent all the same"
        ));
    });
}
