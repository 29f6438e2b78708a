//! Downloads a file, with a progress bar. An interrupted download continues when it is started again.
//!
//! `cargo run --release --example download -- http://127.0.0.1:8080/README.md [FILE]`

use std::{env, error::Error};

use compio::{
    fs::{self, OpenOptions},
    io::AsyncWriteAtExt,
};
use compio_http::{Client, hyper::StatusCode};
use indicatif::{ProgressBar, ProgressStyle};

const STYLE: &str = "{bytes} of {total_bytes} {wide_bar} {bytes_per_sec}, {eta} left";

#[compio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let url = arguments.next().ok_or("usage: download URL [FILE]")?;
    let name = url.rsplit('/').next().filter(|name| !name.is_empty());
    let target = arguments.next().or(name.map(str::to_owned));
    let target = target.ok_or("the URL names no file: pass a name")?;

    // The file has its name once it is complete.
    let part = format!("{target}.part");
    let known = fs::metadata(&part).await.map_or(0, |part| part.len());
    let mut request = Client::new().get(url);
    if known > 0 {
        request = request.header("range", format!("bytes={known}-"));
    }
    let mut response = request.send().await?.error_for_status()?;
    let mut file = OpenOptions::new();
    let file = file.create(true).write(true).open_async(&part).await?;

    // A server without ranges sends the whole file.
    let is_continued = response.status() == StatusCode::PARTIAL_CONTENT;
    let mut position = if is_continued { known } else { 0 };
    let progress = match response.content_length() {
        Some(left) => ProgressBar::new(position + left),
        None => ProgressBar::no_length(),
    };
    progress.set_style(ProgressStyle::with_template(STYLE)?);
    progress.reset_eta();
    while let Some(bytes) = response.chunk().await? {
        let len = bytes.len() as u64;
        file.write_all_at(bytes, position).await.0?;
        position += len;
        progress.set_position(position);
    }
    file.set_len(position).await?;
    file.sync_all().await?;
    file.close().await?;
    fs::rename(part, &target).await?;
    progress.finish();
    println!("{target}: {position} bytes");
    Ok(())
}
