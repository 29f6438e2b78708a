//! Copies a file of any size with several operations in flight, shows the progress, and prints the
//! checksum of the copy.
//!
//! `cargo run --release --example copy -- SOURCE TARGET`

use std::{collections::VecDeque, env, io, process::ExitCode};

use compio::{
    buf::{IntoInner, IoBuf},
    fs::File,
    io::AsyncWriteAtExt,
    task::{self, JoinHandle},
};
use crc32fast::Hasher;
use indicatif::{ProgressBar, ProgressStyle};

/// The size of one read and one write, in bytes.
const CHUNK: usize = 256 * 1024;

/// The number of concurrent tasks.
const CHUNKS_IN_FLIGHT: usize = 16;

#[compio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [source, target] = arguments.as_slice() else {
        eprintln!("usage: copy SOURCE TARGET");
        return ExitCode::from(2);
    };
    let copied = async {
        let source = within("cannot open the source", File::open_async(source).await)?;
        let target = within("cannot create the target", File::create_async(target).await)?;
        copy(source, target).await
    };
    match copied.await {
        Ok(checksum) => {
            println!("crc32 {checksum:08x}  {}", target.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("copy: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A part of the file in flight: its reusable buffer, its length and its checksum.
type Chunk = JoinHandle<io::Result<(Vec<u8>, Hasher)>>;

async fn copy(source: File, target: File) -> io::Result<u32> {
    let progress = ProgressBar::new(source.metadata().await?.len());
    progress.set_style(
        ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
            .expect("a valid template"),
    );
    let mut flying: VecDeque<Chunk> = VecDeque::new();
    let mut buffers = vec![Vec::new(); CHUNKS_IN_FLIGHT];
    let mut next = 0;
    let mut checksum = Hasher::new();
    loop {
        while let Some(buffer) = buffers.pop() {
            let chunk = copy_chunk(source.clone(), target.clone(), next, buffer);
            flying.push_back(task::spawn(chunk));
            next += CHUNK as u64;
        }
        // In file order, independent of the order of completion: checksums are combined like that.
        let Some(chunk) = flying.pop_front() else {
            break;
        };
        let (buffer, part) = chunk.await??;
        checksum.combine(&part);
        progress.inc(buffer.len() as u64);
        // The chunks behind a short one have read EOF as well.
        if buffer.len() == CHUNK {
            buffers.push(buffer);
        }
    }
    within("cannot write", target.sync_all().await)?;
    within("cannot write", target.close().await)?;
    progress.finish_and_clear();
    Ok(checksum.finalize())
}

/// Copies one chunk; it is shorter at the end of the file, and empty after it.
async fn copy_chunk(
    source: File,
    target: File,
    offset: u64,
    mut buffer: Vec<u8>,
) -> io::Result<(Vec<u8>, Hasher)> {
    buffer.clear();
    buffer.reserve_exact(CHUNK);
    while buffer.len() < CHUNK {
        let filled = buffer.len();
        let (read, slice) = source
            .read_at(buffer.slice(filled..CHUNK), offset + filled as u64)
            .await;
        buffer = slice.into_inner();
        if within("cannot read", read)? == 0 {
            break;
        }
    }
    let mut checksum = Hasher::new();
    checksum.update(&buffer);
    let (written, buffer) = target.write_all_at(buffer, offset).await;
    within("cannot write", written)?;
    Ok((buffer, checksum))
}

/// Adds the attempted action to an error.
fn within<T>(what: &str, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| io::Error::new(error.kind(), format!("{what}: {error}")))
}
