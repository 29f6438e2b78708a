//! The standard streams on Windows: std's streams on a pool thread. A console has no overlapped reads,
//! and its text is UTF-16.

use std::{
    io::{self, Read, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

use compio_io::buf::{BufResult, IoBuf, IoBufMut};

use crate::fs::blocking;

/// How many bytes are read or written at a time.
const ROOM: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) struct Input;

#[derive(Debug)]
pub(crate) struct Output {
    which: Which,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Which {
    Out,
    Error,
}

/// Unread data. A pool thread that reads cannot be interrupted when the read is dropped: its bytes are
/// kept for the next read.
static KEPT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Held by the thread that reads. Never locked while `KEPT` is locked.
static READS: Mutex<()> = Mutex::new(());

impl Input {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) async fn read<B: IoBufMut>(&self, mut buffer: B) -> BufResult<usize, B> {
        if buffer.buf_capacity() == 0 {
            return (Ok(0), buffer);
        }
        loop {
            let taken = take_kept(&mut buffer);
            if taken > 0 {
                return (Ok(taken), buffer);
            }
            match blocking(read_more).await {
                Ok(true) => {}
                Ok(false) => {
                    let end = buffer.init_with(|_| Ok(0));
                    return (end, buffer);
                }
                Err(error) => return (Err(error), buffer),
            }
        }
    }
}

fn take_kept(buffer: &mut impl IoBufMut) -> usize {
    let mut kept = lock(&KEPT);
    let count = kept.len().min(buffer.buf_capacity());
    if count > 0 {
        buffer.init_from(&kept[..count]);
        kept.drain(..count);
    }
    count
}

/// Reads more bytes into `KEPT`. Returns false at the end.
fn read_more() -> io::Result<bool> {
    let _reads = lock(&READS);
    if !lock(&KEPT).is_empty() {
        return Ok(true);
    }
    let mut room = vec![0; ROOM];
    let count = loop {
        match io::stdin().read(&mut room) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    lock(&KEPT).extend_from_slice(&room[..count]);
    Ok(count > 0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Output {
    pub(crate) fn new(which: Which) -> Self {
        Self { which }
    }

    pub(crate) async fn write<B: IoBuf>(&self, buffer: B) -> BufResult<usize, B> {
        let which = self.which;
        let bytes = buffer.as_init();
        let bytes = bytes[..bytes.len().min(ROOM)].to_vec();
        let count = bytes.len();
        let written = blocking(move || match which {
            Which::Out => {
                let mut out = io::stdout().lock();
                out.write_all(&bytes).and_then(|()| out.flush())
            }
            Which::Error => io::stderr().lock().write_all(&bytes),
        })
        .await;
        (written.map(|()| count), buffer)
    }
}
