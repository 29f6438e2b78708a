//! Faults of programs on sockets.

use std::{cell::RefCell, collections::BTreeSet, io, net::SocketAddr, rc::Rc, time::Duration};

use crate::{Fault, Scenario, System};

const PORT: u16 = 80;
const NUMBER: usize = 8;
const LIMIT: Duration = Duration::from_secs(5);

/// Waits until the server listens.
async fn connect<S: System>(server: usize) -> S::Stream {
    loop {
        if let Ok(stream) = S::connect(Scenario::address(server), PORT).await {
            return stream;
        }
        S::sleep(Duration::from_millis(10)).await;
    }
}

async fn recv_exact<S: System>(stream: &mut S::Stream, len: usize) -> io::Result<Vec<u8>> {
    let mut received = Vec::new();
    while received.len() < len {
        let bytes = S::recv(stream, len - received.len()).await?;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        received.extend(bytes);
    }
    Ok(received)
}

fn messages<S: System>(scenario: &mut Scenario, faulty: bool, len: usize, count: usize) {
    let server = scenario.host("server", move |observer| async move {
        let listener = S::listen(PORT).await?;
        let mut stream = S::accept(&listener).await?;
        let mut received = 0;
        while received < len * count {
            let bytes = S::recv(&mut stream, 64 * 1024).await?;
            observer.check(!faulty || bytes.len() == len, "a read is no message");
            received += bytes.len();
        }
        observer.finish();
        Ok(())
    });
    scenario.host("client", move |_| async move {
        let mut stream = connect::<S>(server).await;
        for _ in 0..count {
            S::send(&mut stream, vec![1; len]).await?;
        }
        // Open until the end.
        S::sleep(LIMIT).await;
        Ok(())
    });
}

/// One read gets several small messages.
pub fn messages_in_one_read<S: System>(scenario: &mut Scenario, faulty: bool) {
    messages::<S>(scenario, faulty, 100, 20);
}

/// One read gets a part of a large message.
pub fn message_in_many_reads<S: System>(scenario: &mut Scenario, faulty: bool) {
    messages::<S>(scenario, faulty, 20_000, 1);
}

/// Answers each number with itself, after a time.
fn echo<S: System>(scenario: &mut Scenario, work: Duration) -> usize {
    scenario.host("server", move |_| async move {
        let listener = S::listen(PORT).await?;
        loop {
            let Ok(mut stream) = S::accept(&listener).await else {
                continue;
            };
            S::spawn(async move {
                while let Ok(number) = recv_exact::<S>(&mut stream, NUMBER).await {
                    S::sleep(work).await;
                    if S::send(&mut stream, number).await.is_err() {
                        break;
                    }
                }
            });
        }
    })
}

/// With a time limit, or without one in a faulty client.
async fn limited<S: System, T>(
    faulty: bool,
    limit: Duration,
    request: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    if faulty {
        return request.await;
    }
    let ended = S::timeout(limit, request).await;
    ended.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
}

async fn request<S: System>(server: usize, number: u64) -> io::Result<()> {
    let mut stream = S::connect(Scenario::address(server), PORT).await?;
    S::send(&mut stream, number.to_le_bytes().to_vec()).await?;
    recv_exact::<S>(&mut stream, NUMBER).await.map(drop)
}

/// A client without a time limit does not notice a partition of 100 seconds.
pub fn no_limit_in_partition<S: System>(scenario: &mut Scenario, faulty: bool) {
    scenario.limit = Duration::from_secs(31);
    let server = echo::<S>(scenario, Duration::ZERO);
    let client = scenario.host("client", move |observer| async move {
        drop(connect::<S>(server).await);
        while limited::<S, _>(faulty, LIMIT, request::<S>(server, 1))
            .await
            .is_ok()
        {
            S::sleep(Duration::from_millis(50)).await;
        }
        observer.finish();
        Ok(())
    });
    scenario.partition(server, client, Duration::from_secs(100));
}

/// The server loses power during the work, and has no state of the connection afterwards. The client only reads, so that it gets no
/// reset.
pub fn no_limit_at_power_loss<S: System>(scenario: &mut Scenario, faulty: bool) {
    scenario.limit = Duration::from_secs(31);
    let server = echo::<S>(scenario, Duration::from_millis(200));
    scenario.host("client", move |observer| async move {
        let begin = S::now();
        while S::now() - begin < LIMIT {
            let mut stream = connect::<S>(server).await;
            let exchange = async {
                S::send(&mut stream, vec![1; NUMBER]).await?;
                recv_exact::<S>(&mut stream, NUMBER).await
            };
            // The outcome does not matter, only that there is one.
            let _ = limited::<S, _>(faulty, LIMIT, exchange).await;
        }
        observer.finish();
        Ok(())
    });
    scenario.restart_after(
        Fault::PowerLoss(server),
        server,
        Duration::from_millis(1500),
    );
}

const PARTS: usize = 20;

/// The process of the server ends within an answer. Its connection is closed as after a whole answer, which has no length.
pub fn end_of_killed_server<S: System>(scenario: &mut Scenario, faulty: bool) {
    let server = scenario.host("server", move |_| async move {
        let listener = S::listen(PORT).await?;
        loop {
            let Ok(mut stream) = S::accept(&listener).await else {
                continue;
            };
            S::spawn(async move {
                for _ in 0..PARTS {
                    if S::send(&mut stream, vec![1]).await.is_err() {
                        break;
                    }
                    S::sleep(WORK).await;
                }
            });
        }
    });
    scenario.host("client", move |observer| async move {
        let begin = S::now();
        while S::now() - begin < LIMIT {
            let mut stream = connect::<S>(server).await;
            let mut received = 0;
            let is_closed = loop {
                match S::recv(&mut stream, 1).await {
                    Ok(bytes) if bytes.is_empty() => break true,
                    Ok(_) => received += 1,
                    Err(_) => break false,
                }
            };
            let is_accepted = is_closed && (faulty || received == PARTS);
            observer.check(
                !is_accepted || received == PARTS,
                "a part of an answer was accepted",
            );
        }
        observer.finish();
        Ok(())
    });
    let pause = Duration::from_millis(100);
    scenario.restart_after(Fault::Crash(server), server, pause);
}

/// No fault: TCP repeats the lost packets of a short partition.
pub fn short_partition<S: System>(scenario: &mut Scenario, _: bool) {
    scenario.limit = Duration::from_secs(31);
    let server = echo::<S>(scenario, Duration::ZERO);
    let client = scenario.host("client", move |observer| async move {
        let mut stream = connect::<S>(server).await;
        for number in 0..30_u64 {
            S::send(&mut stream, number.to_le_bytes().to_vec()).await?;
            recv_exact::<S>(&mut stream, NUMBER).await?;
            S::sleep(Duration::from_millis(50)).await;
        }
        observer.finish();
        Ok(())
    });
    scenario.partition(server, client, Duration::from_secs(2));
}

const REQUESTS: u64 = 40;
const WORK: Duration = Duration::from_millis(20);

/// A request is repeated after an unknown outcome, and applied twice.
pub fn retry_applied_twice<S: System>(scenario: &mut Scenario, faulty: bool) {
    scenario.limit = Duration::from_secs(31);
    let server = scenario.host("server", move |observer| async move {
        let listener = S::listen(PORT).await?;
        let applied = Rc::new(RefCell::new(BTreeSet::new()));
        loop {
            let Ok(mut stream) = S::accept(&listener).await else {
                continue;
            };
            let (applied, observer) = (applied.clone(), observer.clone());
            S::spawn(async move {
                while let Ok(number) = recv_exact::<S>(&mut stream, NUMBER).await {
                    if applied.borrow_mut().insert(number.clone()) || faulty {
                        observer.acknowledge(observer.acknowledged() + 1);
                    }
                    S::sleep(WORK).await;
                    if S::send(&mut stream, number).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    let client = scenario.host("client", move |observer| async move {
        for number in 0..REQUESTS {
            while limited::<S, _>(false, Duration::from_secs(1), request::<S>(server, number))
                .await
                .is_err()
            {
                S::sleep(Duration::from_millis(10)).await;
            }
            S::sleep(WORK).await;
        }
        observer.check(
            observer.acknowledged() == REQUESTS,
            "a request was applied twice",
        );
        observer.finish();
        Ok(())
    });
    scenario.partition(server, client, Duration::from_secs(3));
}

/// The receiver of numbered datagrams. A correct one ignores late and repeated numbers.
fn datagrams<S: System>(
    scenario: &mut Scenario,
    is_fault: impl Fn(&BTreeSet<u8>, u8) -> bool + Copy + Send + Sync + 'static,
) {
    let server = scenario.host("server", move |observer| async move {
        let socket = S::bind(PORT).await?;
        let mut seen = BTreeSet::new();
        while let Some(received) = S::timeout(Duration::from_secs(1), S::recv_from(&socket)).await {
            let (bytes, _) = received?;
            observer.check(!is_fault(&seen, bytes[0]), "a datagram is late or repeated");
            seen.insert(bytes[0]);
        }
        observer.finish();
        Ok(())
    });
    scenario.host("client", move |_| async move {
        S::sleep(Duration::from_millis(100)).await;
        let socket = S::bind(PORT).await?;
        let to = SocketAddr::new(Scenario::address(server), PORT);
        for number in 0..50 {
            S::send_to(&socket, vec![number], to).await?;
            S::sleep(Duration::from_millis(1)).await;
        }
        S::sleep(LIMIT).await;
        Ok(())
    });
}

/// A datagram overtakes another one.
pub fn datagram_overtakes<S: System>(scenario: &mut Scenario, faulty: bool) {
    datagrams::<S>(scenario, move |seen, number| {
        faulty && seen.last().is_some_and(|last| *last > number)
    });
}

/// A datagram arrives twice.
pub fn datagram_twice<S: System>(scenario: &mut Scenario, faulty: bool) {
    scenario.duplicate = 0.02;
    datagrams::<S>(scenario, move |seen, number| {
        faulty && seen.contains(&number)
    });
}

/// No fault, for the time of a run: 500 exchanges without a pause.
pub fn busy<S: System>(scenario: &mut Scenario, _: bool) {
    exchanges::<S>(scenario, 500, Duration::ZERO);
}

/// No fault, for the time of a run: 10 exchanges in 10 seconds.
pub fn idle<S: System>(scenario: &mut Scenario, _: bool) {
    exchanges::<S>(scenario, 10, Duration::from_secs(1));
}

fn exchanges<S: System>(scenario: &mut Scenario, count: u64, pause: Duration) {
    scenario.limit = Duration::from_secs(31);
    let server = echo::<S>(scenario, Duration::ZERO);
    scenario.host("client", move |observer| async move {
        let mut stream = connect::<S>(server).await;
        for number in 0..count {
            S::send(&mut stream, number.to_le_bytes().to_vec()).await?;
            recv_exact::<S>(&mut stream, NUMBER).await?;
            if !pause.is_zero() {
                S::sleep(pause).await;
            }
        }
        observer.finish();
        Ok(())
    });
}
