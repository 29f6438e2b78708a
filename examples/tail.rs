//! `tail -F`, on Linux: prints the last lines of a file and then each added line. It follows the
//! name to a new file, as after a log rotation, and handles truncation.
//!
//! `cargo run --release --example tail -- FILE`
//!
//! inotify only reports that the file has changed. The example then reads the file.

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("this example is for Linux");
}

#[cfg(target_os = "linux")]
#[compio::main]
async fn main() -> std::io::Result<()> {
    let path = std::env::args_os()
        .nth(1)
        .unwrap_or("/var/log/syslog".into());
    linux::Tail::open(path.into())?.follow().await
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        fs::{self, Metadata},
        io::{self, ErrorKind, Write},
        mem::MaybeUninit,
        os::{fd::OwnedFd, unix::fs::MetadataExt},
        path::{Path, PathBuf},
    };

    use compio::{fs::File, runtime::AsyncFd};
    use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};

    /// The number of lines printed at the beginning, and how many bytes back they are searched.
    const LINES: usize = 10;
    const BACK: u64 = 64 * 1024;

    pub(super) struct Tail {
        path: PathBuf,
        file: File,
        identity: Identity,
        /// The number of printed bytes.
        position: u64,
        buffer: Vec<u8>,
    }

    /// Device and inode: unique while the file exists.
    type Identity = (u64, u64);

    fn identity(metadata: &Metadata) -> Identity {
        (metadata.dev(), metadata.ino())
    }

    impl Tail {
        pub(super) fn open(path: PathBuf) -> io::Result<Self> {
            let file = fs::File::open(&path)?;
            let metadata = file.metadata()?;
            Ok(Self {
                identity: identity(&metadata),
                position: metadata.len().saturating_sub(BACK),
                file: File::from_std(file),
                buffer: Vec::with_capacity(BACK as usize),
                path,
            })
        }

        pub(super) async fn follow(mut self) -> io::Result<()> {
            // Before the first read, so that no change is missed.
            let news = AsyncFd::new(watch(&self.path)?)?;
            self.read().await?;
            print(last_lines(&self.buffer))?;
            loop {
                self.print_new().await?;
                self.look_at_the_name().await?;
                news.read_with(take_all).await?;
            }
        }

        /// Reads into the buffer; `false` at EOF.
        async fn read(&mut self) -> io::Result<bool> {
            let buffer = std::mem::take(&mut self.buffer);
            let (read, buffer) = self.file.read_at(buffer, self.position).await;
            self.buffer = buffer;
            let read = read?;
            self.position += read as u64;
            Ok(read > 0)
        }

        async fn print_new(&mut self) -> io::Result<()> {
            while self.read().await? {
                print(&self.buffer)?;
            }
            Ok(())
        }

        /// Switches to another file, if the name refers to one by now.
        async fn look_at_the_name(&mut self) -> io::Result<()> {
            let named = match fs::metadata(&self.path) {
                // Renamed, and the next one does not exist yet.
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                named => named?,
            };
            if identity(&named) != self.identity {
                // Lines that were added to the old file before the rotation.
                self.print_new().await?;
                eprintln!("* another file: {}", self.path.display());
                match fs::File::open(&self.path) {
                    Ok(file) => {
                        self.identity = identity(&file.metadata()?);
                        self.file = File::from_std(file);
                        self.position = 0;
                    }
                    Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                    Err(error) => return Err(error),
                }
            } else if named.len() < self.position {
                eprintln!("* the file has been cut: {}", self.path.display());
                self.position = 0;
            } else {
                return Ok(());
            }
            self.print_new().await
        }
    }

    /// An inotify descriptor for the directory. It reports changes of the file, and a new file of
    /// its name.
    fn watch(path: &Path) -> io::Result<OwnedFd> {
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let news = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let what = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO;
        inotify::add_watch(&news, directory, what)?;
        Ok(news)
    }

    /// Reads all events. There must be one, or the read blocks.
    fn take_all(news: &OwnedFd) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(news, &mut buffer);
        reader.next()?;
        while reader.next().is_ok() {}
        Ok(())
    }

    /// The last few whole or unfinished lines.
    fn last_lines(text: &[u8]) -> &[u8] {
        let unfinished = text.strip_suffix(b"\n").unwrap_or(text);
        let ends = unfinished.iter().enumerate().rev();
        let start = ends
            .filter(|(_, byte)| **byte == b'\n')
            .nth(LINES - 1)
            .map_or(0, |(end, _)| end + 1);
        &text[start..]
    }

    fn print(text: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text)?;
        stdout.flush()
    }
}
