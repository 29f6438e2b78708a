//! Serves a folder over HTTP: files and directory listings. Files outside of it are unreachable,
//! except through symbolic links in it.
//!
//! `cargo run --release --example serve -- FOLDER 127.0.0.1:8000`, and then for instance
//! `curl http://127.0.0.1:8000/`. An address with a slash in it is the path of a Unix socket:
//! `curl --unix-socket PATH http://localhost/`.

mod request;

use std::{env, error::Error, fmt::Write as _, io, path::Path, rc::Rc, time::Duration};

use compio::{
    buf::{IntoInner, IoBuf},
    fs::{self, File},
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, UnixListener},
    task,
    time::{sleep, timeout},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use request::{HEAD_MAX, Request, parse, path_of};

/// The size of one file read, in bytes.
const CHUNK: usize = 64 * 1024;

/// The time limit of a client for its next request.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the rest of a rejected request is read.
const LINGER: Duration = Duration::from_secs(2);

/// The characters that are escaped in a link.
const LINK: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

#[compio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [root, address] = arguments.as_slice() else {
        return Err("usage: serve FOLDER ADDRESS".into());
    };
    let root: Rc<Path> = fs::canonicalize(root).await?.into();
    if address.contains('/') {
        let listener = UnixListener::bind(address)?;
        println!("listening on {address}");
        loop {
            let stream = listener.accept().await.map(|(stream, _)| stream);
            welcome(stream, &root).await;
        }
    }
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let stream = listener.accept().await.map(|(stream, _)| stream);
        welcome(stream, &root).await;
    }
}

/// Starts a task for a connection.
async fn welcome<S: AsyncRead + AsyncWrite + 'static>(stream: io::Result<S>, root: &Rc<Path>) {
    match stream {
        Ok(stream) => {
            let root = Rc::clone(root);
            task::spawn(async move {
                if let Err(error) = converse(stream, &root).await {
                    eprintln!("{error}");
                }
            });
        }
        // One connection failed, or there are too many: the others continue.
        Err(error) => {
            eprintln!("accept: {error}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Answers the requests of one client until it disconnects, times out, or sends a malformed
/// request.
async fn converse<S: AsyncRead + AsyncWrite>(mut stream: S, root: &Path) -> io::Result<()> {
    let mut received = Vec::with_capacity(HEAD_MAX);
    loop {
        let Ok(request) = timeout(PATIENCE, next_request(&mut stream, &mut received)).await else {
            return Ok(());
        };
        let Some(request) = request? else {
            return Ok(());
        };
        let answer = match &request.target {
            Ok(target) => find(root, target)
                .await
                .unwrap_or_else(|e| Answer::from(&e)),
            Err(status) => Answer::status(status),
        };
        send(&mut stream, answer, &request).await?;
        if !request.keep_alive {
            stream.shutdown().await?;
            // A close with unread bytes resets the connection, and the client may lose the
            // response.
            let _ = timeout(LINGER, discard(&mut stream)).await;
            return Ok(());
        }
    }
}

/// Reads and discards all bytes that a client still sends.
async fn discard<S: AsyncRead>(stream: &mut S) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(CHUNK);
    loop {
        let (read, back) = stream.read(buffer).await;
        if read? == 0 {
            return Ok(());
        }
        buffer = back;
        buffer.clear();
    }
}

/// The next request, which is removed from `received`; `None` if the client has disconnected.
async fn next_request<S: AsyncRead>(
    stream: &mut S,
    received: &mut Vec<u8>,
) -> io::Result<Option<Request>> {
    loop {
        if let Some((request, len)) = parse(received) {
            received.drain(..len);
            return Ok(Some(request));
        }
        // Append to the received bytes. The buffer is returned in any case.
        let begin = received.len();
        let room = std::mem::take(received).slice(begin..);
        let (read, room) = stream.read(room).await;
        *received = room.into_inner();
        if read? == 0 {
            return Ok(None);
        }
    }
}

/// The response.
struct Answer {
    status: &'static str,
    /// A header line, or none.
    header: String,
    content: Content,
}

enum Content {
    Text(String),
    File(File, u64),
}

impl Answer {
    fn status(status: &'static str) -> Self {
        Self {
            status,
            header: "Content-Type: text/plain\r\n".into(),
            content: Content::Text(format!("{status}\n")),
        }
    }
}

impl From<&io::Error> for Answer {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "std has many kinds, and the client need not know them"
    )]
    fn from(error: &io::Error) -> Self {
        Self::status(match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "404 Not Found",
            io::ErrorKind::PermissionDenied => "403 Forbidden",
            io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput => "400 Bad Request",
            _ => "500 Internal Server Error",
        })
    }
}

/// Finds the file of a target, which is a path with an optional query.
async fn find(root: &Path, target: &str) -> io::Result<Answer> {
    let path = path_of(target).ok_or(io::ErrorKind::InvalidInput)?;
    let mut found = root.join(path.trim_start_matches('/'));
    if fs::metadata(&found).await?.is_dir() {
        if !path.ends_with('/') {
            // So that relative links in the listing work.
            return Ok(Answer {
                header: format!("Location: {}/\r\n", utf8_percent_encode(&path, LINK)),
                ..Answer::status("301 Moved Permanently")
            });
        }
        let index = found.join("index.html");
        if !fs::try_exists(&index).await? {
            return list(&found, &path).await;
        }
        found = index;
    }
    let file = File::open_async(&found).await?;
    let metadata = file.metadata().await?;
    if !metadata.is_file() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(Answer {
        status: "200 OK",
        header: format!("Content-Type: {}\r\n", kind_of(&found)),
        content: Content::File(file, metadata.len()),
    })
}

async fn list(folder: &Path, path: &str) -> io::Result<Answer> {
    let mut names = Vec::new();
    let mut entries = fs::read_dir(folder).await?;
    while let Some(entry) = entries.next_entry().await? {
        let slash = if entry.file_type().await?.is_dir() {
            "/"
        } else {
            ""
        };
        names.push(format!("{}{slash}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    let title = escape(path);
    let mut page = format!("<!doctype html><title>{title}</title><h1>{title}</h1><ul>\n");
    for name in names {
        let link = utf8_percent_encode(&name, LINK);
        // Writing to a string cannot fail.
        let _ = writeln!(page, "<li><a href=\"./{link}\">{}</a>", escape(&name));
    }
    page += "</ul>\n";
    Ok(Answer {
        status: "200 OK",
        header: "Content-Type: text/html; charset=utf-8\r\n".into(),
        content: Content::Text(page),
    })
}

async fn send<S: AsyncWrite>(stream: &mut S, answer: Answer, request: &Request) -> io::Result<()> {
    let len = match &answer.content {
        Content::Text(text) => text.len() as u64,
        Content::File(_, len) => *len,
    };
    let connection = if request.keep_alive {
        "keep-alive"
    } else {
        "close"
    };
    let mut head = format!(
        "HTTP/1.1 {}\r\nContent-Length: {len}\r\nConnection: {connection}\r\n{}\r\n",
        answer.status, answer.header
    );
    match answer.content {
        _ if !request.wants_body => stream.write_all(head).await.0,
        Content::Text(text) => {
            head += &text;
            stream.write_all(head).await.0
        }
        Content::File(file, len) => {
            stream.write_all(head).await.0?;
            send_file(stream, &file, len).await
        }
    }
}

/// Sends `len` bytes of a file, with one buffer that is reused.
async fn send_file<S: AsyncWrite>(stream: &mut S, file: &File, len: u64) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(CHUNK);
    let mut sent = 0;
    while sent < len {
        let read;
        (read, buffer) = file.read_at(buffer, sent).await;
        if read? == 0 {
            // The file was truncated: only a broken connection can report that now.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.truncate(usize::try_from(len - sent).unwrap_or(usize::MAX));
        sent += buffer.len() as u64;
        let written;
        (written, buffer) = stream.write_all(buffer).await;
        written?;
    }
    Ok(())
}

fn kind_of(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("txt" | "md" | "rs" | "toml") => "text/plain; charset=utf-8",
        Some("css") => "text/css",
        Some("js") => "text/javascript",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        _ => "application/octet-stream",
    }
}

/// Text, escaped for HTML.
fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}
