//! [`Lines`] and [`Split`]: the segments of a buffered reader, one after the other.

use std::{io, mem};

use crate::io::{AsyncBufRead, invalid_utf8};

/// The lines of a reader. Made by
/// [`lines`](crate::io::AsyncBufReadExt::lines).
#[derive(Debug)]
pub struct Lines<R> {
    segments: Split<R>,
}

/// The parts of a reader between the occurrences of a byte. Made by
/// [`split`](crate::io::AsyncBufReadExt::split).
#[derive(Debug)]
pub struct Split<R> {
    reader: R,
    delimiter: u8,
    // The beginning of the next part. It outlives the future that read it.
    begun: Vec<u8>,
}

impl<R> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self {
            segments: Split::new(reader, b'\n'),
        }
    }

    /// The reader. Bytes read from it directly are missing in the lines.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.segments.reader
    }

    /// Unwraps the reader; the beginning of a line that was read by a dropped
    /// [`next_line`](Self::next_line) is lost.
    pub fn into_inner(self) -> R {
        self.segments.reader
    }
}

impl<R: AsyncBufRead> Lines<R> {
    /// The next line, without the `\n` or `\r\n` at its end; none at the end of
    /// the source. A last line needs no `\n`.
    ///
    /// A line can be as long as memory allows.
    ///
    /// # Errors
    ///
    /// - [`InvalidData`](io::ErrorKind::InvalidData) if the line isn't UTF-8. The
    ///   line is lost, and the next call returns the next line.
    /// - Errors of the source; the next call continues the same line.
    ///
    /// # Cancellation
    ///
    /// The next call continues the same line. Bytes that the source loses with a
    /// dropped read are missing in it.
    ///
    /// ```
    /// use compio::io::AsyncBufReadExt;
    ///
    /// # pollster::block_on(async {
    /// let mut lines = (&b"one\r\ntwo"[..]).lines();
    /// assert_eq!(lines.next_line().await?.as_deref(), Some("one"));
    /// assert_eq!(lines.next_line().await?.as_deref(), Some("two"));
    /// assert_eq!(lines.next_line().await?, None);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub async fn next_line(&mut self) -> io::Result<Option<String>> {
        // Only a `\r` before a `\n` belongs to the end of the line.
        let Some((mut line, ended)) = self.segments.next().await? else {
            return Ok(None);
        };
        if ended && line.last() == Some(&b'\r') {
            line.pop();
        }
        match String::from_utf8(line) {
            Ok(line) => Ok(Some(line)),
            Err(_) => Err(invalid_utf8()),
        }
    }
}

impl<R> Split<R> {
    pub(crate) fn new(reader: R, delimiter: u8) -> Self {
        Self {
            reader,
            delimiter,
            begun: Vec::new(),
        }
    }

    /// The reader. Bytes read from it directly are missing in the parts.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// Unwraps the reader; the beginning of a part that was read by a dropped
    /// [`next_segment`](Self::next_segment) is lost.
    pub fn into_inner(self) -> R {
        self.reader
    }
}

impl<R: AsyncBufRead> Split<R> {
    /// The next part, without the delimiter at its end; none at the end of the
    /// source. A last part needs no delimiter.
    ///
    /// # Errors
    ///
    /// Errors of the source; the next call continues the same part.
    ///
    /// # Cancellation
    ///
    /// The next call continues the same part. Bytes that the source loses with a
    /// dropped read are missing in it.
    ///
    /// ```
    /// use compio::io::{AsyncBufReadExt, BufReader};
    ///
    /// # pollster::block_on(async {
    /// let mut parts = BufReader::new(&b"a;b"[..]).split(b';');
    /// assert_eq!(parts.next_segment().await?.as_deref(), Some(&b"a"[..]));
    /// assert_eq!(parts.next_segment().await?.as_deref(), Some(&b"b"[..]));
    /// assert_eq!(parts.next_segment().await?, None);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub async fn next_segment(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.next().await?.map(|(segment, _)| segment))
    }

    /// The next part, and whether a delimiter ended it.
    async fn next(&mut self) -> io::Result<Option<(Vec<u8>, bool)>> {
        loop {
            let bytes = match self.reader.fill_buf().await {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            if bytes.is_empty() {
                let last = mem::take(&mut self.begun);
                return Ok((!last.is_empty()).then_some((last, false)));
            }
            let found = bytes.iter().position(|&byte| byte == self.delimiter);
            self.begun
                .extend_from_slice(&bytes[..found.unwrap_or(bytes.len())]);
            let len = found.map_or(bytes.len(), |index| index + 1);
            self.reader.consume(len);
            if found.is_some() {
                return Ok(Some((mem::take(&mut self.begun), true)));
            }
        }
    }
}
