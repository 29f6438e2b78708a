//! Watches a directory tree, and prints its changes.
//!
//! `cargo run --example watch -- DIRECTORY`, on Windows: with `ReadDirectoryChangesW`, a regular
//! overlapped call.

#[cfg(windows)]
#[compio::main]
async fn main() -> std::io::Result<()> {
    use compio::{
        driver::SharedFd,
        os::windows::{DirectoryChanges, ReadDirectoryChanges, open_directory},
        runtime::submit,
    };

    let path = std::env::args_os().nth(1).unwrap_or(".".into());
    let directory = SharedFd::from(open_directory(&path)?);
    println!("watching {}", path.display());
    let mut changes = DirectoryChanges::with_capacity(16 * 1024);
    loop {
        // The OS keeps changes until the next call, as far as its buffer has room.
        let watch = ReadDirectoryChanges::new(directory.clone(), changes).recursive(true);
        let result;
        (result, changes) = submit(watch).await;
        result?;
        if changes.were_lost() {
            println!("too many changes at once: some are missing");
        }
        for change in &changes {
            println!("{:?} {}", change.kind, change.path.display());
        }
    }
}

#[cfg(not(windows))]
fn main() {
    eprintln!("this example is for Windows");
}
