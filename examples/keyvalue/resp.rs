//! The wire format of Redis, RESP 2: commands are arrays of strings.

use std::{fmt::Display, io, io::Write};

/// The limit of one argument, as in Redis (`proto-max-bulk-len`).
const ARGUMENT_MAX: usize = 512 << 20;

/// The limit of arguments of one command.
const ARGUMENTS_MAX: usize = 1 << 20;

/// The arguments of a command, and its length.
pub(crate) type Parsed<'a> = (Vec<&'a [u8]>, usize);

/// A complete command at the start of `input`. `None` if more bytes are needed.
pub(crate) fn command(input: &[u8]) -> io::Result<Option<Parsed<'_>>> {
    let mut rest = Rest { input, at: 0 };
    if input.first() != Some(&b'*') {
        return inline(input);
    }
    let Some(count) = rest.number(b'*', ARGUMENTS_MAX)? else {
        return Ok(None);
    };
    let mut arguments = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        let Some(len) = rest.number(b'$', ARGUMENT_MAX)? else {
            return Ok(None);
        };
        let Some(argument) = rest.input.get(rest.at..rest.at + len) else {
            return Ok(None);
        };
        match rest.input.get(rest.at + len..rest.at + len + 2) {
            Some(b"\r\n") => {}
            Some(_) => return Err(invalid("an argument does not end with CRLF")),
            None => return Ok(None),
        }
        arguments.push(argument);
        rest.at += len + 2;
    }
    Ok(Some((arguments, rest.at)))
}

/// A command as a person types it: words in one line.
fn inline(input: &[u8]) -> io::Result<Option<Parsed<'_>>> {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
        return if input.len() > 64 << 10 {
            Err(invalid("a line is too long"))
        } else {
            Ok(None)
        };
    };
    let words = input[..end].split(|byte| byte.is_ascii_whitespace());
    let words = words.filter(|word| !word.is_empty()).collect();
    Ok(Some((words, end + 1)))
}

struct Rest<'a> {
    input: &'a [u8],
    at: usize,
}

impl Rest<'_> {
    /// A line of `kind` and a number. `None` if it is incomplete.
    fn number(&mut self, kind: u8, max: usize) -> io::Result<Option<usize>> {
        let line = &self.input[self.at..];
        let Some(end) = line.iter().position(|byte| *byte == b'\n') else {
            return if line.len() > 32 {
                Err(invalid("a length is too long"))
            } else {
                Ok(None)
            };
        };
        let number = line[..end]
            .strip_prefix(&[kind])
            .and_then(|line| line.strip_suffix(b"\r"))
            .and_then(|digits| str::from_utf8(digits).ok())
            .and_then(|digits| digits.parse().ok())
            .filter(|number| *number <= max)
            .ok_or_else(|| invalid("a length is no number in its limit"))?;
        self.at += end + 1;
        Ok(Some(number))
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Appends a string, or the null of a missing value.
pub(crate) fn bulk(reply: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => {
            line(reply, b'$', value.len());
            reply.extend_from_slice(value);
            reply.extend_from_slice(b"\r\n");
        }
        None => reply.extend_from_slice(b"$-1\r\n"),
    }
}

/// Appends a number.
pub(crate) fn integer(reply: &mut Vec<u8>, number: i64) {
    line(reply, b':', number);
}

/// Appends the head of an array.
pub(crate) fn array(reply: &mut Vec<u8>, len: usize) {
    line(reply, b'*', len);
}

/// Appends an error.
pub(crate) fn error(reply: &mut Vec<u8>, message: impl Display) {
    line(reply, b'-', format_args!("ERR {message}"));
}

fn line(reply: &mut Vec<u8>, kind: u8, content: impl Display) {
    reply.push(kind);
    write!(reply, "{content}\r\n").expect("memory takes all bytes");
}
