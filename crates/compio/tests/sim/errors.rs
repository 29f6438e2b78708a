//! Failures of a simulation.

use std::{fmt, future::pending, io, rc::Rc, thread, time::Duration};

use compio::{
    fs,
    net::{TcpListener, TcpStream, UdpSocket},
    sim::{self, CompletionFaults, Error, ErrorKind, Simulation},
    task, time,
};

fn run<C: Future<Output: sim::Outcome> + 'static>(client: C) -> Error {
    let builder = Simulation::builder().seed(42);
    let mut simulation = builder.time_limit(Duration::from_secs(60)).build();
    simulation.client("client", client);
    simulation.run().expect_err("the run must fail")
}

#[track_caller]
fn check(error: &Error, kind: &str, host: Option<&str>, at: Duration) {
    let found = format!("{:?}", error.kind());
    assert!(found.starts_with(kind), "{found}");
    assert_eq!(error.host(), host);
    assert_eq!(error.seed(), Some(42));
    assert_eq!(error.at(), at);
    let of_host = host.map(|host| format!(", host `{host}`"));
    let of_host = of_host.unwrap_or_default();
    let begin = format!("seed 42, virtual time {at:?}{of_host}: ");
    assert!(error.to_string().starts_with(&begin), "{error}");
}

#[test]
fn panic_of_a_client_names_host_and_time() {
    let error = run(async {
        time::sleep(Duration::from_secs(5)).await;
        if sim::elapsed().is_some() {
            panic!("no such {}", "thing");
        }
    });
    check(
        &error,
        "Panic(\"no such thing\")",
        Some("client"),
        Duration::from_secs(5),
    );
    let text = "seed 42, virtual time 5s, host `client`: the program has panicked: no such thing";
    assert_eq!(error.to_string(), text);
}

#[test]
fn error_of_a_client_is_the_error_of_the_run() {
    let error = run(async {
        TcpStream::connect("nowhere:1").await?;
        io::Result::Ok(())
    });
    check(&error, "Failed", Some("client"), Duration::ZERO);
    assert!(std::error::Error::source(&error).is_some());
}

/// An error with a source, which belongs to its thread.
#[derive(Debug)]
struct Bound(
    io::Error,
    #[expect(dead_code, reason = "it cannot be sent")] Rc<()>,
);

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no answer")
    }
}

impl std::error::Error for Bound {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn error_that_cannot_be_sent_is_kept_as_text() {
    let error = run(async { Err::<(), _>(Bound(io::Error::other("the cable"), Rc::new(()))) });
    let error = thread::spawn(move || error).join().unwrap();
    let text =
        "seed 42, virtual time 0ns, host `client`: the program has failed: no answer: the cable";
    assert_eq!(error.to_string(), text);
}

#[test]
fn time_limit_is_an_error() {
    let error = run(async { time::sleep(Duration::from_secs(61)).await });
    let kind = "TimeLimit([\"client\"])";
    check(&error, kind, None, Duration::from_secs(60));
}

#[test]
fn run_without_a_limit_ends_at_the_last_moment() {
    let mut simulation = Simulation::builder().seed(42).build();
    simulation.set_time_limit(Duration::MAX);
    simulation.host("server", || time::sleep(Duration::from_secs(1)));
    let after = Duration::MAX..=Duration::MAX;
    simulation.restart_policy("server", sim::Restart::Always { after });
    simulation.calm_after(Duration::MAX, Duration::MAX);
    simulation.client("client", pending::<()>());
    let error = simulation.run().unwrap_err();
    check(
        &error,
        "TimeLimit",
        None,
        Duration::from_nanos(u64::MAX - 1),
    );
}

#[test]
fn deadlock_names_the_clients() {
    let error = run(async {
        let listener = TcpListener::bind("0.0.0.0:80").await?;
        time::sleep(Duration::from_secs(1)).await;
        listener.accept().await?;
        io::Result::Ok(())
    });
    check(
        &error,
        "Deadlock([\"client\"])",
        None,
        Duration::from_secs(1),
    );
    assert!(
        error.to_string().ends_with("these clients wait: client"),
        "{error}"
    );
}

#[test]
fn busy_task_is_an_error() {
    let error = run(async {
        while sim::elapsed().is_some() {
            task::yield_now().await;
        }
    });
    check(&error, "Stalled", Some("client"), Duration::ZERO);
}

#[test]
fn datagrams_without_end_at_one_moment_are_an_error() {
    let builder = Simulation::builder().seed(42);
    let mut simulation = builder.latency(Duration::ZERO..=Duration::ZERO).build();
    for (name, peer) in [("one", "other"), ("other", "one")] {
        simulation.client(name, async move {
            let socket = UdpSocket::bind("0.0.0.0:9").await?;
            time::sleep(Duration::from_secs(1)).await;
            socket.send_to("datagram", (peer, 9)).await.0?;
            loop {
                socket.recv([0; 8]).await.0?;
                socket.send_to("datagram", (peer, 9)).await.0?;
            }
            #[allow(unreachable_code, reason = "it names the type of the errors")]
            io::Result::Ok(())
        });
    }
    let error = simulation.run().unwrap_err();
    let host = error.host().map(str::to_owned);
    check(&error, "Stalled", host.as_deref(), Duration::from_secs(1));
}

#[test]
fn late_completions_without_end_at_one_moment_are_an_error() {
    let error = run(async {
        sim::completions("client")?.set(CompletionFaults {
            late: 1.0,
            late_by: Duration::ZERO..=Duration::ZERO,
            ..CompletionFaults::default()
        });
        while sim::elapsed().is_some() {
            fs::write("/file", "content").await.0?;
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    });
    check(&error, "Stalled", Some("client"), Duration::ZERO);
}

#[test]
fn many_steps_at_different_moments_are_no_error() {
    let mut simulation = Simulation::builder().build();
    simulation.client("client", async {
        for _ in 0..150_000 {
            time::sleep(Duration::from_nanos(1)).await;
        }
    });
    assert!(simulation.run().unwrap().steps() > 150_000);
}

#[test]
fn step_limit_is_an_error() {
    let sleeps = |limit| {
        let mut simulation = Simulation::builder().seed(42).step_limit(limit).build();
        simulation.client("client", async {
            for _ in 0..10 {
                time::sleep(Duration::from_secs(1)).await;
            }
        });
        simulation.run()
    };
    let steps = sleeps(u64::MAX).unwrap().steps();
    assert_eq!(sleeps(steps).unwrap().steps(), steps);
    let error = sleeps(steps - 1).unwrap_err();
    check(&error, "StepLimit", Some("client"), Duration::from_secs(10));
    let mut simulation = Simulation::builder().seed(42).build();
    simulation.set_step_limit(1).client("client", async {
        time::sleep(Duration::from_secs(1)).await;
    });
    let error = simulation.run().unwrap_err();
    check(&error, "StepLimit", Some("client"), Duration::from_secs(1));
}

#[test]
fn duplicate_host_is_an_error() {
    let mut simulation = Simulation::builder().seed(42).build();
    simulation.client("a", async {}).client("a", async {});
    check(
        &simulation.run().unwrap_err(),
        "DuplicateHost",
        Some("a"),
        Duration::ZERO,
    );
}

#[test]
fn address_must_be_free_and_of_one_host() {
    for (address, kind) in [
        ("10.1.1.1", "DuplicateAddress"),
        ("127.0.0.1", "InvalidAddress"),
    ] {
        let mut simulation = Simulation::builder().seed(42).build();
        let pending = || std::future::pending::<()>();
        simulation.host_at("a", "10.1.1.1".parse().unwrap(), pending);
        simulation.host_at("b", address.parse().unwrap(), pending);
        check(
            &simulation.run().unwrap_err(),
            kind,
            Some("b"),
            Duration::ZERO,
        );
    }
}

#[test]
fn simulation_without_clients_is_an_error() {
    let mut simulation = Simulation::builder().seed(42).build();
    simulation.host("a", || async {});
    check(
        &simulation.run().unwrap_err(),
        "NoClients",
        None,
        Duration::ZERO,
    );
}

#[test]
fn simulation_inside_of_another_one_is_an_error() {
    run_inner(|| {
        let mut inner = Simulation::builder().seed(42).build();
        inner.client("inner", async {});
        check(&inner.run().unwrap_err(), "Nested", None, Duration::ZERO);
    });
}

#[test]
fn simulation_in_the_code_for_lines_of_another_one_is_an_error() {
    let mut simulation = Simulation::builder().build();
    let mut lines = 0;
    simulation.on_line(move |_| {
        let mut inner = Simulation::builder().seed(42).build();
        inner.client("inner", async {});
        check(&inner.run().unwrap_err(), "Nested", None, Duration::ZERO);
        lines += 1;
        assert!(lines < 1000);
    });
    simulation.host("server", pending::<()>);
    simulation.client("outer", async {
        sim::assert_always(true, "an assertion");
        fs::write("/file", "content").await.0?;
        sim::crash("server")?;
        time::sleep(Duration::from_secs(1)).await;
        Ok::<_, Box<dyn std::error::Error>>(())
    });
    let report = simulation.run().unwrap();
    assert_eq!(report.assertion("an assertion").unwrap().evaluated, 1);
    assert_eq!(report.fault(sim::Fault::Crash), Some(1));
}

#[test]
fn panic_of_the_code_that_makes_a_program_is_an_error_of_its_host() {
    let run = |restarts: bool| {
        let mut simulation = Simulation::builder().seed(42).build();
        simulation.host("server", || {
            if sim::elapsed() < Some(Duration::from_secs(5)) {
                panic!("no configuration");
            }
            pending::<()>()
        });
        if restarts {
            let after = Duration::from_secs(1)..=Duration::from_secs(1);
            simulation.restart_policy("server", sim::Restart::OnFailure { after });
        }
        simulation.client("client", async {
            time::sleep(Duration::from_secs(60)).await;
        });
        simulation.run()
    };
    let error = run(false).unwrap_err();
    let kind = "Panic(\"no configuration\")";
    check(&error, kind, Some("server"), Duration::ZERO);
    assert_eq!(run(true).unwrap().restarts(), 5);
}

fn run_inner(code: impl FnOnce() + 'static) {
    let mut simulation = Simulation::builder().build();
    simulation.client("outer", async move { code() });
    simulation.run().unwrap();
}

#[test]
fn use_outside_of_a_host_is_an_error() {
    let error = sim::crash("a").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::OutsideOfHost));
    // There is no run, so there is no seed.
    assert_eq!((error.seed(), error.host()), (None, None));
    let text = "this call is only possible in a program of a simulated host";
    assert_eq!(error.to_string(), text);
    assert_eq!(sim::elapsed(), None);
    assert_eq!(sim::host_name(), None);
}

#[test]
#[should_panic(expected = "only possible in a program of a simulated host")]
fn random_numbers_outside_of_a_host_panic() {
    sim::rng();
}

#[test]
fn unknown_host_is_an_error() {
    let error = run(async { sim::restart("nowhere") });
    check(&error, "Failed", Some("client"), Duration::ZERO);
    assert!(
        error
            .to_string()
            .contains("host `nowhere`: there is no host of this name")
    );
}

#[test]
fn nested_block_on_is_an_error_of_the_host() {
    let error = run(async {
        let runtime = compio::runtime::Runtime::new().unwrap();
        runtime.block_on(time::sleep(Duration::from_secs(1)));
    });
    check(&error, "Panic", Some("client"), Duration::ZERO);
    assert!(
        error.to_string().contains("cannot block its thread"),
        "{error}"
    );
}
