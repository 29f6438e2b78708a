//! The waits that the timer ends, and its due times.

use std::{rc::Rc, time::Instant};

use windows_sys::Win32::{Foundation::ERROR_INVALID_PARAMETER, System::IO::OVERLAPPED_ENTRY};

use super::*;

const SHORT: Duration = Duration::from_millis(20);

fn port() -> Arc<Port> {
    Arc::new(Port::new().unwrap())
}

/// Waits for the first packets. Returns their completion keys.
fn take(port: &Port, timeout: Option<Duration>) -> Vec<usize> {
    // SAFETY: a plain C struct for which all zeroes are a value.
    let mut packets: [OVERLAPPED_ENTRY; 4] = unsafe { std::mem::zeroed() };
    let count = port.take(&mut packets, timeout).unwrap();
    packets[..count]
        .iter()
        .map(|packet| packet.lpCompletionKey)
        .collect()
}

/// Repeats the calls until all were made before the timer of the first could expire.
fn in_time<T>(calls: impl Fn() -> T) -> T {
    loop {
        let began = Instant::now();
        let made = calls();
        if began.elapsed() < SHORT {
            return made;
        }
    }
}

fn is_armed(waits: &ShortWaits) -> bool {
    matches!(&waits.timer, Some(Some(timer)) if timer.is_armed.get())
}

#[test]
fn short_wait_is_ended_by_packet_of_timer() {
    let (port, mut waits) = (port(), ShortWaits::default());
    for _ in 0..3 {
        waits.prepare(Some(SHORT), &port);
        // Without its own timeout, only the timer ends the wait.
        assert_eq!(take(&port, None), [Subject::Timer as usize]);
        waits.on_packet();
        assert!(!is_armed(&waits));
    }
}

#[test]
fn other_waits_need_no_timer() {
    let (port, mut waits) = (port(), ShortWaits::default());
    for timeout in [None, Some(Duration::ZERO), Some(LONG), Some(Duration::MAX)] {
        waits.prepare(timeout, &port);
        assert!(waits.timer.is_none());
    }
}

#[test]
fn long_wait_after_interrupted_short_wait_is_not_woken() {
    let (port, _waits) = in_time(|| {
        let (port, mut waits) = (port(), ShortWaits::default());
        waits.prepare(Some(SHORT), &port);
        assert!(is_armed(&waits));
        waits.prepare(None, &port);
        assert!(!is_armed(&waits));
        (port, waits)
    });
    assert_eq!(take(&port, Some(4 * SHORT)), [0_usize; 0]);
}

#[test]
fn second_short_wait_replaces_first() {
    let (port, _waits) = in_time(|| {
        let (port, mut waits) = (port(), ShortWaits::default());
        waits.prepare(Some(SHORT), &port);
        waits.prepare(Some(2 * SHORT), &port);
        (port, waits)
    });
    assert_eq!(take(&port, None), [Subject::Timer as usize]);
    assert_eq!(take(&port, Some(4 * SHORT)), [0_usize; 0]);
}

#[test]
fn wait_without_timers_of_system_has_its_own_timeout() {
    let (port, mut waits) = (port(), ShortWaits::default());
    let refused = Rc::new(Cell::new(0));
    let count = Rc::clone(&refused);
    let fake = move |call| {
        count.set(count.get() + usize::from(call == Call::CreateTimer));
        Some(Err(ERROR_INVALID_PARAMETER as i32))
    };
    fake::with(fake, || {
        for _ in 0..2 {
            waits.prepare(Some(SHORT), &port);
            assert_eq!(take(&port, Some(SHORT)), [0_usize; 0]);
            waits.prepare(None, &port);
        }
    });
    assert_eq!(refused.get(), 1, "the system is asked once");
}

#[test]
fn dropped_timer_queues_no_packet() {
    let port = in_time(|| {
        let (port, mut waits) = (port(), ShortWaits::default());
        waits.prepare(Some(SHORT), &port);
        drop(waits);
        port
    });
    assert_eq!(Arc::strong_count(&port), 1);
    assert_eq!(take(&port, Some(4 * SHORT)), [0_usize; 0]);
}

#[test]
fn due_time_is_relative_and_rounded_up() {
    assert_eq!(due_time(Duration::from_millis(1)), -10_000);
    assert_eq!(due_time(Duration::from_nanos(1)), -1);
    assert_eq!(due_time(Duration::from_nanos(101)), -2);
    assert_eq!(due_time(Duration::MAX), i64::MIN);
}
