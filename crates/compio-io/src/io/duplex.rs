//! [`duplex`]: two connected streams in memory.

use std::{
    cell::RefCell,
    collections::VecDeque,
    fmt,
    future::poll_fn,
    io, mem, panic,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use slab::Slab;

use crate::{
    buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut},
    coop::poll_proceed,
    io::{AsyncRead, AsyncWrite, settle},
    panics::wake_all,
};

/// One of two connected streams in memory. Made by [`duplex`].
///
/// It is read and written through shared references as well, as sockets are.
/// After it is dropped, the other end reads the remaining bytes and then EOF, and
/// its writes fail.
///
/// It needs no runtime, and cannot leave its thread.
///
/// # Cancellation
///
/// A read or write that is dropped has moved nothing.
pub struct DuplexStream {
    incoming: Rc<Pipe>,
    outgoing: Rc<Pipe>,
}

/// Creates two connected streams: each reads the bytes written to the other.
///
/// Each direction buffers at most `max_buf_size` bytes (0 counts as one); if it is
/// full, a write waits until bytes are read.
///
/// ```
/// use compio::io::{AsyncReadExt, AsyncWriteExt, duplex};
///
/// # pollster::block_on(async {
/// let (mut client, mut server) = duplex(64);
/// client.write_all("hello").await.0?;
/// drop(client);
/// assert_eq!(server.read_to_end(Vec::new()).await.1, b"hello");
/// let (written, _) = server.write_all("too late").await;
/// assert_eq!(written.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub fn duplex(max_buf_size: usize) -> (DuplexStream, DuplexStream) {
    let (there, back) = (
        Rc::new(Pipe::new(max_buf_size)),
        Rc::new(Pipe::new(max_buf_size)),
    );
    let left = DuplexStream {
        incoming: Rc::clone(&back),
        outgoing: Rc::clone(&there),
    };
    let right = DuplexStream {
        incoming: there,
        outgoing: back,
    };
    (left, right)
}

impl fmt::Debug for DuplexStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DuplexStream")
            .field("readable", &self.incoming.state.borrow().bytes.len())
            .finish_non_exhaustive()
    }
}

impl Drop for DuplexStream {
    fn drop(&mut self) {
        self.incoming.change(|state| state.reader_gone = true);
        self.outgoing.change(|state| state.ended = true);
    }
}

impl AsyncRead for &DuplexStream {
    async fn read<B: IoBufMut>(&mut self, mut buf: B) -> BufResult<usize, B> {
        if buf.buf_capacity() == 0 {
            return (Ok(0), buf);
        }
        let len = self.incoming.take(|bytes| buf.init_from(bytes)).await;
        settle(&mut buf, len);
        (Ok(len), buf)
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, mut buf: V) -> BufResult<usize, V> {
        if buf.total_capacity() == 0 {
            return (Ok(0), buf);
        }
        let len = self.incoming.take(|bytes| buf.init_from(bytes)).await;
        if len == 0 {
            buf.init_from(&[]);
        }
        (Ok(len), buf)
    }
}

impl AsyncWrite for &DuplexStream {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        let written = self.outgoing.put(std::iter::once(buf.as_init())).await;
        (written, buf)
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, buf: V) -> BufResult<usize, V> {
        let slices: Vec<&[u8]> = buf.slices().collect();
        let written = self.outgoing.put(slices.into_iter()).await;
        (written, buf)
    }

    /// Does nothing: written bytes are readable at once.
    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.outgoing.change(|state| state.ended = true);
        Ok(())
    }
}

impl AsyncRead for DuplexStream {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        (&*self).read(buf).await
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, buf: V) -> BufResult<usize, V> {
        (&*self).read_vectored(buf).await
    }
}

impl AsyncWrite for DuplexStream {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        (&*self).write(buf).await
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, buf: V) -> BufResult<usize, V> {
        (&*self).write_vectored(buf).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        (&*self).flush().await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        (&*self).shutdown().await
    }
}

/// One direction.
struct Pipe {
    state: RefCell<State>,
    capacity: usize,
}

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    // The writer has shut down or was dropped.
    ended: bool,
    reader_gone: bool,
    // The wakers of readers that wait for bytes and of writers that wait for room.
    waiting: Slab<Waker>,
    // Counts the times that `waiting` was emptied. Keys of earlier rounds are stale.
    round: u64,
}

impl Pipe {
    fn new(capacity: usize) -> Self {
        Self {
            state: RefCell::default(),
            capacity: capacity.max(1),
        }
    }

    /// Changes the state and wakes all waiting tasks, which then check it again.
    ///
    /// No state is borrowed while wakers run. A panic of a waker does not prevent
    /// the others from being woken.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (value, mut waiting) = {
            let mut state = self.state.borrow_mut();
            let value = change(&mut state);
            if state.waiting.is_empty() {
                return value;
            }
            state.round += 1;
            (value, mem::take(&mut state.waiting))
        };
        if let Some(panic) = wake_all(waiting.drain()) {
            panic::resume_unwind(panic);
        }
        value
    }

    /// Waits for bytes; `copy` takes a prefix of them. Returns 0 at EOF.
    async fn take(&self, mut copy: impl FnMut(&[u8]) -> usize) -> usize {
        let mut waiting = Waiting::new(self);
        poll_fn(|cx| {
            let mut is_registered = false;
            loop {
                let (empty, ended) = {
                    let state = self.state.borrow();
                    (state.bytes.is_empty(), state.ended)
                };
                if !empty {
                    break;
                }
                if ended {
                    return Poll::Ready(0);
                }
                if is_registered || !waiting.register(cx) {
                    return Poll::Pending;
                }
                is_registered = true;
            }
            ready!(poll_proceed(cx));
            Poll::Ready(self.change(|state| {
                let len = copy(state.bytes.make_contiguous());
                state.bytes.drain(..len);
                len
            }))
        })
        .await
    }

    /// Waits for room, and copies as many bytes as fit. An empty write does not wait.
    async fn put<'a>(&self, slices: impl Iterator<Item = &'a [u8]> + Clone) -> io::Result<usize> {
        let wanted: usize = slices.clone().map(<[u8]>::len).sum();
        let mut waiting = Waiting::new(self);
        poll_fn(|cx| {
            let mut is_registered = false;
            let room = loop {
                let room = {
                    let state = self.state.borrow();
                    if state.ended || state.reader_gone {
                        return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
                    }
                    self.capacity - state.bytes.len()
                };
                if wanted == 0 {
                    return Poll::Ready(Ok(0));
                }
                if room > 0 {
                    break room;
                }
                if is_registered || !waiting.register(cx) {
                    return Poll::Pending;
                }
                is_registered = true;
            };
            ready!(poll_proceed(cx));
            let len = wanted.min(room);
            self.change(|state| {
                let bytes = slices.clone().flatten().take(len);
                state.bytes.extend(bytes);
            });
            Poll::Ready(Ok(len))
        })
        .await
    }
}

/// One future's entry in the list of waiting tasks. Dropping it removes the entry.
struct Waiting<'a> {
    pipe: &'a Pipe,
    // The round in which the entry was made, and its key.
    entry: Option<(u64, usize)>,
}

impl<'a> Waiting<'a> {
    fn new(pipe: &'a Pipe) -> Self {
        Self { pipe, entry: None }
    }

    /// Lists the task's waker in place of this future's previous one. Returns true if the waker was not
    /// listed before: then the caller checks the pipe once more.
    ///
    /// The caller registers once a poll, since `will_wake` may be false for a waker and its own clone.
    fn register(&mut self, cx: &Context<'_>) -> bool {
        if self.is_listed(cx.waker()) {
            return false;
        }
        // Cloning and dropping a waker may run foreign code, which may change the pipe: nothing is
        // borrowed.
        let waker = cx.waker().clone();
        drop(self.remove());
        let mut state = self.pipe.state.borrow_mut();
        self.entry = Some((state.round, state.waiting.insert(waker)));
        true
    }

    fn is_listed(&self, waker: &Waker) -> bool {
        let state = self.pipe.state.borrow();
        let listed = match self.entry {
            Some((round, key)) if round == state.round => state.waiting.get(key),
            Some(_) | None => None,
        };
        listed.is_some_and(|listed| listed.will_wake(waker))
    }

    fn remove(&mut self) -> Option<Waker> {
        let (round, key) = self.entry.take()?;
        let mut state = self.pipe.state.borrow_mut();
        if round == state.round {
            state.waiting.try_remove(key)
        } else {
            None
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        drop(self.remove());
    }
}
