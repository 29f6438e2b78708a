//! The standard streams: this program runs itself as a child, with the streams that a test needs.

use std::{
    env,
    fs::File,
    io::{Read, Seek, Write},
    process::{Command, Stdio},
    time::Duration,
};

use compio::{
    io::{
        AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, stderr, stdin, stdout,
    },
    task::block_on,
    time::timeout,
};

const ROLE: &str = "COMPIO_TEST_ROLE";

fn main() {
    if let Ok(role) = env::var(ROLE) {
        return block_on(play(&role));
    }
    for (name, test) in TESTS {
        test();
        println!("test {name} ... ok");
    }
}

const TESTS: &[(&str, fn())] = &[
    ("input_is_echoed", input_is_echoed),
    ("files_are_streams_too", files_are_streams_too),
    ("lines_are_read_one_by_one", lines_are_read_one_by_one),
    ("a_dropped_read_loses_nothing", a_dropped_read_loses_nothing),
    (
        "errors_have_a_stream_of_their_own",
        errors_have_a_stream_of_their_own,
    ),
    ("nothing_to_read_is_the_end", nothing_to_read_is_the_end),
    ("modes_are_left_as_they_are", modes_are_left_as_they_are),
    ("a_terminal_gives_lines", a_terminal_gives_lines),
    (
        "s38_stdout_to_unread_terminal_blocks_no_timer",
        s38_stdout_to_unread_terminal_blocks_no_timer,
    ),
];

/// The child's part of a test.
async fn play(role: &str) {
    match role {
        "echo" => {
            let (read, bytes) = stdin().read_to_end(Vec::new()).await;
            read.unwrap();
            stdout().write_all(bytes).await.0.unwrap();
        }
        "lines" => {
            let mut input = BufReader::new(stdin());
            loop {
                let (read, line) = input.read_line(String::new()).await;
                if read.unwrap() == 0 {
                    break;
                }
                let answer = format!("<{}>\n", line.trim_end());
                stdout().write_all(answer).await.0.unwrap();
            }
        }
        "drop" => {
            let mut input = stdin();
            for _ in 0..3 {
                let read = timeout(Duration::from_millis(5), input.read([0; 64])).await;
                assert!(read.is_err());
            }
            stdout().write_all("ready\n").await.0.unwrap();
            let (read, bytes) = input.read_to_end(Vec::new()).await;
            read.unwrap();
            stdout().write_all(bytes).await.0.unwrap();
        }
        "errors" => {
            stderr().write_all("to err").await.0.unwrap();
            stdout().write_all("to out").await.0.unwrap();
            assert!(!stdin().is_terminal() && !stdout().is_terminal() && !stderr().is_terminal());
        }
        "flood" => {
            let writes = stdout();
            let flood = async {
                let mut writes = writes;
                writes.write_all(vec![b'x'; 1 << 20]).await.0.unwrap();
            };
            assert!(timeout(Duration::from_millis(100), flood).await.is_err());
            stderr().write_all("timed out").await.0.unwrap();
        }
        other => panic!("{other}"),
    }
}

fn child(role: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(ROLE, role);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// The child's output for this input.
fn answer(role: &str, input: &[u8]) -> Vec<u8> {
    let mut child = child(role).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writes = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    writes.join().unwrap().unwrap();
    output.stdout
}

fn input_is_echoed() {
    assert_eq!(answer("echo", b"hello"), b"hello");
    let long: Vec<u8> = (0..500_000_u32).map(|n| (n % 251) as u8).collect();
    assert!(answer("echo", &long) == long);
}

fn files_are_streams_too() {
    let mut input = tempfile::tempfile().unwrap();
    let mut output = tempfile::tempfile().unwrap();
    input.write_all(b"skipped, read").unwrap();
    input.seek(std::io::SeekFrom::Start(9)).unwrap();
    output.write_all(b"before, ").unwrap();
    let duplicate = |file: &File| Stdio::from(file.try_clone().unwrap());
    let status = child("echo")
        .stdin(duplicate(&input))
        .stdout(duplicate(&output))
        .status()
        .unwrap();
    assert!(status.success());
    // The cursor is shared with the child.
    output.rewind().unwrap();
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert_eq!(text, "before, read");
}

fn lines_are_read_one_by_one() {
    assert_eq!(
        answer("lines", b"one\ntwo\nthree"),
        b"<one>\n<two>\n<three>\n"
    );
}

fn a_dropped_read_loses_nothing() {
    let mut child = child("drop").spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut ready = [0; 6];
    out.read_exact(&mut ready).unwrap();
    assert_eq!(&ready, b"ready\n");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"complete").unwrap();
    drop(stdin);
    let mut text = String::new();
    out.read_to_string(&mut text).unwrap();
    assert_eq!(text, "complete");
    assert!(child.wait().unwrap().success());
}

fn errors_have_a_stream_of_their_own() {
    let output = child("errors").stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.stderr, b"to err");
    assert_eq!(output.stdout, b"to out");
}

fn nothing_to_read_is_the_end() {
    assert_eq!(answer("echo", b""), b"");
    let output = child("echo").stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout, b"");
}

/// Other processes share the streams' descriptions: a child must not make them non-blocking, and must
/// work with descriptions that are non-blocking already.
fn modes_are_left_as_they_are() {
    #[cfg(unix)]
    for mode in [0, libc::O_NONBLOCK] {
        use std::os::fd::AsRawFd;
        let (reader, mut writer) = std::io::pipe().unwrap();
        let fd = reader.as_raw_fd();
        // SAFETY: no pointers are passed.
        unsafe { libc::fcntl(fd, libc::F_SETFL, mode) };
        let duplicate = Stdio::from(reader.try_clone().unwrap());
        let mut child = child("drop").stdin(duplicate).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut [0; 6]).unwrap();
        writer.write_all(b"through").unwrap();
        drop(writer);
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        assert!(child.wait().unwrap().success());
        // SAFETY: no pointers are passed.
        let found = unsafe { libc::fcntl(fd, libc::F_GETFL) };
        assert_eq!(found & libc::O_NONBLOCK, mode);
    }
}

/// The two sides of a terminal, if one can be opened.
#[cfg(target_os = "linux")]
fn terminal() -> Option<(File, std::os::fd::OwnedFd)> {
    use std::os::fd::{FromRawFd, OwnedFd};
    let (mut ours, mut theirs) = (0, 0);
    // SAFETY: both integers outlive the call, the other pointers are null; both descriptors are new, and
    // owned by this function alone.
    unsafe {
        let (name, modes, size) = (std::ptr::null_mut(), std::ptr::null(), std::ptr::null());
        let opened = libc::openpty(&mut ours, &mut theirs, name, modes, size) == 0;
        opened.then(|| (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)))
    }
}

/// The terminal does not read, as after Ctrl-S.
fn s38_stdout_to_unread_terminal_blocks_no_timer() {
    #[cfg(target_os = "linux")]
    {
        let Some((_ours, theirs)) = terminal() else {
            return;
        };
        let mut child = child("flood")
            .stdout(theirs)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let began = std::time::Instant::now();
        while child.try_wait().unwrap().is_none() {
            if began.elapsed() > Duration::from_secs(30) {
                child.kill().unwrap();
                panic!("the child is blocked");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(child.wait_with_output().unwrap().stderr, b"timed out");
    }
}

fn a_terminal_gives_lines() {
    #[cfg(target_os = "linux")]
    {
        let Some((mut ours, theirs)) = terminal() else {
            return;
        };
        let stdin = Stdio::from(theirs.try_clone().unwrap());
        let mut child = child("lines").stdin(stdin).stdout(theirs).spawn().unwrap();
        ours.write_all(b"one\ntwo\n\x04").unwrap();
        assert!(child.wait().unwrap().success());
        let mut room = [0; 200];
        let mut found = Vec::new();
        while !String::from_utf8_lossy(&found).contains("<two>") {
            let count = ours.read(&mut room).unwrap();
            found.extend_from_slice(&room[..count]);
        }
        assert!(String::from_utf8_lossy(&found).contains("<one>\r\n"));
    }
}
