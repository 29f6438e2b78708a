//! Descriptors: reused, inherited, exhausted.

use std::{fs::File, io::Write, mem, process::Command};

use crate::{
    common::{
        Seen, connect, connected, descriptors, local, look, pause, poke, poll_once, report, run,
        stage, within,
    },
    contender::Contender,
};

const TIMES: usize = 30;

/// The read is dropped, then its stream.
pub fn reused<C: Contender>() {
    reuse::<C>(false);
}

/// The read is leaked, then its stream is dropped.
pub fn reused_forgotten<C: Contender>() {
    reuse::<C>(true);
}

fn reuse<C: Contender>(forget: bool) {
    run::<C, _>(async {
        let (listener, address) = C::listen().await.expect("a listener");
        let (mut same, mut own, mut wrong) = (0, 0, 0);
        for _ in 0..TIMES {
            let _first = connect(address);
            let mut second = connect(address);
            let mut stream = C::accept(&listener).await.expect("the peer is there");
            let number = C::fd(&stream);
            let mut read = C::read(&mut stream, Vec::with_capacity(100));
            assert!(poll_once(&mut read).await.is_pending(), "nothing has come");
            pause::<C>(1).await;
            if forget {
                mem::forget(read);
            } else {
                drop(read);
            }
            drop(stream);
            // The time for a close in the background.
            pause::<C>(3).await;
            let mut next = C::accept(&listener).await.expect("the peer is there");
            same += usize::from(C::fd(&next) == number);
            second.write_all(b"mine").expect("there is room");
            let read = C::read(&mut next, Vec::with_capacity(100));
            match within::<C, _>(20, read).await {
                Some((Ok(4), bytes)) if bytes == b"mine" => own += 1,
                Some((Ok(1..), _)) => wrong += 1,
                _ => {}
            }
        }
        let lost = TIMES - own - wrong;
        let bytes = match (lost, wrong) {
            (0, 0) => format!("all {TIMES} got their bytes"),
            _ => format!("{lost} of {TIMES} got none, {wrong} got others"),
        };
        report(&format!("{bytes} ({same} had the same number)"));
    });
}

/// A child lists its descriptors.
pub fn inherited<C: Contender>() {
    let before = inherited_by_child();
    run::<C, _>(async {
        let (stream, _peer) = connected::<C>().await;
        let program = std::env::current_exe().expect("the program has a path");
        let file = C::open(&program).await.expect("the program is there");
        let flags = |fd| {
            // SAFETY: a plain call on an fd.
            let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
            if flags & libc::FD_CLOEXEC == 0 {
                "no"
            } else {
                "yes"
            }
        };
        let more = inherited_by_child() - before;
        report(&format!(
            "{more} inherited; close-on-exec: socket {}, file {}",
            flags(C::fd(&stream)),
            flags(C::file_fd(&file))
        ));
    });
}

fn inherited_by_child() -> usize {
    let program = std::env::current_exe().expect("the program has a path");
    let output = Command::new(program).arg("--descriptors").output();
    let output = output.expect("the program runs").stdout;
    let text = String::from_utf8(output).expect("a number");
    text.trim().parse().expect("a number")
}

/// No descriptor is left.
pub fn exhausted<C: Contender>() {
    run::<C, _>(async {
        let (listener, address) = C::listen().await.expect("a listener");
        // After this, the descriptors that the runtime opens on first use are open.
        let early = connect(address);
        drop(C::accept(&listener).await.expect("the peer is there"));
        drop(early);
        pause::<C>(5).await;
        let mut peers: Vec<_> = (0..3).map(|_| connect(address)).collect();
        let mut fillers = fill();
        stage("accept without a descriptor left");
        let first = within::<C, _>(200, local(async { C::accept(&listener).await })).await;
        let first = match first {
            Some(Ok(_)) => report("not observable: it found a descriptor"),
            Some(Err(error)) => format!(
                "error {}",
                error.raw_os_error().map_or_else(|| error.to_string(), name)
            ),
            None => "waits".into(),
        };
        fillers.truncate(fillers.len() - 3);
        stage("accept with descriptors again");
        let mut accepted = Vec::new();
        for _ in 0..3 {
            if let Some(Ok(stream)) = within::<C, _>(200, C::accept(&listener)).await {
                poke(C::fd(&stream), b"k");
                accepted.push(stream);
            }
        }
        let served = peers
            .iter_mut()
            .filter_map(|peer| (look(peer) == Seen::Served).then_some(()))
            .count();
        report(&format!(
            "{first}; then {served} of 3 waiting clients served"
        ));
    });
}

fn name(code: i32) -> String {
    match code {
        libc::EMFILE => "EMFILE".into(),
        other => format!("{other}"),
    }
}

/// Opens all descriptors that are left, within a limit of a hundred more.
fn fill() -> Vec<File> {
    let limit = descriptors() as u64 + 100;
    let limit = libc::rlimit {
        rlim_cur: limit,
        rlim_max: limit,
    };
    // SAFETY: the limit outlives the call.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!(set, 0, "a limit can be lowered");
    let mut fillers = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        fillers.push(file);
    }
    fillers
}
