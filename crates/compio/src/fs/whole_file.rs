//! Functions on whole files.

use std::{io, path::Path};

use compio_driver::{AsFd, os_calls::file};
use compio_io::{
    buf::{BufResult, IoBuf},
    io::{AsyncReadAtExt, AsyncWriteAtExt},
};

use super::{File, OpenOptions};

/// The room for the read that finds EOF. A smaller room would be reallocated into a buffer of its
/// own.
const END_LEN: usize = 32;

/// Reads a file to EOF.
///
/// ```
/// fn main() -> std::io::Result<()> {
///     compio::task::block_on(async {
///         let manifest = compio::fs::read("Cargo.toml").await?;
///         assert!(manifest.starts_with(b"[package]"));
///         Ok(())
///     })
/// }
/// ```
///
/// # Platform differences
///
/// For a named pipe without a writer, see [`OpenOptions::open_async`].
///
/// # Cancellation
///
/// Has no effect on the file.
///
/// # Errors
///
/// As [`std::fs::read`].
pub async fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let file = File::open_async(path).await?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(room_for(&file))?;
    let (read, bytes) = file.read_to_end_at(bytes, 0).await;
    read.map(|_| bytes)
}

/// The room for the content, and for a read at EOF. The attributes of a file that has just been
/// opened are cached.
///
/// A size of 0 is meaningless: procfs reports it for every file. It reserves no room, and the read
/// makes room for 8 KiB.
fn room_for(file: &File) -> usize {
    match file::len(file.fd.as_fd()).unwrap_or(0) {
        0 => 0,
        len => usize::try_from(len)
            .ok()
            .and_then(|len| len.checked_add(END_LEN))
            .unwrap_or(usize::MAX),
    }
}

/// Reads a UTF-8 file to EOF.
///
/// # Cancellation
///
/// Has no effect on the file.
///
/// # Errors
///
/// As [`std::fs::read_to_string`]: [`InvalidData`](io::ErrorKind::InvalidData) if it is not UTF-8.
pub async fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read(path).await?).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "stream did not contain valid UTF-8",
        )
    })
}

/// Replaces the content of a file by `contents`. The file is created if it is missing.
///
/// ```
/// fn main() -> std::io::Result<()> {
///     let dir = tempfile::tempdir()?;
///     let path = dir.path().join("greeting");
///     compio::task::block_on(async {
///         compio::fs::write(&path, "hello").await.0?;
///         compio::fs::append(&path, vec![b'!']).await.0?;
///         assert_eq!(compio::fs::read_to_string(&path).await?, "hello!");
///         Ok(())
///     })
/// }
/// ```
///
/// # Cancellation
///
/// The file may have been created, emptied, or written in part.
///
/// # Errors
///
/// As [`std::fs::write`], with the buffer.
pub async fn write<B: IoBuf>(path: impl AsRef<Path>, contents: B) -> BufResult<(), B> {
    match File::create_async(path).await {
        Ok(file) => file.write_all_at(contents, 0).await,
        Err(error) => (Err(error), contents),
    }
}

/// Appends `contents` to a file, which is created if it is missing. Concurrent appends are not
/// overwritten.
///
/// # Cancellation
///
/// The file may have been created, or a part may have been appended.
///
/// # Errors
///
/// The errors of [`OpenOptions::open`] with `append` and `create`, and of a write; with the buffer.
pub async fn append<B: IoBuf>(path: impl AsRef<Path>, contents: B) -> BufResult<(), B> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    match options.open_async(path).await {
        Ok(file) => file.write_all_at(contents, 0).await,
        Err(error) => (Err(error), contents),
    }
}
