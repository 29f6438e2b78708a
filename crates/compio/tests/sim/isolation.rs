//! Nothing reaches the real system.

use std::{cell::RefCell, fs as std_fs, io::ErrorKind, os::fd::AsFd, rc::Rc, time::Duration};

use compio::{
    driver::BackendKind,
    fs::File,
    io,
    net::{TcpListener, TcpStream, UdpSocket, UnixStream},
    pipe,
    process::Command,
    runtime::Runtime,
    sim::Simulation,
    task,
};

use super::run_one;

#[track_caller]
fn check_unsupported<T>(result: std::io::Result<T>) {
    let error = result.err().expect("an error");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

#[test]
fn real_features_are_unsupported() {
    run_one(async {
        check_unsupported(Command::new("true").spawn());
        check_unsupported(compio::signal::ctrl_c().await);
        let fifo = pipe::OpenOptions::new().open_receiver("/tmp/fifo");
        check_unsupported(fifo);
        check_unsupported(compio::cores::Dispatcher::builder().workers(1).build());
        let stream = std::net::UdpSocket::bind("127.0.0.1:0")?;
        check_unsupported(UdpSocket::from_std(stream));
        let real = compio::runtime::AsyncFd::new(std::io::stdin())?;
        check_unsupported(real.readable().await);
        let (written, _) = compio::io::AsyncWrite::write(&mut io::stdout(), "x").await;
        check_unsupported(written);
        Ok(())
    });
}

#[test]
fn runtimes_of_a_host_have_the_simulated_backend() {
    run_one(async {
        let kind = compio::runtime::backend().kind();
        assert_eq!(kind, BackendKind::Simulated);
        let other = Runtime::builder().backend(BackendKind::Poll).build()?;
        assert_eq!(other.backend().kind(), BackendKind::Simulated);
        assert_eq!(kind.to_string(), "simulated");
        Ok(())
    });
    let real = Runtime::new().unwrap();
    assert_ne!(real.backend().kind(), BackendKind::Simulated);
    check_unsupported(Runtime::builder().backend(BackendKind::Simulated).build());
}

#[test]
fn handle_of_another_host_is_not_open() {
    let shared = Rc::new(RefCell::new(None));
    let giver = Rc::clone(&shared);
    let mut simulation = Simulation::builder().build();
    simulation.client("giver", async move {
        *giver.borrow_mut() = Some(File::create("/file").unwrap());
        compio::time::sleep(Duration::from_secs(2)).await;
    });
    simulation.client("taker", async move {
        compio::time::sleep(Duration::from_secs(1)).await;
        let file = shared.take().unwrap();
        let error = file.metadata().await.unwrap_err();
        // EBADF.
        assert_eq!(error.raw_os_error(), Some(9));
    });
    simulation.run().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn wait_for_a_runtime_of_the_real_system_is_an_error() {
    let real = Runtime::new().unwrap();
    let mut simulation = Simulation::builder().build();
    simulation.client("client", async move {
        // A moment of the virtual time, which does not go on.
        real.block_on(compio::time::sleep(Duration::from_millis(1)));
    });
    let error = simulation.run().unwrap_err().to_string();
    let text = "cannot wait for a runtime that was made outside of it";
    assert!(
        error.contains("host `client`") && error.contains(text),
        "{error}"
    );
}

fn panics_with_advice(code: impl Future<Output = ()> + 'static) {
    let mut simulation = Simulation::builder().build();
    simulation.client("client", code);
    let error = simulation.run().unwrap_err().to_string();
    assert!(
        error.contains("use them by the methods of compio"),
        "{error}"
    );
}

#[test]
fn handles_do_not_leave_the_simulation() {
    panics_with_advice(async {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let _ = listener.as_fd();
    });
    panics_with_advice(async {
        let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        let _ = socket.into_std();
    });
    panics_with_advice(async {
        let file = File::create("/file").unwrap();
        let _ = file.as_fd();
    });
    panics_with_advice(async {
        let file = File::create("/file").unwrap();
        let _ = file.into_std();
    });
    panics_with_advice(async {
        let (one, _other) = UnixStream::pair().unwrap();
        let _ = one.into_std();
    });
    panics_with_advice(async {
        let (reader, _writer) = pipe::pipe().unwrap();
        let _ = reader.into_std();
    });
    panics_with_advice(async {
        let (_reader, writer) = pipe::pipe().unwrap();
        let _ = writer.as_fd();
    });
}

#[test]
fn number_of_a_handle_is_no_real_descriptor() {
    use compio::driver::AsRawFd;

    run_one(async {
        let file = File::create("/file")?;
        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
        assert!(file.as_raw_fd() < -1);
        assert!(std_fs::read_link(link).is_err());
        Ok(())
    });
}

#[test]
fn handle_that_outlives_the_simulation_is_closed_without_effect() {
    let kept = Rc::new(RefCell::new(None));
    let keeper = Rc::clone(&kept);
    run_one(async move {
        let listener = TcpListener::bind("0.0.0.0:80").await?;
        *keeper.borrow_mut() = Some((listener, File::create("/file")?));
        Ok(())
    });
    let (listener, file) = kept.take().unwrap();
    let error = task::block_on(file.metadata()).unwrap_err();
    // EBADF.
    assert_eq!(error.raw_os_error(), Some(9));
    assert_eq!(listener.local_addr().unwrap_err().raw_os_error(), Some(9));
    drop((listener, file));
}

#[test]
fn connection_of_a_dropped_accept_is_closed_in_the_simulation() {
    run_one(async {
        let listener = TcpListener::bind("127.0.0.1:80").await?;
        {
            let mut accept = std::pin::pin!(listener.accept());
            let first = std::future::poll_fn(|cx| std::task::Poll::Ready(accept.as_mut().poll(cx)));
            assert!(first.await.is_pending());
            TcpStream::connect("127.0.0.1:80").await?;
        }
        // Never accepted again: the listener closes it.
        drop(listener);
        Ok(())
    });
}
