//! Signal listeners share one descriptor.

use std::pin::pin;

use compio::{
    runtime::Runtime,
    signal::{
        ctrl_c,
        unix::{SignalKind, signal},
    },
    task::yield_now,
};

use crate::support::{alone, bounded, descriptors, limit, poll_once};

/// Room for the runtime and a few descriptors.
const DESCRIPTORS: u64 = 32;

/// More than the descriptors.
const TURNS: usize = 3000;

fn raise(kind: SignalKind) {
    // SAFETY: no pointers are passed.
    assert_eq!(unsafe { libc::raise(kind.as_raw_value()) }, 0);
}

#[test]
fn s45_ctrl_c_dropped_in_each_turn_of_a_loop_opens_one_descriptor() {
    alone(|| {
        limit(libc::RLIMIT_NOFILE, DESCRIPTORS);
        Runtime::new().expect("a runtime").block_on(async {
            yield_now().await;
            let before = descriptors();
            // As `select!` with a channel that is never empty: the driver has no turn.
            for turn in 0..TURNS {
                let first = poll_once(pin!(ctrl_c())).await;
                assert!(first.is_pending(), "turn {turn}: {first:?}");
            }
            assert!(descriptors() <= before + 1);
            let mut waiting = pin!(ctrl_c());
            assert!(poll_once(waiting.as_mut()).await.is_pending());
            raise(SignalKind::interrupt());
            bounded(waiting).await.expect("the signal");
        });
    });
}

#[test]
fn s45_listeners_of_several_signals_share_one_descriptor() {
    alone(|| {
        limit(libc::RLIMIT_NOFILE, DESCRIPTORS);
        Runtime::new().expect("a runtime").block_on(async {
            yield_now().await;
            let before = descriptors();
            let kinds = [SignalKind::user_defined1(), SignalKind::user_defined2()];
            let listen = |_| kinds.map(|kind| signal(kind).expect("a listener"));
            let mut listeners: Vec<_> = (0..TURNS).map(listen).collect();
            assert!(descriptors() <= before + 1);
            for (index, kind) in kinds.into_iter().enumerate() {
                raise(kind);
                for listeners in &mut listeners {
                    bounded(listeners[index].recv()).await.expect("the signal");
                    let again = poll_once(pin!(listeners[index].recv())).await;
                    assert!(again.is_pending(), "one signal is reported once");
                }
            }
        });
    });
}

#[test]
fn s45_runtimes_that_wait_for_signals_share_one_descriptor() {
    alone(|| {
        let runtimes = [(); 3].map(|()| Runtime::new().expect("a runtime"));
        let mut listeners = [(); 3].map(|()| signal(SignalKind::hangup()).expect("a listener"));
        let mut waits: Vec<_> = listeners
            .iter_mut()
            .map(|listener| Box::pin(listener.recv()))
            .collect();
        for (runtime, wait) in runtimes.iter().zip(&mut waits) {
            assert!(runtime.block_on(poll_once(wait.as_mut())).is_pending());
        }
        raise(SignalKind::hangup());
        // The first runtime empties the descriptor, and wakes the tasks of the others.
        for (runtime, wait) in runtimes.iter().zip(waits) {
            runtime.block_on(bounded(wait)).expect("the signal");
        }
    });
}
