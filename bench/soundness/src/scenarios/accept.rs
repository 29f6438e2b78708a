//! Cancelled accepts.

use std::{
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use crate::{
    common::{
        Seen, connect, descriptors, look, pause, poke, poll_once, report, run, stage, within,
    },
    contender::Contender,
};

const TIMES: usize = 30;
const CLIENTS: usize = 300;

/// When the client connects.
enum Moment {
    Before,
    After,
    Later,
    Unpolled,
}

/// Clients at random moments.
pub fn race<C: Contender>() {
    run::<C, _>(async {
        let (listener, address) = C::listen().await.expect("a listener");
        let idle = descriptors();
        let clients = come_at_random(address);
        let mut accepted = Vec::new();
        let (mut dropped, mut quiet) = (0, Instant::now());
        while !clients.is_finished() || quiet.elapsed() < Duration::from_millis(30) {
            match within::<C, _>(1, C::accept(&listener)).await {
                Some(Ok(stream)) => {
                    poke(C::fd(&stream), b"k");
                    accepted.push(stream);
                    quiet = Instant::now();
                }
                Some(Err(error)) => report(&format!("accept failed: {error}")),
                None => dropped += 1,
            }
        }
        let peers = clients.join().expect("the clients do not panic");
        let seen = tell(peers, accepted.len());
        drop(accepted);
        pause::<C>(20).await;
        report(&format!(
            "{seen}, {} ({dropped} accepts dropped)",
            leaked(idle)
        ));
    });
}

/// The client has connected, and the runtime has not run since.
pub fn before<C: Contender>() {
    moment::<C>(&Moment::Before);
}

/// The client connects after the drop of the accept.
pub fn after<C: Contender>() {
    moment::<C>(&Moment::After);
}

/// The client connects after the runtime has had time to cancel the accept.
pub fn later<C: Contender>() {
    moment::<C>(&Moment::Later);
}

/// Clients at random moments, and accepts that are cancelled through the API for it.
pub fn cancelled<C: Contender>() {
    run::<C, _>(async {
        let (listener, address) = C::listen().await.expect("a listener");
        let idle = descriptors();
        let clients = come_at_random(address);
        let mut accepted = Vec::new();
        let (mut given_up, mut quiet) = (0, Instant::now());
        while !clients.is_finished() || quiet.elapsed() < Duration::from_millis(30) {
            let accept = match C::accept_for(&listener, Duration::from_millis(1)) {
                Some(accept) => accept.await,
                None => report("no such API"),
            };
            match accept {
                Ok(stream) => {
                    poke(C::fd(&stream), b"k");
                    accepted.push(stream);
                    quiet = Instant::now();
                }
                Err(_) => given_up += 1,
            }
        }
        let peers = clients.join().expect("the clients do not panic");
        let seen = tell(peers, accepted.len());
        drop(accepted);
        pause::<C>(20).await;
        report(&format!(
            "{seen}, {} ({given_up} accepts given up)",
            leaked(idle)
        ));
    });
}

fn come_at_random(address: SocketAddr) -> thread::JoinHandle<Vec<TcpStream>> {
    thread::spawn(move || {
        let mut random = 1_u64;
        let mut peers = Vec::with_capacity(CLIENTS);
        for _ in 0..CLIENTS {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            thread::sleep(Duration::from_micros(random >> 53));
            peers.push(connect(address));
        }
        peers
    })
}

/// The runtime has seen the client, and the future was not polled since.
pub fn unpolled<C: Contender>() {
    moment::<C>(&Moment::Unpolled);
}

fn moment<C: Contender>(moment: &Moment) {
    run::<C, _>(async {
        let (listener, address) = C::listen().await.expect("a listener");
        let idle = descriptors();
        let (mut peers, mut accepted) = (Vec::new(), Vec::new());
        for _ in 0..TIMES {
            let mut accept = C::accept(&listener);
            assert!(poll_once(&mut accept).await.is_pending(), "no client yet");
            pause::<C>(1).await;
            match moment {
                Moment::Before => peers.push(connect(address)),
                Moment::Unpolled => {
                    peers.push(connect(address));
                    pause::<C>(3).await;
                }
                Moment::After | Moment::Later => {}
            }
            drop(accept);
            match moment {
                Moment::After => peers.push(connect(address)),
                Moment::Later => {
                    pause::<C>(3).await;
                    peers.push(connect(address));
                }
                Moment::Before | Moment::Unpolled => {}
            }
            if let Some(Ok(stream)) = within::<C, _>(20, C::accept(&listener)).await {
                poke(C::fd(&stream), b"k");
                accepted.push(stream);
            }
        }
        stage("the last accepts");
        while let Some(Ok(stream)) = within::<C, _>(20, C::accept(&listener)).await {
            poke(C::fd(&stream), b"k");
            accepted.push(stream);
        }
        let seen = tell(peers, accepted.len());
        drop(accepted);
        pause::<C>(20).await;
        report(&format!("{seen}, {}", leaked(idle)));
    });
}

fn tell(mut peers: Vec<TcpStream>, accepted: usize) -> String {
    let seen: Vec<_> = peers.iter_mut().map(look).collect();
    let count = |what: &Seen| seen.iter().filter(|seen| *seen == what).count();
    let (served, closed, silent) = (
        count(&Seen::Served),
        count(&Seen::Closed),
        count(&Seen::Silence),
    );
    assert_eq!(accepted, served, "a byte was sent to each");
    if served == seen.len() {
        return format!("all {served} clients served");
    }
    format!(
        "{} of {} clients lost ({closed} closed, {silent} left hanging)",
        closed + silent,
        seen.len()
    )
}

fn leaked(idle: usize) -> String {
    match descriptors() as isize - idle as isize {
        0 => "no descriptor leaked".into(),
        leaked => format!("descriptors {leaked:+}"),
    }
}
