//! Partitions and held links.

use std::{
    future::pending,
    io::{self, ErrorKind},
    time::Duration,
};

use compio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sim::{self, Simulation},
    task, time,
};

use super::{Log, echo, echo_once, run_one, run_pair};

fn now() -> Duration {
    sim::elapsed().unwrap()
}

async fn sleep(seconds: u64) {
    time::sleep(Duration::from_secs(seconds)).await;
}

async fn ask(stream: &mut TcpStream, byte: u8) -> io::Result<()> {
    stream.write_all([byte]).await.0?;
    let (read, answer) = stream.read_exact([0; 1]).await;
    read?;
    assert_eq!(answer, [byte]);
    Ok(())
}

#[test]
fn client_retries_through_a_partition() {
    run_pair(echo::<1>, async {
        sim::partition("client", "server").unwrap();
        let operator = task::spawn(async {
            sleep(60).await;
            sim::repair("client", "server").unwrap();
        });
        let mut attempts = 0;
        let mut stream = loop {
            attempts += 1;
            let connect = TcpStream::connect("server:7");
            match time::timeout(Duration::from_secs(5), connect).await {
                Ok(stream) => break stream?,
                Err(_) => sleep(1).await,
            }
        };
        assert_eq!(attempts, 11);
        ask(&mut stream, 1).await?;
        operator.await.unwrap();
        Ok(())
    });
}

#[test]
fn connect_in_a_partition_repeats_with_back_off() {
    run_pair(echo::<1>, async {
        sim::partition("client", "server").unwrap();
        let error = TcpStream::connect("server:7").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(now(), Duration::from_secs(127));
        task::spawn(async {
            sleep(20).await;
            sim::repair("client", "server").unwrap();
        })
        .detach();
        // The attempts are after 1, 3, 7, 15 and 31 seconds.
        let mut stream = TcpStream::connect("server:7").await?;
        assert_eq!(now().as_secs(), 127 + 31);
        ask(&mut stream, 1).await
    });
}

#[test]
fn short_partition_delays_a_stream() {
    run_pair(echo::<1>, async {
        let mut stream = TcpStream::connect("server:7").await?;
        ask(&mut stream, 1).await?;
        sim::partition("client", "server").unwrap();
        task::spawn(async {
            time::sleep(Duration::from_millis(500)).await;
            sim::repair("client", "server").unwrap();
        })
        .detach();
        let begin = now();
        ask(&mut stream, 2).await?;
        // Retransmissions are after 200 and 600 milliseconds.
        let took = now() - begin;
        assert!(took > Duration::from_millis(600), "{took:?}");
        assert!(took < Duration::from_millis(650), "{took:?}");
        let counts = sim::network().unwrap().counts();
        assert_eq!((counts.retransmissions, counts.timeouts), (2, 0));
        Ok(())
    });
}

#[test]
fn short_partitions_keep_each_byte_in_order() {
    for seed in 0..50 {
        let mut simulation = Simulation::builder().seed(seed).build();
        simulation.host("server", echo_once);
        simulation.client("client", async {
            let stream = TcpStream::connect("server:7").await?;
            let (mut reader, mut writer) = stream.into_split();
            let sent: Vec<u8> = (0..100_000_u32).map(|number| (number / 3) as u8).collect();
            let bytes = sent.clone();
            let writer = task::spawn(async move {
                for chunk in bytes.chunks(1000) {
                    writer.write_all(chunk.to_vec()).await.0?;
                    time::sleep(Duration::from_millis(sim::rng().below(300))).await;
                }
                writer.shutdown().await
            });
            let operator = task::spawn(async {
                loop {
                    time::sleep(Duration::from_millis(sim::rng().below(2000))).await;
                    match sim::rng().below(4) {
                        0 => sim::partition("client", "server").unwrap(),
                        1 => sim::partition_oneway("client", "server").unwrap(),
                        2 => sim::partition_oneway("server", "client").unwrap(),
                        _ => sim::hold("client", "server").unwrap(),
                    }
                    time::sleep(Duration::from_millis(sim::rng().below(2000))).await;
                    sim::repair("client", "server").unwrap();
                }
            });
            let (read, received) = reader.read_to_end(Vec::new()).await;
            read?;
            assert!(received == sent, "{} bytes", received.len());
            writer.await.unwrap()?;
            operator.abort();
            assert!(sim::network().unwrap().counts().retransmissions > 0);
            io::Result::Ok(())
        });
        simulation.run().unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn long_partition_fails_the_sender() {
    run_pair(echo::<1>, async {
        let mut stream = TcpStream::connect("server:7").await?;
        ask(&mut stream, 1).await?;
        sim::partition("client", "server").unwrap();
        let begin = now();
        stream.write_all([2]).await.0?;
        let error = stream.read_exact([0; 1]).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!((now() - begin).as_secs(), 924);
        assert_eq!(sim::network().unwrap().counts().timeouts, 1);
        // The connection has ended on this side.
        let error = stream.write_all([3]).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        sim::repair("client", "server").unwrap();
        let mut stream = TcpStream::connect("server:7").await?;
        ask(&mut stream, 4).await
    });
}

#[test]
fn idle_connection_does_not_notice_a_partition() {
    run_pair(echo::<1>, async {
        let mut stream = TcpStream::connect("server:7").await?;
        ask(&mut stream, 1).await?;
        sim::partition("client", "server").unwrap();
        sleep(3600).await;
        sim::repair("client", "server").unwrap();
        ask(&mut stream, 2).await
    });
}

#[test]
fn oneway_partition_of_acknowledgements_fails_the_sender() {
    let log = Log::default();
    let seen = log.clone();
    let mut simulation = Simulation::builder().seed(1).build();
    simulation.host("server", move || {
        let log = log.clone();
        async move {
            let listener = TcpListener::bind("0.0.0.0:7").await?;
            let (mut stream, _) = listener.accept().await?;
            let (read, bytes) = stream.read_exact([0; 5]).await;
            read?;
            log.add(format!("{} at {:?}", bytes[0], now().as_secs()));
            // The peer is not there any more.
            let error = stream.read_exact([0; 1]).await.0.unwrap_err();
            log.add(format!("{:?}", error.kind()));
            io::Result::Ok(())
        }
    });
    simulation.client("client", async {
        let mut stream = TcpStream::connect("server:7").await?;
        sim::partition_oneway("server", "client").unwrap();
        stream.write_all([7; 5]).await.0?;
        let error = stream.read_exact([0; 1]).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(now().as_secs(), 924);
        io::Result::Ok(())
    });
    simulation.run().unwrap();
    assert_eq!(seen.entries(), ["7 at 0"]);
}

#[test]
fn oneway_partition_passes_the_other_direction() {
    run_pair(
        || async {
            let socket = UdpSocket::bind("0.0.0.0:9").await?;
            loop {
                let (received, bytes) = socket.recv_from(Vec::with_capacity(9)).await;
                let (_, from) = received?;
                socket.send_to(bytes, from).await.0?;
            }
        },
        async {
            let socket = UdpSocket::bind("0.0.0.0:10").await?;
            sim::partition_oneway("server", "client").unwrap();
            socket.send_to("one", "server:9").await.0?;
            sleep(1).await;
            assert_eq!(sim::network().unwrap().counts().blocked, 1);
            sim::repair_oneway("server", "client").unwrap();
            socket.send_to("two", "server:9").await.0?;
            let (received, bytes) = socket.recv_from(Vec::with_capacity(9)).await;
            received?;
            assert_eq!(bytes, b"two");
            Ok(())
        },
    );
}

#[test]
fn sender_without_room_fails_in_a_oneway_partition() {
    run_pair(
        || async {
            let listener = TcpListener::bind("0.0.0.0:7").await?;
            let (mut stream, _) = listener.accept().await?;
            sleep(10).await;
            let (read, _) = stream.read_exact(vec![0; 100_000]).await;
            read?;
            pending().await
        },
        async {
            let mut stream = TcpStream::connect("server:7").await?;
            let writer = task::spawn(async move { stream.write_all(vec![1; 200_000]).await.0 });
            sleep(5).await;
            sim::partition_oneway("server", "client").unwrap();
            let error = writer.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            Ok(())
        },
    );
}

#[test]
fn sender_without_room_continues_after_a_repair() {
    run_pair(
        || async {
            let listener = TcpListener::bind("0.0.0.0:7").await?;
            let (mut stream, _) = listener.accept().await?;
            sleep(10).await;
            let (read, _) = stream.read_exact(vec![0; 200_000]).await;
            read?;
            stream.write_all([1]).await.0?;
            pending().await
        },
        async {
            let mut stream = TcpStream::connect("server:7").await?;
            task::spawn(async {
                sleep(5).await;
                sim::partition_oneway("server", "client").unwrap();
                sleep(60).await;
                sim::repair_oneway("server", "client").unwrap();
            })
            .detach();
            stream.write_all(vec![1; 200_000]).await.0?;
            stream.read_exact([0; 1]).await.0?;
            assert!(now() < Duration::from_secs(130), "{:?}", now());
            Ok(())
        },
    );
}

#[test]
fn closed_socket_repeats_its_last_bytes() {
    let log = Log::default();
    let seen = log.clone();
    let mut simulation = Simulation::builder().seed(1).build();
    simulation.client("reader", async move {
        let listener = TcpListener::bind("0.0.0.0:7").await?;
        let (mut stream, _) = listener.accept().await?;
        let (read, bytes) = stream.read_to_end(Vec::new()).await;
        read?;
        log.add(format!("{} {}", bytes.len(), now().as_secs()));
        io::Result::Ok(())
    });
    simulation.client("writer", async {
        let mut stream = TcpStream::connect("reader:7").await?;
        sim::partition("writer", "reader").unwrap();
        stream.write_all(vec![1; 10_000]).await.0?;
        stream.close().await?;
        sleep(10).await;
        sim::repair("writer", "reader").unwrap();
        io::Result::Ok(())
    });
    simulation.run().unwrap();
    assert_eq!(seen.entries(), ["10000 12"]);
}

#[test]
fn crash_in_a_partition_is_found_by_later_data() {
    run_pair(echo::<1>, async {
        let mut stream = TcpStream::connect("server:7").await?;
        ask(&mut stream, 1).await?;
        sim::partition("client", "server").unwrap();
        sim::restart("server").unwrap();
        sleep(10).await;
        stream.write_all([2]).await.0?;
        let late = time::timeout(Duration::from_secs(10), stream.read_exact([0; 1])).await;
        assert!(late.is_err());
        sim::repair("client", "server").unwrap();
        let error = stream.read_exact([0; 1]).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let mut stream = TcpStream::connect("server:7").await?;
        ask(&mut stream, 3).await
    });
}

#[test]
fn data_for_a_host_without_power_are_repeated_until_its_restart() {
    run_pair(echo::<1>, async {
        let mut stream = TcpStream::connect("server:7").await?;
        ask(&mut stream, 1).await?;
        sim::power_loss("server").unwrap();
        sleep(1).await;
        stream.write_all([2]).await.0?;
        sleep(10).await;
        sim::restart("server").unwrap();
        let error = stream.read_exact([0; 1]).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        Ok(())
    });
}

#[test]
fn half_closed_connection_to_a_host_without_power_is_reset() {
    run_pair(echo_once, async {
        let mut stream = TcpStream::connect("server:7").await?;
        stream.write_all("hello").await.0?;
        sim::power_loss("server").unwrap();
        sleep(1).await;
        stream.shutdown().await?;
        sleep(10).await;
        sim::restart("server").unwrap();
        let error = stream.read_exact([0; 1]).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        Ok(())
    });
}

#[test]
fn connect_whose_refusal_is_lost_is_repeated() {
    let second = Duration::from_secs(1);
    for (repairs, expected) in [
        (true, ErrorKind::ConnectionRefused),
        (false, ErrorKind::TimedOut),
    ] {
        let builder = Simulation::builder().latency(second..=second);
        let mut simulation = builder.build();
        simulation.host("server", pending::<io::Result<()>>);
        simulation.client("client", async move {
            task::spawn(async move {
                time::sleep(Duration::from_millis(1500)).await;
                sim::partition("client", "server").unwrap();
                if repairs {
                    sleep(5).await;
                    sim::repair("client", "server").unwrap();
                }
            })
            .detach();
            let error = TcpStream::connect("server:7").await.unwrap_err();
            assert_eq!(error.kind(), expected);
            // The attempt after 7 seconds, and its way back.
            let end = if repairs { 8 } else { 127 };
            assert_eq!(now().as_secs(), end);
        });
        simulation.run().unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn held_packets_arrive_after_the_release() {
    run_pair(echo::<1>, async {
        let socket = UdpSocket::bind("0.0.0.0:9").await?;
        let sender = task::spawn(async {
            let socket = UdpSocket::bind("127.0.0.1:0").await?;
            socket.send_to("local", "127.0.0.1:9").await.0
        });
        sim::hold("client", "server").unwrap();
        // Packets inside of a host pass.
        assert_eq!(socket.recv_from(Vec::with_capacity(9)).await.1, b"local");
        sender.await.unwrap()?;
        let begin = now();
        let stream = task::spawn(async {
            let mut stream = TcpStream::connect("server:7").await?;
            ask(&mut stream, 1).await
        });
        sleep(10).await;
        sim::release("client", "server").unwrap();
        stream.await.unwrap()?;
        assert!(now() - begin > Duration::from_secs(10));
        Ok(())
    });
}

#[test]
fn release_delivers_a_stream_at_once() {
    run_pair(echo::<1>, async {
        let mut stream = TcpStream::connect("server:7").await?;
        ask(&mut stream, 1).await?;
        sim::hold("client", "server").unwrap();
        stream.write_all([2]).await.0?;
        sleep(100).await;
        let begin = now();
        sim::release("client", "server").unwrap();
        stream.read_exact([0; 1]).await.0?;
        assert!(now() - begin < Duration::from_millis(20));
        Ok(())
    });
}

#[test]
fn groups_are_cut_from_each_other_only() {
    let mut simulation = Simulation::builder().seed(1).build();
    for name in ["a", "b", "c", "d"] {
        simulation.host(name, echo::<1>);
    }
    simulation.client("client", async {
        sim::partition(
            ["a", "b", "client"],
            vec![String::from("c"), String::from("d")],
        )?;
        for (name, connects) in [("a", true), ("b", true), ("c", false), ("d", false)] {
            let connect = TcpStream::connect((name, 7));
            let result = time::timeout(Duration::from_secs(10), connect).await;
            assert_eq!(result.is_ok(), connects, "{name}");
        }
        let error = sim::partition("a", ["b", "nowhere"]).unwrap_err();
        assert_eq!(error.host(), Some("nowhere"));
        // A failed call has no effect.
        sim::repair(["client"], ["c"])?;
        TcpStream::connect("c:7").await?;
        sim::network()?.calm();
        TcpStream::connect("d:7").await?;
        Ok::<_, Box<dyn std::error::Error>>(())
    });
    simulation.run().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn partition_of_a_host_with_itself_is_none() {
    let mut simulation = Simulation::builder().build();
    simulation.host("server", std::future::pending::<()>);
    simulation.client("client", async {
        let all = ["client", "server"];
        sim::partition(all, all)?;
        sleep(1).await;
        sim::repair(all, all)?;
        sleep(1).await;
        sim::restart("server")?;
        sleep(1).await;
        Err::<(), Box<dyn std::error::Error>>("the end".into())
    });
    let error = simulation.run().unwrap_err();
    let faults: Vec<_> = error.faults().iter().map(ToString::to_string).collect();
    let partition = "at 0ns: partition between client, server and client, server, for 1s";
    assert_eq!(faults, [partition, "at 2s: restart of server"]);
}

#[test]
fn partition_outside_of_a_host_is_an_error() {
    for result in [
        sim::partition("a", "b"),
        sim::repair("a", "b"),
        sim::hold("a", "b"),
        sim::network().map(drop),
        sim::link("a", "b").map(drop),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(error.kind(), sim::ErrorKind::OutsideOfHost));
    }
    run_one(async {
        let error = sim::link("client", "other").unwrap_err();
        assert!(matches!(error.kind(), sim::ErrorKind::UnknownHost));
        Ok(())
    });
}
