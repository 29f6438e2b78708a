//! The process's standard streams.

use std::io::{self, IsTerminal};

use compio_io::{
    buf::{BufResult, IoBuf, IoBufMut},
    io::{AsyncRead, AsyncWrite},
};

use crate::sys::{Input, Output, Which};

/// The standard input of the process: a terminal, a pipe, a file, anything.
///
/// A handle of its own, without a buffer. What [`std::io::stdin`] has in its buffer does not come
/// here.
///
/// ```no_run
/// use compio::io::{AsyncBufReadExt, BufReader, stdin};
///
/// # fn main() -> std::io::Result<()> {
/// compio::task::block_on(async {
///     let (read, line) = BufReader::new(stdin()).read_line(String::new()).await;
///     read?;
///     println!("you said {line}");
///     # Ok(())
/// })
/// # }
/// ```
///
/// # Cancellation
///
/// Nothing is lost: bytes that come for a read which was dropped are those of the next read of the same
/// [`Stdin`], and are dropped with it.
///
/// # Platform differences
///
/// On Windows a thread reads, by way of std's handle, which makes UTF-8 of what is typed in a
/// console. It goes on waiting when a read is dropped; what it gets is kept for the next read, of any
/// `Stdin`.
pub fn stdin() -> Stdin {
    Stdin {
        input: Input::new(),
    }
}

/// The standard output of the process. Nothing is kept in a buffer.
///
/// ```
/// use compio::io::{AsyncWriteExt, stdout};
///
/// # fn main() -> std::io::Result<()> {
/// compio::task::block_on(async {
///     stdout().write_all("hello\n").await.0?;
///     # Ok(())
/// })
/// # }
/// ```
///
/// # Cancellation
///
/// Nothing, a part, or all may have been written.
///
/// # Platform differences
///
/// On Windows a thread writes, by way of std's handle, which makes text for a console out of UTF-8.
pub fn stdout() -> Stdout {
    Stdout {
        output: Output::new(Which::Out),
    }
}

/// The standard error stream of the process; else as [`stdout`].
pub fn stderr() -> Stderr {
    Stderr {
        output: Output::new(Which::Error),
    }
}

/// See [`stdin`].
#[derive(Debug)]
pub struct Stdin {
    input: Input,
}

/// See [`stdout`].
#[derive(Debug)]
pub struct Stdout {
    output: Output,
}

/// See [`stderr`].
#[derive(Debug)]
pub struct Stderr {
    output: Output,
}

impl Stdin {
    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }
}

impl Stdout {
    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }
}

impl Stderr {
    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }
}

impl AsyncRead for Stdin {
    async fn read<B: IoBufMut>(&mut self, buffer: B) -> BufResult<usize, B> {
        self.input.read(buffer).await
    }
}

macro_rules! writes {
    ($stream:ident) => {
        impl AsyncWrite for $stream {
            async fn write<B: IoBuf>(&mut self, buffer: B) -> BufResult<usize, B> {
                self.output.write(buffer).await
            }

            async fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }

            /// Does nothing: it is closed with the process.
            async fn shutdown(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    };
}

writes!(Stdout);
writes!(Stderr);
