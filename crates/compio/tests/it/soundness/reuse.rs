//! Reuse of a closed descriptor's number (scenario 11).

use compio::{
    driver::AsRawFd,
    io::{AsyncRead, AsyncWriteExt},
};

use crate::support::{begin, run, streams};

#[test]
fn s11_a_new_descriptor_of_the_same_number_gets_nothing_of_the_old_one() {
    run(async {
        let (mut old, _peer) = streams();
        let number = old.as_raw_fd();
        let mut read = Box::pin(old.read(Vec::with_capacity(8)));
        begin(&mut read).await;
        drop(read);
        drop(old);
        // The old descriptor stays open until its operation has completed: its number is not reused yet.
        let (new, peer) = streams();
        assert!(number != new.as_raw_fd() && number != peer.as_raw_fd());
        (&peer).write_all("hello").await.0.unwrap();
        let (read, buffer) = (&new).read(Vec::with_capacity(8)).await;
        assert_eq!((read.unwrap(), &buffer[..]), (5, &b"hello"[..]));
    });
}
