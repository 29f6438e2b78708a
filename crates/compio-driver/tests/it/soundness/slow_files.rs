//! 38, for files of a slow FUSE server: it delays its replies, and the driver's thread goes on.

use std::{
    ffi::{CString, c_void},
    fs,
    io::{self, Read, Write},
    os::fd::AsRawFd,
    ptr,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use compio_driver::{
    Driver,
    op::{Position, ReadAt, Splice, WriteAt},
};

use crate::support::{begin, each_backend, pipe_out, run, share, unblocked};

/// How long the server delays its replies at most.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether it has waited that long.
static BLOCKED: AtomicBool = AtomicBool::new(false);

const CONTENT: &[u8] = b"slow";

/// Reads and writes of regular files whose FUSE server does not reply for a while.
#[test]
fn s38_reads_and_writes_of_slow_fuse_file_do_not_block() {
    unblocked(|| {
        let folder = tempfile::tempdir().unwrap();
        let Some(gate) = mount(folder.path().to_str().unwrap()) else {
            eprintln!("skipped: no FUSE file system can be mounted here");
            return;
        };
        for driver in each_backend() {
            for name in ["direct", "cached"] {
                for round in 0..4 {
                    let mut options = fs::OpenOptions::new();
                    let path = folder.path().join(name);
                    let file = options.read(true).write(true).open(path).unwrap();
                    eprintln!("{name} {round} on {}", driver.backend().kind());
                    let fd = share(file);
                    gate.shut();
                    let room = Vec::with_capacity(CONTENT.len());
                    match round {
                        0 => {
                            let mut read = driver.submit(ReadAt::new(fd, 0, room));
                            begin(&driver, &mut read);
                            pass(&driver, &gate);
                            assert_eq!(run(&driver, read).1, CONTENT);
                        }
                        1 => {
                            let mut read = driver.submit(ReadAt::at_cursor(fd, room));
                            begin(&driver, &mut read);
                            pass(&driver, &gate);
                            assert_eq!(run(&driver, read).1, CONTENT);
                        }
                        2 => {
                            let mut write = driver.submit(WriteAt::new(fd, 0, CONTENT));
                            begin(&driver, &mut write);
                            pass(&driver, &gate);
                            assert_eq!(run(&driver, write).0.unwrap(), CONTENT.len());
                        }
                        _ => {
                            let (mut reader, to) = pipe_out();
                            let splice = Splice::new(fd, Position::At(0), to, Position::Cursor, 4);
                            let mut splice = driver.submit(splice);
                            begin(&driver, &mut splice);
                            pass(&driver, &gate);
                            assert_eq!(run(&driver, splice).unwrap(), 4);
                            let mut bytes = [0; 4];
                            reader.read_exact(&mut bytes).unwrap();
                            assert_eq!(bytes, CONTENT);
                        }
                    }
                }
            }
        }
        assert!(!BLOCKED.load(Relaxed), "the thread was blocked");
        let path = CString::new(folder.path().to_str().unwrap()).unwrap();
        // SAFETY: the path outlives the call.
        assert_eq!(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) }, 0);
    });
}

/// Turns a few times while the server does not reply, and then lets it reply.
fn pass(driver: &Driver, gate: &Gate) {
    for _ in 0..10 {
        driver.turn(Some(Duration::from_millis(1))).unwrap();
    }
    gate.open();
}

/// While shut, the server replies only to the requests that opening a file needs.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn shut(&self) {
        *self.0.0.lock().unwrap() = true;
    }

    fn open(&self) {
        *self.0.0.lock().unwrap() = false;
        self.0.1.notify_all();
    }

    /// Returns after a while in any case: a thread that FUSE blocks cannot be killed.
    fn wait(&self) {
        let shut = self.0.0.lock().unwrap();
        let waited = self.0.1.wait_timeout_while(shut, PATIENCE, |shut| *shut);
        let (mut shut, waited) = waited.unwrap();
        if waited.timed_out() {
            eprintln!("the thread that was to open the gate is blocked");
            BLOCKED.store(true, Relaxed);
            *shut = false;
        }
    }
}

/// Mounts a file system in a namespace of this thread and its child threads; it disappears with
/// them.
fn mount(folder: &str) -> Option<Gate> {
    let device = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .ok()?;
    let settings = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0",
        device.as_raw_fd()
    );
    let (folder, settings) = (
        CString::new(folder).unwrap(),
        CString::new(settings).unwrap(),
    );
    // SAFETY: the strings outlive the calls.
    unsafe {
        if libc::unshare(libc::CLONE_NEWNS | libc::CLONE_FS) != 0 {
            return None;
        }
        let private = libc::MS_REC | libc::MS_PRIVATE;
        let (none, root) = (ptr::null(), c"/".as_ptr());
        libc::mount(none, root, none, private, ptr::null::<c_void>());
        let (name, kind) = (c"slow".as_ptr(), c"fuse".as_ptr());
        if libc::mount(name, folder.as_ptr(), kind, 0, settings.as_ptr().cast()) != 0 {
            eprintln!("{}", io::Error::last_os_error());
            return None;
        }
    }
    let gate = Gate::default();
    let served = gate.clone();
    thread::spawn(move || serve(device, &served));
    Some(gate)
}

/// Answers the kernel's requests, as `linux/fuse.h` defines them, until the file system is
/// unmounted.
fn serve(mut device: fs::File, gate: &Gate) {
    let mut request = vec![0; 1 << 18];
    while let Ok(len) = device.read(&mut request) {
        let request = &request[..len];
        let word = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().unwrap());
        let (operation, node) = (word(4), u64::from(word(16)));
        let body = &request[40..];
        let answer = match operation {
            // INIT, LOOKUP, OPEN.
            26 => Ok(words(&[
                7,
                31,
                1 << 16,
                0,
                0,
                1 << 16,
                1,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
            ])),
            1 => Ok(entry(if body.starts_with(b"direct") { 2 } else { 3 })),
            14 => Ok(words(&[0, 0, u32::from(node == 2), 0])),
            // FORGET, INTERRUPT, BATCH_FORGET.
            2 | 36 | 42 => continue,
            // FLUSH, RELEASE.
            25 | 18 => Ok(Vec::new()),
            // GETATTR, READ, WRITE.
            3 => {
                gate.wait();
                Ok([words(&[0; 4]), attributes(node)].concat())
            }
            15 => {
                gate.wait();
                Ok(CONTENT.to_vec())
            }
            16 => {
                gate.wait();
                Ok(words(&[CONTENT.len() as u32, 0]))
            }
            // STATFS, POLL and others.
            _ => {
                gate.wait();
                Err(libc::ENOSYS)
            }
        };
        let (error, bytes) = match answer {
            Ok(bytes) => (0, bytes),
            Err(code) => (-code, Vec::new()),
        };
        let mut answer = words(&[16 + bytes.len() as u32, error.cast_unsigned()]);
        answer.extend_from_slice(&request[8..16]);
        answer.extend_from_slice(&bytes);
        // The kernel refuses the reply to an interrupted request.
        let _ = device.write(&answer);
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// The attributes of a directory or a file, which the kernel must not cache.
fn attributes(node: u64) -> Vec<u8> {
    let mode = if node == 1 {
        libc::S_IFDIR | 0o755
    } else {
        libc::S_IFREG | 0o644
    };
    let mut words = [0_u32; 22];
    (words[0], words[2]) = (node as u32, CONTENT.len() as u32);
    (words[15], words[16]) = (mode, 1);
    self::words(&words)
}

fn entry(node: u32) -> Vec<u8> {
    let head = words(&[node, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    [head, attributes(node.into())].concat()
}
