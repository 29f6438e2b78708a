//! Files whose size in the metadata is 0 or wrong, read to their end (row 29), and written (row 59): procfs and sysfs.
//!
//! A handler of `/proc/sys` (`proc_dointvec` and its like) answers a read at offset 0 only: a read at
//! any other offset is the end of the file. Such a file has to be read in one piece.

use std::{
    collections::{BTreeMap, HashMap},
    env, fs,
    io::{self, Read},
    path::{Path, PathBuf},
    process::{self},
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::Duration,
};

use compio::{
    fs::File,
    io::{AsyncReadAtExt, AsyncReadExt, Cursor},
};

use crate::support::run;

/// A number and a line break: more than one byte, and served at offset 0 only.
const NUMBER: &str = "/proc/sys/kernel/pid_max";

/// Six numbers, in more than 32 bytes on any machine with a few files.
const NUMBERS: &str = "/proc/sys/fs/inode-state";

/// The content that one read at offset 0 returns.
fn in_one_read(path: &str) -> Vec<u8> {
    let mut buffer = vec![0; 1 << 16];
    let len = fs::File::open(path).unwrap().read(&mut buffer).unwrap();
    buffer.truncate(len);
    buffer
}

#[test]
fn s29_procfs_number_is_read_whole() {
    let expected = in_one_read(NUMBER);
    assert!(expected.len() > 1, "{expected:?}");
    run(async {
        assert_eq!(compio::fs::read(NUMBER).await.unwrap(), expected);
        let text = compio::fs::read_to_string(NUMBER).await.unwrap();
        assert_eq!(text.into_bytes(), expected);
    });
}

/// A file of procfs takes write(2), and answers pwrite(2) with ESPIPE. A file that takes no write has its own
/// error.
#[test]
fn s59_procfs_file_is_written_as_with_std() {
    let comm = format!("/proc/self/task/{}/comm", process::id());
    let before = fs::read(&comm).unwrap();
    run(async {
        compio::fs::write(&comm, "by-compio").await.0.unwrap();
        assert_eq!(fs::read_to_string(&comm).unwrap(), "by-compio\n");
        let file = fs::OpenOptions::new().write(true).open(&comm).unwrap();
        let file = File::from_std(file);
        let (written, _) = file.write_vectored_at([b"vector"], 0).await;
        assert_eq!(written.unwrap(), 6);
        assert_eq!(fs::read_to_string(&comm).unwrap(), "vector\n");
        for refusing in ["/proc/version", "/proc/self/status"] {
            let expected = fs::write(refusing, "x").map_err(|error| error.raw_os_error());
            let (written, _) = compio::fs::write(refusing, "x").await;
            assert_eq!(written.map_err(|error| error.raw_os_error()), expected);
        }
    });
    fs::write(&comm, before).unwrap();
}

#[test]
fn s29_small_capacity_does_not_cut_a_procfs_file() {
    for path in [NUMBER, NUMBERS] {
        // The values change all the time, but not their count.
        let expected = in_one_read(path).split(u8::is_ascii_whitespace).count();
        run(async {
            for capacity in [0, 1, 2, 31, 32, 33] {
                let file = File::open(path).unwrap();
                let buffer = Vec::with_capacity(capacity);
                let (read, at_offset) = file.read_to_end_at(buffer, 0).await;
                assert_eq!(read.unwrap(), at_offset.len());
                let buffer = Vec::with_capacity(capacity);
                let (read, at_cursor) = Cursor::new(file).read_to_end(buffer).await;
                assert_eq!(read.unwrap(), at_cursor.len());
                if capacity < 32 {
                    let numbers = at_offset.split(u8::is_ascii_whitespace).count();
                    assert_eq!(numbers, expected, "{path} {capacity}");
                    let numbers = at_cursor.split(u8::is_ascii_whitespace).count();
                    assert_eq!(numbers, expected, "{path} {capacity}");
                } else {
                    assert!(at_offset.len() > 1 && at_cursor.len() > 1);
                }
            }
        });
    }
}

#[test]
fn s29_procfs_and_sysfs_files_read_as_with_std() {
    let test = "soundness::whole_files::compare_procfs_and_sysfs_with_std";
    // In a separate process: a read that blocks ends with it.
    let output = compio_testkit::process::this_test(test).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find_map(|line| line.split_once("SAYS "));
    let (_, summary) = line.unwrap_or_else(|| panic!("{said}\n{:?}", output));
    println!("{summary}");
    assert!(output.status.success(), "{said}");
}

/// The maximum of bytes read of a file.
const LEN_MAX: usize = 1 << 20;

/// The maximum number of files with the same name: one handler of the kernel serves all of them. Without a
/// limit if the environment variable `COMPIO_ALL_FILES` is set.
const SAME_NAME_MAX: u32 = 4;

/// The maximum time of std for a file: some reads wait for events.
const TIME_MAX: Duration = Duration::from_secs(1);

/// The maximum time of compio for a file that std has read. A read that takes longer hangs.
const HANG: Duration = Duration::from_secs(30);

/// Names of files that a read empties, that have no end, or that wait for events. Also the tables of all connections of the
/// machine, which grow and shrink during a read.
const DENIED: [&str; 9] = [
    "tcp",
    "tcp6",
    "kmsg",
    "kcore",
    "kpagecount",
    "kpageflags",
    "kpagecgroup",
    "trace_pipe",
    "trace_pipe_raw",
];

/// Directories whose files belong to a debugger or to other processes.
fn is_denied(directory: &Path) -> bool {
    let is_process = directory.parent() == Some(Path::new("/proc"))
        && directory
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let is_of_debugger = ["/sys/kernel/debug", "/sys/kernel/tracing"]
        .map(Path::new)
        .contains(&directory);
    // The threads and descriptors of this process come and go.
    let is_passing = directory.ends_with("task") || directory.ends_with("fdinfo");
    is_process || is_of_debugger || is_passing
}

/// With the limit, a file without an end fails with an error, and leaves memory for other processes.
fn limit_memory() {
    let limit = libc::rlimit {
        rlim_cur: 1 << 30,
        rlim_max: 1 << 30,
    };
    // SAFETY: the structure outlives the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_DATA, &limit) }, 0);
}

/// All regular files below the root, in the order of their names; symbolic links are not followed.
fn files_below(root: PathBuf, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(root) else {
        return;
    };
    let entries = entries.filter_map(|entry| entry.ok());
    let entries: BTreeMap<_, _> = entries
        .filter_map(|entry| Some((entry.path(), entry.file_type().ok()?)))
        .collect();
    for (path, kind) in entries {
        let name = path.file_name().and_then(|name| name.to_str());
        if kind.is_dir() && !is_denied(&path) {
            files_below(path, found);
        } else if kind.is_file() && name.is_some_and(|name| !DENIED.contains(&name)) {
            found.push(path);
        }
    }
}

/// The content, or the error's code; `None` if the file is too long, or takes too long.
type Reading = Option<Result<Vec<u8>, Option<i32>>>;

/// A thread that reads one file after the other, and is left behind when a file takes too long.
struct Reader {
    read: fn(&Path) -> io::Result<Vec<u8>>,
    time_max: Duration,
    thread: Option<Channels>,
}

/// The channels of paths to read and of their contents.
type Channels = (Sender<PathBuf>, Receiver<io::Result<Vec<u8>>>);

impl Reader {
    fn new(time_max: Duration, read: fn(&Path) -> io::Result<Vec<u8>>) -> Self {
        Self {
            read,
            time_max,
            thread: None,
        }
    }

    fn read(&mut self, path: &Path) -> Reading {
        let (paths, readings) = self.thread.get_or_insert_with(|| {
            let (sender, paths) = mpsc::channel::<PathBuf>();
            let (readings, receiver) = mpsc::channel();
            let read = self.read;
            thread::spawn(move || {
                // A late result has no receiver.
                for path in paths {
                    let _ = readings.send(read(&path));
                }
            });
            (sender, receiver)
        });
        paths.send(path.to_owned()).expect("a thread");
        let Ok(reading) = readings.recv_timeout(self.time_max) else {
            self.thread = None;
            return None;
        };
        match reading {
            Ok(content) if content.len() >= LEN_MAX => None,
            reading => Some(reading.map_err(|error| error.raw_os_error())),
        }
    }
}

/// Reads in one piece, as far as the file permits: `fs::read` of std reads 32 bytes first, which cuts a
/// file that is served at offset 0 only.
fn in_large_pieces(path: &Path) -> io::Result<Vec<u8>> {
    // A multiple of 8, which `pagemap` and its like insist on.
    let mut content = Vec::with_capacity(LEN_MAX);
    fs::File::open(path)?
        .take(LEN_MAX as u64)
        .read_to_end(&mut content)?;
    Ok(content)
}

/// The same file, read in three ways.
struct Readers {
    whole: Reader,
    std: Reader,
    ours: Reader,
}

enum Comparison {
    Equal,
    /// Each reading differs from the one before, or from the others in its numbers.
    Volatile,
    /// Too long, or too slow.
    Skipped,
    Different(Reading, Reading),
}

/// Whether two contents differ in their numbers only. The read itself changes some of them: loadavg
/// counts the threads that run. A content that is cut lacks its last line end.
fn same_but_for_numbers(std: &Reading, ours: &Reading) -> bool {
    let words = |reading: &Reading| match reading {
        Some(Ok(content)) if content.ends_with(b"\n") => {
            let words = content.split(|byte| byte.is_ascii_digit());
            Some(
                words
                    .filter(|word| !word.is_empty())
                    .map(<[u8]>::to_vec)
                    .collect::<Vec<_>>(),
            )
        }
        _ => None,
    };
    words(std).is_some_and(|std| Some(std) == words(ours))
}

/// Compares several times: a file may change between two readings.
fn compare(path: &Path, readers: &mut Readers) -> Comparison {
    let is_empty = |reading: &Reading| matches!(reading, Some(Ok(bytes)) if bytes.is_empty());
    let mut has_changed = false;
    let mut last = None;
    for _ in 0..8 {
        let before = readers.whole.read(path);
        if before.is_none() {
            return Comparison::Skipped;
        }
        let std = readers.std.read(path);
        if std.is_none() {
            return Comparison::Skipped;
        }
        let ours = readers.ours.read(path);
        let after = readers.whole.read(path);
        if ours == std || ours == before || ours == after {
            return Comparison::Equal;
        }
        // A changing file still has some content.
        let has_failed = is_empty(&ours) || !matches!(ours, Some(Ok(_)));
        has_changed |= before != after && (!has_failed || is_empty(&std));
        last = Some((std, ours));
    }
    let (std, ours) = last.expect("a reading");
    if has_changed || same_but_for_numbers(&std, &ours) {
        Comparison::Volatile
    } else {
        Comparison::Different(std, ours)
    }
}

#[test]
#[ignore = "run by `s29_procfs_and_sysfs_files_read_as_with_std` in a process of its own"]
fn compare_procfs_and_sysfs_with_std() {
    limit_memory();
    let mut files = Vec::new();
    for root in ["/proc/self", "/proc", "/sys"] {
        // This process by its pid, since symbolic links are not followed.
        files_below(fs::canonicalize(root).unwrap(), &mut files);
    }
    if env::var_os("COMPIO_ALL_FILES").is_none() {
        let mut counts = HashMap::new();
        files.retain(|path| {
            let count = counts.entry(path.file_name().map(ToOwned::to_owned));
            let count = count.and_modify(|count| *count += 1).or_insert(1);
            *count <= SAME_NAME_MAX
        });
    }
    let (mut equal, mut volatile, mut skipped) = (0, 0, 0);
    let mut wrong = Vec::new();
    let mut readers = Readers {
        whole: Reader::new(TIME_MAX, in_large_pieces),
        std: Reader::new(TIME_MAX, |path| fs::read(path)),
        ours: Reader::new(HANG, |path| compio::task::block_on(compio::fs::read(path))),
    };
    for path in files {
        match compare(&path, &mut readers) {
            Comparison::Equal => equal += 1,
            Comparison::Volatile => volatile += 1,
            Comparison::Skipped => skipped += 1,
            Comparison::Different(std, ours) => wrong.push((path, std, ours)),
        }
    }
    println!("SAYS {equal} equal, {volatile} volatile, {skipped} skipped");
    for (path, std, ours) in &wrong {
        println!("{}: std {std:?}, compio {ours:?}", path.display());
    }
    // Threads may be in the middle of a read.
    process::exit(i32::from(!wrong.is_empty() || equal < 100));
}
