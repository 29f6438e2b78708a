//! Consoles in children of `fork`.

use std::{
    io::{BufRead, BufReader},
    os::unix::net::UnixStream,
};

use compio::console;

use super::{LONG, fork, take_turn};

#[test]
fn drop_of_an_inherited_console_does_nothing() {
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("console");
    let mut console = Some(console::listen(&path).unwrap());
    let ended = fork(|| {
        drop(console.take());
        i32::from(!path.exists())
    });
    assert_eq!(ended.code(), Some(0), "{ended}");
    // The parent still serves.
    let stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut hello = String::new();
    BufReader::new(stream).read_line(&mut hello).unwrap();
    assert!(hello.contains("hello"), "{hello}");
    drop(console);
    assert!(!path.exists());
}
