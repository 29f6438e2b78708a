//! Lines of limited length from a stream whose reads can time out.

use std::io::{self, Read};

use crate::protocol::MAX_LINE;

/// Bytes per read.
const CHUNK: usize = 64 << 10;

const CLOSED: &str = "the program closed the connection";

/// A reader of lines.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    /// Bytes at the begin of the buffer without a line feed.
    scanned: usize,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            scanned: 0,
        }
    }

    pub(crate) fn get_mut(&mut self) -> &mut R {
        &mut self.input
    }

    /// The next line, without its line feed. `may_wait` is called after each timeout of a read, and after each read.
    ///
    /// # Errors
    ///
    /// A description of the end of the stream, of a line that is too long, or of an error of the OS.
    pub(crate) fn next_line(
        &mut self,
        mut may_wait: impl FnMut() -> Result<(), String>,
    ) -> Result<Vec<u8>, String> {
        loop {
            let unseen = &self.buffer[self.scanned..];
            if let Some(index) = unseen.iter().position(|byte| *byte == b'\n') {
                return Ok(self.take_line(self.scanned + index));
            }
            self.scanned = self.buffer.len();
            if self.scanned > MAX_LINE {
                return Err("a line is longer than 16 MiB".into());
            }
            self.fill()?;
            may_wait()?;
        }
    }

    fn take_line(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length + 1);
        let mut line = std::mem::replace(&mut self.buffer, rest);
        line.truncate(length);
        self.scanned = 0;
        line
    }

    /// Makes one read. A timeout is no error.
    fn fill(&mut self) -> Result<(), String> {
        let length = self.buffer.len();
        self.buffer.resize(length + CHUNK, 0);
        let read = self.input.read(&mut self.buffer[length..]);
        self.buffer.truncate(length + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) if length > 0 => {
                Err("the program closed the connection in the middle of a line".into())
            }
            Ok(0) => Err(CLOSED.into()),
            Ok(_) => Ok(()),
            Err(error) if is_retry(&error) => Ok(()),
            Err(error) => Err(describe(&error)),
        }
    }
}

/// The reason of an error. A reset and a broken pipe are the end of the connection, too.
pub(crate) fn describe(error: &io::Error) -> String {
    if [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset].contains(&error.kind()) {
        return CLOSED.into();
    }
    error.to_string()
}

fn is_retry(error: &io::Error) -> bool {
    [
        io::ErrorKind::WouldBlock,
        io::ErrorKind::TimedOut,
        io::ErrorKind::Interrupted,
    ]
    .contains(&error.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split() {
        let mut lines = Lines::new(&b"first\nsecond\n\nhalf"[..]);
        for expected in ["first", "second", ""] {
            let line = lines.next_line(|| Ok(())).unwrap();
            assert_eq!(line, expected.as_bytes());
        }
        let error = lines.next_line(|| Ok(())).unwrap_err();
        assert!(error.contains("middle of a line"), "{error}");
    }

    #[test]
    fn endless_line_is_an_error_at_the_limit() {
        let mut lines = Lines::new(io::repeat(b'x'));
        let error = lines.next_line(|| Ok(())).unwrap_err();
        assert!(error.contains("16 MiB"), "{error}");
        assert!(lines.buffer.len() <= MAX_LINE + CHUNK);
    }

    #[test]
    fn caller_can_end_the_wait() {
        struct Silent;
        impl Read for Silent {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
        let mut left = 3;
        let error = Lines::new(Silent).next_line(|| {
            left -= 1;
            if left == 0 {
                Err("late".into())
            } else {
                Ok(())
            }
        });
        assert_eq!(error.unwrap_err(), "late");
    }
}
