//! 31: operations that were pushed by reference, and the descriptors that their drop closes.

use std::{
    fs::File,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    sync::atomic::{AtomicI32, Ordering::Relaxed},
};

use compio_driver::{
    Driver, Operation, Poller,
    op::{Accept, Blocking, Close, Open, Socket},
};

use crate::support::{LONG, READ, each_backend, native, run};

/// Duplicates the file to a number that no other test gets: the system assigns the lowest free
/// numbers.
fn at_high_number(file: &File) -> OwnedFd {
    // Relaxed: only a count.
    static NUMBERS: AtomicI32 = AtomicI32::new(700);
    at(file, NUMBERS.fetch_add(1, Relaxed))
}

fn at(file: &File, number: i32) -> OwnedFd {
    // SAFETY: the number is new, and belongs to this call.
    unsafe {
        assert_eq!(libc::fcntl(number, libc::F_GETFD), -1, "{number} is open");
        assert_eq!(libc::dup2(file.as_raw_fd(), number), number);
        OwnedFd::from_raw_fd(number)
    }
}

fn is_open(number: i32) -> bool {
    // SAFETY: no pointers are passed.
    unsafe { libc::fcntl(number, libc::F_GETFD) != -1 }
}

/// Pushes the operation and waits for its entry.
fn complete<O: Operation>(driver: &Driver, op: &mut O) -> std::io::Result<usize> {
    // SAFETY: the operation stays where it is until its entry has come.
    unsafe { driver.push(op, 3) }.unwrap();
    driver.poll_one(Some(LONG)).unwrap().into_result()
}

#[test]
fn s31_dropped_close_after_its_entry_leaves_the_next_descriptor_open() {
    for driver in each_backend() {
        let file = tempfile::tempfile().unwrap();
        let fd = at_high_number(&file);
        let number = fd.as_raw_fd();
        let mut close = Close::new(fd);
        complete(&driver, &mut close).unwrap();
        assert!(!is_open(number));
        // Another file has the number now.
        let next = at(&tempfile::tempfile().unwrap(), number);
        drop(close);
        assert!(is_open(number));
        let inode = File::from(next).metadata().unwrap().ino();
        assert_ne!(inode, file.metadata().unwrap().ino());
    }
}

#[test]
fn s31_finished_close_after_its_entry_closes_once() {
    for driver in each_backend() {
        let file = tempfile::tempfile().unwrap();
        let fd = at_high_number(&file);
        let number = fd.as_raw_fd();
        let mut close = Close::new(fd);
        let answer = complete(&driver, &mut close);
        let next = at(&file, number);
        // SAFETY: the answer is its own.
        unsafe { close.finish(answer) }.unwrap();
        assert!(is_open(number));
        drop(next);
    }
}

#[test]
fn s31_close_that_never_began_closes_with_its_drop() {
    for driver in each_backend() {
        let file = tempfile::tempfile().unwrap();
        let fds = [(); 3].map(|()| at_high_number(&file));
        let numbers = fds.each_ref().map(AsRawFd::as_raw_fd);
        let [never_pushed, never_polled, refused] = fds.map(Close::new);
        drop(never_pushed);
        drop(driver.submit(never_polled));
        driver.shut_down();
        let mut refused = refused;
        // SAFETY: the driver refuses it.
        unsafe { driver.push(&mut refused, 3) }.unwrap_err();
        assert!(is_open(numbers[2]));
        drop(refused);
        assert!(!numbers.into_iter().any(is_open));
    }
}

#[test]
fn s31_close_that_is_cancelled_before_it_runs_closes() {
    for driver in each_backend() {
        let file = tempfile::tempfile().unwrap();
        let fd = at_high_number(&file);
        let number = fd.as_raw_fd();
        driver.shut_down();
        run(&driver, driver.submit(Close::new(fd))).unwrap_err();
        assert!(!is_open(number));
    }
}

/// The entry's result is a descriptor, for which `finish` makes an owner.
#[test]
fn s31_pushed_operations_give_their_descriptors_by_finish() {
    for driver in each_backend() {
        let mut socket = Socket::new(libc::AF_UNIX, libc::SOCK_STREAM, 0);
        let answer = complete(&driver, &mut socket);
        let number = *answer.as_ref().unwrap() as i32;
        // SAFETY: the answer is its own.
        let socket = unsafe { socket.finish(answer) }.unwrap();
        assert_eq!(socket.as_raw_fd(), number);

        let mut open = Open::new(native("/dev/null"), READ, 0);
        let answer = complete(&driver, &mut open);
        // SAFETY: the answer is its own.
        unsafe { open.finish(answer) }.unwrap();

        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut accept = Accept::new(OwnedFd::from(listener));
        let answer = complete(&driver, &mut accept);
        // SAFETY: the answer is its own.
        let (_, address) = unsafe { accept.finish(answer) }.unwrap();
        assert_eq!(address.as_socket(), Some(peer.local_addr().unwrap()));
    }
}

/// Also if it is pushed twice.
#[test]
fn s31_pushed_closure_runs_once() {
    for driver in each_backend() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let mut blocking = Blocking::new(move || sender.send(7).unwrap());
        complete(&driver, &mut blocking).unwrap();
        complete(&driver, &mut blocking).unwrap();
        drop(blocking);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [7]);
    }
}
