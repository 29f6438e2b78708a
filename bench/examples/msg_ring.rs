//! A wake of a parked ring by an eventfd, beside one by IORING_OP_MSG_RING.
//!
//! `cargo run --release --example msg_ring`
//!
//! Two threads, each with a ring, wake each other in turn. Each parks in its ring until the other has woken it.
//! Rounds of both ways alternate. The numbers are medians of wall time and of CPU time of both threads, for one
//! wake, with the lowest and the highest.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    sync::mpsc,
    thread,
    time::Instant,
};

use io_uring::{IoUring, opcode, squeue, types::Fd};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
    unistd::Pid,
};

const WAKES: u32 = 20_000;
const ROUNDS: usize = 9;
const ARMED: u64 = 1;
const SENT: u64 = 2;
const MESSAGE: u64 = 3;

#[derive(Clone, Copy)]
enum Way {
    Eventfd,
    MsgRing,
}

/// One thread's end of the exchange.
struct End {
    ring: IoUring,
    eventfd: OwnedFd,
    way: Way,
    /// The other thread's ring and eventfd.
    other: (RawFd, RawFd),
}

fn ring() -> io::Result<IoUring> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .build(64)
}

impl End {
    fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: the entries refer to no memory.
        unsafe {
            self.ring
                .submission()
                .push(entry)
                .expect("room in the queue")
        };
    }

    /// Polls the eventfd for all wakes.
    fn arm(&mut self) {
        let poll = opcode::PollAdd::new(Fd(self.eventfd.as_raw_fd()), libc::POLLIN as u32);
        self.push(&poll.multi(true).build().user_data(ARMED));
    }

    fn wake_other(&mut self) {
        let (ring, eventfd) = self.other;
        match self.way {
            Way::Eventfd => {
                let one = 1_u64;
                // SAFETY: the value outlives the call.
                let written = unsafe { libc::write(eventfd, (&raw const one).cast(), 8) };
                assert_eq!(written, 8);
            }
            Way::MsgRing => {
                let message = opcode::MsgRingData::new(Fd(ring), 0, MESSAGE, None).build();
                // Without a completion here.
                self.push(&message.flags(squeue::Flags::SKIP_SUCCESS).user_data(SENT));
                self.ring.submit().expect("a submission");
            }
        }
    }

    fn wait(&mut self) {
        loop {
            self.ring.submit_and_wait(1).expect("a completion");
            let mut is_woken = false;
            for entry in self.ring.completion() {
                assert!(
                    entry.result() >= 0,
                    "{}: {}",
                    entry.user_data(),
                    entry.result()
                );
                is_woken |= entry.user_data() != SENT;
            }
            if is_woken {
                break;
            }
        }
        if matches!(self.way, Way::Eventfd) {
            let mut value = 0_u64;
            // SAFETY: the value outlives the call.
            unsafe { libc::read(self.eventfd.as_raw_fd(), (&raw mut value).cast(), 8) };
        }
    }
}

fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu).expect("a CPU number");
    // Without a second CPU both threads share one.
    let _ = sched_setaffinity(Pid::from_raw(0), &set);
}

fn cpu_time() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("a clock");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// Nanoseconds of wall time and of CPU time for one wake.
fn round(way: Way, cpus: [usize; 2]) -> [f64; 2] {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..2).map(|_| mpsc::channel()).unzip();
    let (cpu, began) = (cpu_time(), Instant::now());
    let mut receivers = receivers.into_iter();
    let threads: Vec<_> = cpus
        .into_iter()
        .enumerate()
        .map(|(number, cpu)| {
            let (send, receive) = (senders[1 - number].clone(), receivers.next().unwrap());
            thread::spawn(move || {
                pin(cpu);
                let ring = ring().expect("a ring");
                // SAFETY: a new descriptor without another owner.
                let eventfd = unsafe {
                    OwnedFd::from_raw_fd(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))
                };
                send.send((ring.as_raw_fd(), eventfd.as_raw_fd())).unwrap();
                let other = receive.recv().unwrap();
                let mut end = End {
                    ring,
                    eventfd,
                    way,
                    other,
                };
                if matches!(way, Way::Eventfd) {
                    end.arm();
                }
                for _ in 0..WAKES {
                    if number == 0 {
                        end.wake_other();
                        end.wait();
                    } else {
                        end.wait();
                        end.wake_other();
                    }
                }
                // Both rings stay until both threads have ended their wakes.
                end
            })
        })
        .collect();
    let ends: Vec<End> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    let wakes = f64::from(2 * WAKES);
    let result = [
        began.elapsed().as_nanos() as f64 / wakes,
        (cpu_time() - cpu) as f64 / wakes,
    ];
    drop(ends);
    result
}

fn main() {
    for (what, cpus) in [("two CPUs", [0, 1]), ("one CPU", [0, 0])] {
        let mut rounds = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            rounds[0].push(round(Way::Eventfd, cpus));
            rounds[1].push(round(Way::MsgRing, cpus));
        }
        for (name, rounds) in ["eventfd", "MSG_RING"].into_iter().zip(rounds) {
            let show = |column: usize| {
                let mut values: Vec<f64> = rounds.iter().map(|round| round[column]).collect();
                values.sort_by(f64::total_cmp);
                let [low, median, high] = [0, ROUNDS / 2, ROUNDS - 1].map(|place| values[place]);
                format!("{median:.0} ({low:.0}-{high:.0})")
            };
            println!(
                "{what}, {name}: wall {} ns, CPU {} ns a wake",
                show(0),
                show(1)
            );
        }
    }
}
