//! The process's standard streams.

use std::io::{self, IsTerminal};

use compio_io::{
    buf::{BufResult, IoBuf, IoBufMut},
    io::{AsyncRead, AsyncWrite},
};

use crate::sys::{Input, Output, Which};

/// The standard input of the process: a terminal, a pipe, or a file.
///
/// An unbuffered handle of its own. It does not see data in the buffer of [`std::io::stdin`].
///
/// ```no_run
/// use compio::io::{AsyncBufReadExt, BufReader, stdin};
///
/// fn main() -> std::io::Result<()> {
///     compio::task::block_on(async {
///         let (read, line) = BufReader::new(stdin()).read_line(String::new()).await;
///         read?;
///         println!("you said {line}");
///         Ok(())
///     })
/// }
/// ```
///
/// # Cancellation
///
/// Nothing is lost: the next read of the same [`Stdin`] returns bytes that arrive for a dropped read.
/// They are lost if the [`Stdin`] is dropped before.
///
/// # Platform differences
///
/// On Windows a thread reads, with std's handle, which converts console input to UTF-8. It continues
/// to wait if a read is dropped; its bytes are kept for the next read, of any `Stdin`.
pub fn stdin() -> Stdin {
    Stdin {
        input: Input::new(),
    }
}

/// The standard output of the process, unbuffered.
///
/// ```
/// use compio::io::{AsyncWriteExt, stdout};
///
/// fn main() -> std::io::Result<()> {
///     compio::task::block_on(async {
///         stdout().write_all("hello\n").await.0?;
///         Ok(())
///     })
/// }
/// ```
///
/// # Cancellation
///
/// Nothing, a part, or all may have been written.
///
/// # Platform differences
///
/// On Windows a thread writes, with std's handle, which converts UTF-8 to text for a console.
pub fn stdout() -> Stdout {
    Stdout {
        output: Output::new(Which::Out),
    }
}

/// The standard error stream of the process; otherwise as [`stdout`].
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
