//! A FUSE server in this process, over `/dev/fuse`. It answers the requests that a test names with
//! the error that the test wants, and counts all requests. It speaks the raw protocol (version
//! 7.31) as far as these tests need it: every name is a file, unless it begins with "new".

use std::{
    collections::HashMap,
    ffi::CString,
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

/// The requests of the protocol that a test may name.
pub(crate) mod opcode {
    pub(crate) const SYMLINK: u32 = 6;
    pub(crate) const MKDIR: u32 = 9;
    pub(crate) const UNLINK: u32 = 10;
    pub(crate) const RMDIR: u32 = 11;
    pub(crate) const RENAME: u32 = 12;
    pub(crate) const LINK: u32 = 13;
    pub(crate) const OPEN: u32 = 14;
    pub(crate) const READ: u32 = 15;
    pub(crate) const WRITE: u32 = 16;
    pub(crate) const FSYNC: u32 = 20;
    pub(crate) const FLUSH: u32 = 25;
    pub(crate) const CREATE: u32 = 35;
}

const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const SETATTR: u32 = 4;
const RELEASE: u32 = 18;
const INIT: u32 = 26;
const BATCH_FORGET: u32 = 42;

/// Reads and writes go to the server, not to the page cache.
const DIRECT_IO: u32 = 1;
/// Names with this prefix are directories.
const DIRECTORY: &[u8] = b"dir";

const HEADER_LEN: usize = 40;

#[derive(Default)]
struct State {
    /// The number of requests of each kind.
    counts: HashMap<u32, usize>,
    /// The error for each kind of request.
    errors: HashMap<u32, i32>,
    /// Files that were opened during a flush: they have the numbers of the descriptors that were
    /// closing.
    opened_by_flush: Vec<File>,
}

/// The file system is mounted in the mount namespace of this thread alone, and disappears with it.
pub(crate) struct Fuse {
    directory: tempfile::TempDir,
    state: Arc<Mutex<State>>,
}

impl Fuse {
    /// Returns `None`, and prints the reason, if there is no FUSE or no permission to mount.
    pub(crate) fn mount() -> Option<Self> {
        match Self::try_mount() {
            Ok(fuse) => Some(fuse),
            Err(error) => {
                println!("skipped: no FUSE here: {error}");
                None
            }
        }
    }

    fn try_mount() -> std::io::Result<Self> {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/fuse")?;
        // SAFETY: numbers and C strings that outlive the calls.
        unsafe {
            check(libc::unshare(libc::CLONE_NEWNS))?;
            let private = libc::MS_PRIVATE | libc::MS_REC;
            let none = std::ptr::null();
            check(libc::mount(none, c"/".as_ptr(), none, private, none.cast()))?;
        }
        let directory = tempfile::tempdir()?;
        let path = CString::new(directory.path().as_os_str().as_bytes())?;
        let options = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,allow_other",
            device.as_raw_fd()
        );
        let options = CString::new(options)?;
        // SAFETY: C strings that outlive the call.
        check(unsafe {
            libc::mount(
                c"compio-test".as_ptr(),
                path.as_ptr(),
                c"fuse".as_ptr(),
                libc::MS_NOSUID | libc::MS_NODEV,
                options.as_ptr().cast(),
            )
        })?;
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || serve(&device, &shared));
        Ok(Self { directory, state })
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// From now on requests of this kind fail with this error, after they have been counted.
    pub(crate) fn fail(&self, opcode: u32, error: i32) {
        self.state.lock().unwrap().errors.insert(opcode, error);
    }

    /// The number of requests of this kind since the last call.
    pub(crate) fn count(&self, opcode: u32) -> usize {
        let mut state = self.state.lock().unwrap();
        state.counts.remove(&opcode).unwrap_or(0)
    }

    /// Whether all files that were opened during a flush are still open.
    pub(crate) fn keeps_files_of_flush(&self) -> bool {
        let state = self.state.lock().unwrap();
        let mut files = state.opened_by_flush.iter();
        assert!(!state.opened_by_flush.is_empty(), "no flush has come");
        // SAFETY: no pointers are passed.
        files.all(|file| unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFD) } >= 0)
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        let path = CString::new(self.directory.path().as_os_str().as_bytes()).unwrap();
        // SAFETY: a C string that outlives the call.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    }
}

fn check(result: i32) -> std::io::Result<()> {
    if result < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

/// Answers requests until the file system is unmounted.
fn serve(mut device: &File, state: &Mutex<State>) {
    let mut buffer = vec![0; 1 << 18];
    loop {
        let len = match device.read(&mut buffer) {
            Ok(len) => len,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => continue,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let request = &buffer[..len];
        let opcode = number(request, 4) as u32;
        let unique = number(request, 8) | number(request, 12) << 32;
        if matches!(opcode, FORGET | BATCH_FORGET) {
            continue;
        }
        let answer = {
            let mut state = state.lock().unwrap();
            *state.counts.entry(opcode).or_default() += 1;
            if opcode == opcode::FLUSH {
                // The kernel frees the number before it sends the flush: this file gets the number.
                state.opened_by_flush.push(File::open("/dev/null").unwrap());
            }
            match state.errors.get(&opcode) {
                Some(error) => Err(*error),
                None => answer(opcode, request),
            }
        };
        let mut reply = Vec::new();
        let body = answer.as_deref().unwrap_or(&[]);
        reply.extend((16 + body.len() as u32).to_ne_bytes());
        reply.extend((-answer.as_ref().err().unwrap_or(&0)).to_ne_bytes());
        reply.extend(unique.to_ne_bytes());
        reply.extend(body);
        // The kernel refuses the reply to an interrupted request.
        let _ = device.write(&reply);
    }
}

/// Four bytes of a request.
fn number(request: &[u8], at: usize) -> u64 {
    u32::from_ne_bytes(request[at..at + 4].try_into().unwrap()).into()
}

fn answer(opcode: u32, request: &[u8]) -> Result<Vec<u8>, i32> {
    let body = &request[HEADER_LEN..];
    Ok(match opcode {
        INIT => {
            let mut reply = numbers(&[7, 31, 0, 0, 0, 1 << 16, 1]);
            reply.resize(64, 0);
            reply
        }
        LOOKUP => {
            let name = body.split(|byte| *byte == 0).next().unwrap_or(&[]);
            if name.starts_with(b"new") {
                return Err(libc::ENOENT);
            }
            entry(if name.starts_with(DIRECTORY) { 3 } else { 2 })
        }
        GETATTR | SETATTR => {
            let node = number(request, 16);
            [numbers(&[0, 0, 0, 0]), attributes(node)].concat()
        }
        opcode::CREATE => [entry(2), opened()].concat(),
        opcode::MKDIR => entry(3),
        opcode::SYMLINK | opcode::LINK => entry(2),
        opcode::OPEN => opened(),
        opcode::READ => b"content".to_vec(),
        opcode::WRITE => numbers(&[number(body, 16) as u32, 0]),
        opcode::UNLINK | opcode::RMDIR | opcode::RENAME | opcode::FSYNC => Vec::new(),
        opcode::FLUSH | RELEASE => Vec::new(),
        _ => return Err(libc::ENOSYS),
    })
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_ne_bytes())
        .collect()
}

/// `fuse_open_out`.
fn opened() -> Vec<u8> {
    numbers(&[0, 0, DIRECT_IO, 0])
}

/// `fuse_entry_out`, with a validity of zero.
fn entry(node: u32) -> Vec<u8> {
    let head = numbers(&[node, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    [head, attributes(node.into())].concat()
}

/// `fuse_attr`: the root and node 3 are directories.
fn attributes(node: u64) -> Vec<u8> {
    let mode = if node == 2 {
        libc::S_IFREG | 0o666
    } else {
        libc::S_IFDIR | 0o777
    };
    let mut attributes = numbers(&[node as u32, 0, 7, 0]);
    attributes.resize(60, 0);
    attributes.extend(numbers(&[mode, 1, 0, 0, 0, 4096, 0]));
    attributes
}
