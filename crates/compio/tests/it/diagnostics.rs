//! Messages of the compiler about frequent mistakes.
//!
//! Each test compiles a snippet against the library that this test was built with. Where this is
//! impossible, as under Wine or with a library for a sanitizer, the tests are skipped.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The builds of the library beside this test, the newest first: they differ in their features.
fn libraries() -> io::Result<Vec<PathBuf>> {
    let here = env::current_exe()?;
    let mut libraries = Vec::new();
    for entry in fs::read_dir(here.parent().unwrap())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("libcompio-") && name.ends_with(".rlib") {
            libraries.push((fs::metadata(&path)?.modified()?, path));
        }
    }
    libraries.sort();
    Ok(libraries.into_iter().rev().map(|(_, path)| path).collect())
}

/// The compiler's messages about a snippet, each error in one string; none if it compiles.
fn compile(library: &Path, snippet: &str) -> io::Result<Vec<String>> {
    let directory = tempfile::tempdir()?;
    let mut child = Command::new("rustc")
        .args([
            "--edition=2024",
            "--crate-type=lib",
            "--emit=metadata",
            "--cap-lints=allow",
        ])
        .arg("--out-dir")
        .arg(directory.path())
        .arg("-L")
        .arg(format!(
            "dependency={}",
            library.parent().unwrap().display()
        ))
        .arg("--extern")
        .arg(format!("compio={}", library.display()))
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().unwrap().write_all(snippet.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.success(), said.is_empty(), "{said}");
    let is_error = |error: &String| !error.is_empty() && !error.contains("aborting due to");
    Ok(said
        .split("\nerror")
        .map(str::to_owned)
        .filter(is_error)
        .collect())
}

/// The errors of a snippet. None where nothing can be compiled.
fn errors(snippet: &str) -> Option<Vec<String>> {
    let skip = |reason: &str| {
        eprintln!("diagnostics: skipped, {reason}");
        if let Some(path) = env::var_os("COMPIO_SKIPS") {
            let mut skips = fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .unwrap();
            writeln!(skips, "diagnostics: {reason}").unwrap();
        }
        None
    };
    let mut reason = String::from("there is no library beside the test");
    for library in libraries().unwrap() {
        match compile(&library, "pub use compio::net::TcpStream;") {
            Ok(errors) if errors.is_empty() => {
                let errors = compile(&library, snippet).unwrap();
                assert!(!errors.is_empty(), "it compiles");
                return Some(errors);
            }
            Ok(errors) => reason = format!("rustc cannot use the library: {}", errors.concat()),
            Err(error) => reason = format!("rustc cannot be run: {error}"),
        }
    }
    skip(reason.lines().next().unwrap_or_default())
}

#[track_caller]
fn check(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in:\n{message}");
    }
}

#[test]
fn handle_sent_to_another_thread_names_the_marker_and_the_way() {
    let Some(errors) = errors(
        "pub fn send(stream: compio::net::TcpStream) {
            std::thread::spawn(move || drop(stream));
        }",
    ) else {
        return;
    };
    assert_eq!(errors.len(), 1, "{errors:?}");
    check(
        &errors[0],
        &[
            "stay on the thread that made them",
            "StaysOnItsThread",
            "compio::task::spawn",
            "into_std",
        ],
    );
}

#[test]
fn task_with_a_handle_sent_to_another_thread_names_the_way_first() {
    let Some(errors) = errors(
        "use compio::{io::AsyncRead, net::TcpStream};
        fn spawn(_: impl Future + Send) {}
        pub fn send(mut stream: TcpStream) {
            spawn(async move { stream.read([0; 4]).await });
        }",
    ) else {
        return;
    };
    check(&errors[0], &["compio::task::spawn", "into_std"]);
}

#[test]
fn runtime_sent_to_another_thread_names_the_marker_and_the_way() {
    for handle in ["runtime::Runtime", "driver::Driver"] {
        let Some(errors) = errors(&format!(
            "pub fn send(handle: compio::{handle}) {{
                std::thread::spawn(move || drop(handle));
            }}"
        )) else {
            return;
        };
        assert_eq!(errors.len(), 1, "{errors:?}");
        check(&errors[0], &["StaysOnItsThread", "compio::task::spawn"]);
    }
}

#[test]
fn borrowed_vector_as_the_target_of_a_read_is_advised_against() {
    let Some(errors) = errors(
        "use compio::{io::AsyncRead, net::TcpStream};
        pub async fn read(mut stream: TcpStream, mut buffer: Vec<u8>) {
            let _ = stream.read(&mut buffer).await;
        }",
    ) else {
        return;
    };
    check(&errors[0], &["pass the buffer itself", "(result, buffer)"]);
}

#[test]
fn borrowed_array_or_source_is_one_error() {
    let Some(errors) = errors(
        "use compio::{io::{AsyncRead, AsyncWrite}, net::TcpStream};
        pub async fn read(mut stream: TcpStream) {
            let mut buffer = [0; 4];
            let _ = stream.read(&mut buffer).await;
        }
        pub async fn write(mut stream: TcpStream, buffer: Vec<u8>) {
            let _ = stream.write(&buffer).await;
        }",
    ) else {
        return;
    };
    assert_eq!(errors.len(), 2, "{errors:?}");
    for error in errors {
        check(&error, &["for `'static`"]);
    }
}

#[test]
fn number_as_a_buffer_is_advised_against() {
    let Some(errors) = errors(
        "use compio::{io::AsyncWriteExt, net::TcpStream};
        pub async fn write(mut stream: TcpStream) {
            let _ = stream.write_all(5u8).await;
        }",
    ) else {
        return;
    };
    check(&errors[0], &["`u8` is no buffer", "(result, buffer)"]);
}

#[test]
fn question_mark_on_the_pair_of_a_result_names_the_pair_once() {
    let Some(errors) = errors(
        "pub async fn read(file: compio::fs::File) -> std::io::Result<()> {
            file.read_at(Vec::with_capacity(8), 0).await?;
            Ok(())
        }",
    ) else {
        return;
    };
    assert_eq!(errors.len(), 1, "{errors:?}");
    check(&errors[0], &["`(Result<usize, std::io::Error>, Vec<u8>)`"]);
}
