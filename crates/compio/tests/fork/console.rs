//! Consoles and recordings in children of `fork`.

use std::{
    io::{BufRead, BufReader},
    os::unix::net::UnixStream,
};

use compio::{
    console,
    metrics::{OpKind, record_histograms},
    runtime::Runtime,
    task::spawn_blocking,
};

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

#[test]
fn socket_of_a_relative_path_is_removed_after_a_change_of_directory() {
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    // Only the child's directory changes.
    let ended = fork(|| {
        std::env::set_current_dir(folder.path()).unwrap();
        let console = console::listen("console").unwrap();
        assert!(folder.path().join("console").exists());
        std::env::set_current_dir("/").unwrap();
        drop(console);
        i32::from(folder.path().join("console").exists())
    });
    assert_eq!(ended.code(), Some(0), "{ended}");
}

/// The number of latencies that a new runtime records.
fn recorded() -> u64 {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        for _ in 0..3 {
            spawn_blocking(|| {}).await.unwrap();
        }
    });
    runtime.metrics().latencies(OpKind::Blocking).count()
}

#[test]
fn child_does_not_continue_a_recording() {
    let _turn = take_turn();
    let mut recording = Some(record_histograms());
    let ended = fork(|| {
        let inherited = recorded();
        // The drop of the parent's recording does not end the child's.
        let own = record_histograms();
        drop(recording.take());
        let during = recorded();
        drop(own);
        i32::from((inherited, during > 0, recorded()) != (0, true, 0))
    });
    assert_eq!(ended.code(), Some(0), "{ended}");
    assert!(recorded() > 0);
    drop(recording);
    assert_eq!(recorded(), 0);
}
