//! Parses requests. It neither reads nor waits.

use std::{
    borrow::Cow,
    path::{Component, Path},
};

use percent_encoding::percent_decode_str;

/// The longest head of a request, in bytes.
pub(crate) const HEAD_MAX: usize = 16 * 1024;

/// A request of a client.
pub(crate) struct Request {
    /// The path, or the error of the request.
    pub(crate) target: Result<String, &'static str>,
    pub(crate) wants_body: bool,
    pub(crate) keep_alive: bool,
}

/// The request at the beginning of the bytes, and its length; `None` if it is incomplete.
pub(crate) fn parse(bytes: &[u8]) -> Option<(Request, usize)> {
    let refusal = |status| Request {
        target: Err(status),
        wants_body: true,
        keep_alive: false,
    };
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut headers);
    let len = match head.parse(bytes) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_MAX => return None,
        Ok(httparse::Status::Partial) => {
            return Some((refusal("431 Request Header Fields Too Large"), bytes.len()));
        }
        Err(_) => return Some((refusal("400 Bad Request"), bytes.len())),
    };
    let header = |name: &str| {
        let found = head
            .headers
            .iter()
            .find(|h| h.name.eq_ignore_ascii_case(name));
        found.map_or(&b""[..], |header| header.value)
    };
    let (method, target) = (head.method?, head.path?);
    let has_body = !header("content-length").is_empty() || !header("transfer-encoding").is_empty();
    if !matches!(method, "GET" | "HEAD") || has_body {
        return Some((refusal("405 Method Not Allowed"), len));
    }
    let connection = header("connection");
    let keep_alive = match head.version {
        Some(1) => !connection.eq_ignore_ascii_case(b"close"),
        _ => connection.eq_ignore_ascii_case(b"keep-alive"),
    };
    let request = Request {
        target: Ok(target.to_owned()),
        wants_body: method == "GET",
        keep_alive,
    };
    Some((request, len))
}

/// The path of a target, relative to the folder even if it begins with a slash; `None` if it leads
/// out of the folder, or is not UTF-8.
pub(crate) fn path_of(target: &str) -> Option<Cow<'_, str>> {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let path = percent_decode_str(path).decode_utf8().ok()?;
    let relative = Path::new(path.trim_start_matches('/'));
    // Neither a parent nor another root.
    let is_plain = |component| matches!(component, Component::Normal(_));
    relative.components().all(is_plain).then_some(path)
}
