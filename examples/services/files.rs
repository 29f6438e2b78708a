//! Serves the files of a folder on all cores, with ranges: interrupted downloads can be continued, and players can
//! seek. Ctrl-C stops it.
//!
//! `cargo run --release --example files -- FOLDER 127.0.0.1:8080`, and then for instance
//! `curl --range 0-99 127.0.0.1:8080/README.md`

use std::{
    convert::Infallible,
    env,
    io::{self, ErrorKind},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use compio::{cores::Server, fs::File, signal};
use compio_http::{
    FileBody, Http, RequestBody,
    hyper::{
        HeaderMap, Method, Request, Response, StatusCode,
        body::Bytes,
        header::{
            ACCEPT_RANGES, ALLOW, CONTENT_RANGE, CONTENT_TYPE, IF_MODIFIED_SINCE, IF_RANGE,
            LAST_MODIFIED, RANGE,
        },
        http::response::Builder,
        service::service_fn,
    },
};
use http_body_util::{Either, Empty};
use http_range_header::{RangeUnsatisfiableError, parse_range_header};
use percent_encoding::percent_decode_str;

type Answer = Response<Either<FileBody<File>, Empty<Bytes>>>;

#[compio::main]
async fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let folder: Arc<Path> = Path::new(&arguments.next().unwrap_or(".".into())).into();
    let address = arguments.next().unwrap_or("127.0.0.1:8080".into());
    let service = service_fn(move |request| {
        let folder = Arc::clone(&folder);
        async move { Ok::<_, Infallible>(respond(&folder, &request).await) }
    });
    let server = Http::new().start(Server::bind(&address).await?, service)?;
    println!("listening on {}", server.local_addr());
    signal::ctrl_c().await?;
    server.shutdown_timeout(Duration::from_secs(10)).await
}

async fn respond(folder: &Path, request: &Request<RequestBody>) -> Answer {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return answer(Response::builder().header(ALLOW, "GET, HEAD"), 405);
    }
    let Some(path) = path_below(folder, request.uri().path()) else {
        return answer(Response::builder(), 404);
    };
    send_file(&path, request).await.unwrap_or_else(|error| {
        let status = match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => 404,
            ErrorKind::PermissionDenied => 403,
            _ => 500,
        };
        answer(Response::builder(), status)
    })
}

/// The file that a URL names. `None` if it would be outside of the folder.
fn path_below(folder: &Path, url: &str) -> Option<PathBuf> {
    let mut path = folder.to_owned();
    for name in url.split('/').filter(|name| !name.is_empty()) {
        let name = percent_decode_str(name).decode_utf8().ok()?;
        if name == "." || name == ".." || name.contains(['/', '\\', ':', '\0']) {
            return None;
        }
        path.push(&*name);
    }
    Some(path)
}

async fn send_file(path: &Path, request: &Request<RequestBody>) -> io::Result<Answer> {
    let mut file = File::open_async(path).await?;
    let mut metadata = file.metadata().await?;
    let mut path = path.to_owned();
    if metadata.is_dir() {
        path.push("index.html");
        file = File::open_async(&path).await?;
        metadata = file.metadata().await?;
    }
    if !metadata.is_file() {
        return Err(ErrorKind::NotFound.into());
    }
    let len = metadata.len();
    let modified = httpdate::fmt_http_date(metadata.modified()?);
    let response = Response::builder()
        .header(
            CONTENT_TYPE,
            mime_guess::from_path(&path)
                .first_or_octet_stream()
                .as_ref(),
        )
        .header(ACCEPT_RANGES, "bytes")
        .header(LAST_MODIFIED, &modified);
    let headers = request.headers();
    if headers
        .get(IF_MODIFIED_SINCE)
        .is_some_and(|since| since == modified.as_str())
    {
        return Ok(answer(response, 304));
    }
    let (response, range) = match wanted_range(headers, &modified, len) {
        None => (response.status(StatusCode::OK), 0..len),
        Some(Ok(range)) => {
            let content = format!("bytes {}-{}/{len}", range.start, range.end - 1);
            let response = response.header(CONTENT_RANGE, content);
            (response.status(StatusCode::PARTIAL_CONTENT), range)
        }
        Some(Err(())) => {
            return Ok(answer(
                response.header(CONTENT_RANGE, format!("bytes */{len}")),
                416,
            ));
        }
    };
    // hyper sends no body after the head of an answer to HEAD.
    let body = Either::Left(FileBody::start(file, range).await?);
    response.body(body).map_err(io::Error::other)
}

/// The requested range: `None` for the whole file, an error if the file has no such bytes. Several ranges are answered by
/// the whole file, which RFC 9110 permits.
fn wanted_range(headers: &HeaderMap, modified: &str, len: u64) -> Option<Result<Range<u64>, ()>> {
    let range = headers.get(RANGE)?.to_str().ok()?;
    if headers
        .get(IF_RANGE)
        .is_some_and(|version| version != modified)
    {
        return None;
    }
    match parse_range_header(range).and_then(|ranges| ranges.validate(len)) {
        Ok(ranges) if ranges.len() == 1 => Some(Ok(*ranges[0].start()..ranges[0].end() + 1)),
        Err(RangeUnsatisfiableError::Unsatisfiable) => Some(Err(())),
        _ => None,
    }
}

/// An answer without a body.
fn answer(response: Builder, status: u16) -> Answer {
    let response = response.status(status).body(Either::Right(Empty::new()));
    response.expect("headers of this program are valid")
}
