//! Named pipes: communication between the programs of one Windows machine.
//!
//! A server creates an instance of a pipe, [waits](NamedPipeServer::connect) for its client, and then has
//! a connection to that client. It creates another instance for the next client before it serves the
//! first. Otherwise a client may find no pipe at all in between.
//!
//! ```
//! use compio::{
//!     io::{AsyncReadExt, AsyncWriteExt},
//!     net::windows::named_pipe::{ClientOptions, NamedPipeServer, ServerOptions},
//!     task,
//! };
//!
//! async fn serve(mut pipe: NamedPipeServer) -> std::io::Result<()> {
//!     let (result, buffer) = pipe.read_exact([0; 5]).await;
//!     result?;
//!     pipe.write_all(buffer).await.0
//! }
//!
//! async fn listen(mut pipe: NamedPipeServer, name: String) -> std::io::Result<()> {
//!     loop {
//!         pipe.connect().await?;
//!         let next = ServerOptions::new().create(&name)?;
//!         task::spawn(serve(std::mem::replace(&mut pipe, next)));
//!     }
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     let name = format!(r"\\.\pipe\compio-docs-{}", std::process::id());
//!     compio::task::block_on(async {
//!         let pipe = ServerOptions::new().first_pipe_instance(true).create(&name)?;
//!         let server = task::spawn(listen(pipe, name.clone()));
//!
//!         let mut client = ClientOptions::new().open(&name)?;
//!         client.write_all("hello").await.0?;
//!         let (result, buffer) = client.read_exact([0; 5]).await;
//!         result?;
//!         assert_eq!(&buffer, b"hello");
//!         server.abort();
//!         Ok(())
//!     })
//! }
//! ```
//!
//! # Reading and writing
//!
//! Both ends are read and written with the traits of [`io`](crate::io), also through a reference. The
//! directions of a pipe cannot be shut down separately: `shutdown` and `flush` do nothing.
//!
//! A read of 0 bytes is EOF: the other end is closed. It may also be a write of 0 bytes by the other
//! end, which is an empty message in a pipe of messages. In other pipes such a write cannot be
//! distinguished from EOF. A write fails with [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the other
//! end is closed.
//!
//! In a pipe of [messages](PipeMode::Message) a read returns one message. If it is longer than the
//! buffer's capacity, the read returns its first part, and the next read continues with it.
//!
//! # Cancellation
//!
//! A dropped read loses nothing: the next read returns bytes that arrive for it. A dropped write may
//! have written nothing, a part, or all of its bytes. A write that a
//! [`CancelToken`](crate::runtime::CancelToken) cancels returns how many.
//!
//! # Threads
//!
//! An end belongs to its thread; [`into_handle`](NamedPipeServer::into_handle) moves it to another.
//! Windows sends its completions for life to the thread that used it first, so each operation costs more
//! on another thread. A server that spreads its connections over threads creates and connects each
//! instance on the thread that serves it.

use std::{
    io,
    os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle, RawHandle},
    path::Path,
};

use compio_driver::{
    AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd, SharedFd,
    op::{WriteAt, WriteVectoredAt},
    os::windows::{
        ConnectNamedPipe, NamedPipeFlags, assume_overlapped, create_named_pipe,
        disconnect_named_pipe, named_pipe_info, set_named_pipe_mode,
    },
    os_calls::file::{self, OpenOptions, SystemOpenOptions},
    request::NativePath,
};
use compio_io::{
    buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut},
    io::{AsyncRead, AsyncWrite},
};
use windows_sys::Win32::{
    Foundation::GENERIC_READ,
    Storage::FileSystem::{
        FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_WRITE_ATTRIBUTES, PIPE_ACCESS_INBOUND,
        PIPE_ACCESS_OUTBOUND, SECURITY_IDENTIFICATION,
    },
    System::Pipes::{
        PIPE_READMODE_BYTE, PIPE_READMODE_MESSAGE, PIPE_REJECT_REMOTE_CLIENTS, PIPE_SERVER_END,
        PIPE_TYPE_BYTE, PIPE_TYPE_MESSAGE, PIPE_UNLIMITED_INSTANCES,
    },
};

use crate::{
    net::{ReadHalf, WriteHalf, socket::read_write},
    runtime::{submit, with_driver},
};

/// The server's end of a named pipe: one instance, for one client at a time. See the
/// [module](self) about reading, writing and cancellation.
#[derive(Debug)]
pub struct NamedPipeServer {
    pipe: Pipe,
}

impl NamedPipeServer {
    /// Waits for a client.
    ///
    /// It returns at once if a client is connected already, or has connected and closed its end: its
    /// bytes can still be read. So [disconnect](Self::disconnect) the instance before it waits for the
    /// next client.
    ///
    /// # Cancellation
    ///
    /// If a client connects after the cancel, it stays connected, and the next call returns at once.
    ///
    /// # Errors
    ///
    /// The OS error of `ConnectNamedPipe`.
    pub async fn connect(&self) -> io::Result<()> {
        submit(ConnectNamedPipe::new(self.pipe.fd.clone())).await
    }

    /// Disconnects the client. The instance can be [connected](Self::connect) again.
    ///
    /// Bytes that the client has not read are lost, unlike with a drop, and its reads fail
    /// (`ERROR_PIPE_NOT_CONNECTED`). So do reads and writes of this end in flight. Bytes that are kept
    /// from a dropped read of this end are lost as well.
    ///
    /// # Errors
    ///
    /// The OS error of `DisconnectNamedPipe`.
    pub fn disconnect(&self) -> io::Result<()> {
        disconnect_named_pipe(self.as_handle())?;
        self.pipe.fd.forget_leftovers();
        Ok(())
    }
}

/// The client's end of a named pipe. See the [module](self) about reading, writing and
/// cancellation.
#[derive(Debug)]
pub struct NamedPipeClient {
    pipe: Pipe,
}

/// Options to [create](Self::create) the server's end of a named pipe.
///
/// ```
/// use compio::net::windows::named_pipe::{PipeEnd, PipeMode, ServerOptions};
///
/// fn main() -> std::io::Result<()> {
///     let name = format!(r"\\.\pipe\compio-docs-options-{}", std::process::id());
///     let server = ServerOptions::new()
///         .first_pipe_instance(true)
///         .pipe_mode(PipeMode::Message)
///         .max_instances(3)
///         .create(&name)?;
///     let info = server.info()?;
///     assert_eq!(info.end, PipeEnd::Server);
///     assert_eq!(info.mode, PipeMode::Message);
///     assert_eq!(info.max_instances, 3);
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct ServerOptions {
    pipe_mode: PipeMode,
    access_inbound: bool,
    access_outbound: bool,
    first_pipe_instance: bool,
    reject_remote_clients: bool,
    max_instances: u32,
    out_buffer_size: u32,
    in_buffer_size: u32,
}

impl ServerOptions {
    /// A pipe of bytes in both directions, with buffers of 64 KiB, as many instances as there is
    /// memory for, and no clients from other machines.
    pub fn new() -> Self {
        Self {
            pipe_mode: PipeMode::Byte,
            access_inbound: true,
            access_outbound: true,
            first_pipe_instance: false,
            reject_remote_clients: true,
            max_instances: PIPE_UNLIMITED_INSTANCES,
            out_buffer_size: 64 * 1024,
            in_buffer_size: 64 * 1024,
        }
    }

    /// Whether the pipe transfers bytes or messages; this end reads in the same mode. The same for all
    /// instances.
    pub fn pipe_mode(&mut self, mode: PipeMode) -> &mut Self {
        self.pipe_mode = mode;
        self
    }

    /// Whether the client may write, and the server read. The same for all instances.
    pub fn access_inbound(&mut self, allowed: bool) -> &mut Self {
        self.access_inbound = allowed;
        self
    }

    /// Whether the server may write, and the client read. The same for all instances.
    pub fn access_outbound(&mut self, allowed: bool) -> &mut Self {
        self.access_outbound = allowed;
        self
    }

    /// Makes `create` fail unless this is the first instance: no other pipe of this name exists then.
    pub fn first_pipe_instance(&mut self, first: bool) -> &mut Self {
        self.first_pipe_instance = first;
        self
    }

    /// Whether clients from other machines are refused. True by default.
    pub fn reject_remote_clients(&mut self, reject: bool) -> &mut Self {
        self.reject_remote_clients = reject;
        self
    }

    /// How many instances the pipe may have at a time. The same for all instances.
    ///
    /// # Panics
    ///
    /// Unless it is 1 to 254.
    pub fn max_instances(&mut self, instances: usize) -> &mut Self {
        let limit = PIPE_UNLIMITED_INSTANCES as usize;
        assert!(
            (1..limit).contains(&instances),
            "a pipe can be limited to 1 to 254 instances, not {instances}"
        );
        self.max_instances = instances as u32;
        self
    }

    /// How many bytes the server can write before the client has read any. A hint for Windows.
    pub fn out_buffer_size(&mut self, bytes: u32) -> &mut Self {
        self.out_buffer_size = bytes;
        self
    }

    /// How many bytes the client can write before the server has read any. A hint for Windows.
    pub fn in_buffer_size(&mut self, bytes: u32) -> &mut Self {
        self.in_buffer_size = bytes;
        self
    }

    /// Creates an instance of the pipe of this name, which is like `\\.\pipe\name`. Clients can open
    /// it from now on. No child process inherits it.
    ///
    /// # Errors
    ///
    /// - [`PermissionDenied`](io::ErrorKind::PermissionDenied) if it must be the first instance and is
    ///   not, or if the pipe belongs to another user.
    /// - `ERROR_PIPE_BUSY` if the maximum number of instances exists.
    /// - [`InvalidInput`](io::ErrorKind::InvalidInput) if the name contains a NUL, or if neither end
    ///   may write.
    /// - Other OS errors of `CreateNamedPipeW`.
    pub fn create(&self, name: impl AsRef<Path>) -> io::Result<NamedPipeServer> {
        if !self.access_inbound && !self.access_outbound {
            let why = "neither end may write: allow `access_inbound` or `access_outbound`";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let flags = NamedPipeFlags {
            open: flag(self.access_inbound, PIPE_ACCESS_INBOUND)
                | flag(self.access_outbound, PIPE_ACCESS_OUTBOUND)
                | flag(self.first_pipe_instance, FILE_FLAG_FIRST_PIPE_INSTANCE),
            mode: self.pipe_mode.of_pipe()
                | self.pipe_mode.of_reads()
                | flag(self.reject_remote_clients, PIPE_REJECT_REMOTE_CLIENTS),
            instances_max: self.max_instances,
            out_buffer: self.out_buffer_size,
            in_buffer: self.in_buffer_size,
        };
        create_named_pipe(&NativePath::new(name)?, flags).map(Into::into)
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Options to [open](Self::open) the client's end of a named pipe.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    read: bool,
    write: bool,
    security_qos_flags: u32,
    pipe_mode: PipeMode,
}

impl ClientOptions {
    /// Reads and writes bytes. The server can identify the client, and cannot impersonate it.
    pub fn new() -> Self {
        Self {
            read: true,
            write: true,
            security_qos_flags: SECURITY_IDENTIFICATION,
            pipe_mode: PipeMode::Byte,
        }
    }

    /// Whether to read. The server must allow it.
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.read = read;
        self
    }

    /// Whether to write. The server must allow it.
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.write = write;
        self
    }

    /// Sets the level to which the server may impersonate the client: one of the `SECURITY_` flags of
    /// Windows, such as `SECURITY_IMPERSONATION`.
    pub fn security_qos_flags(&mut self, flags: u32) -> &mut Self {
        self.security_qos_flags = flags;
        self
    }

    /// Whether messages or bytes are read. To read messages, the pipe must be a pipe of messages.
    pub fn pipe_mode(&mut self, mode: PipeMode) -> &mut Self {
        self.pipe_mode = mode;
        self
    }

    /// Opens the pipe of this name, which is like `\\.\pipe\name`, or `\\server\pipe\name` of another
    /// machine.
    ///
    /// # Errors
    ///
    /// The OS error, for instance [`NotFound`](io::ErrorKind::NotFound) if there is no pipe of this name.
    /// `ERROR_PIPE_BUSY` (231) if all instances have a client; retry after a moment:
    ///
    #[cfg_attr(feature = "time", doc = "```no_run")]
    #[cfg_attr(not(feature = "time"), doc = "```ignore")]
    /// use std::time::Duration;
    ///
    /// use compio::{net::windows::named_pipe::ClientOptions, time::sleep};
    ///
    /// const ERROR_PIPE_BUSY: i32 = 231;
    ///
    /// # async fn open() -> std::io::Result<()> {
    /// let client = loop {
    ///     match ClientOptions::new().open(r"\\.\pipe\my-service") {
    ///         Err(error) if error.raw_os_error() == Some(ERROR_PIPE_BUSY) => {
    ///             sleep(Duration::from_millis(50)).await;
    ///         }
    ///         opened => break opened?,
    ///     }
    /// };
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(&self, name: impl AsRef<Path>) -> io::Result<NamedPipeClient> {
        let mut options = OpenOptions {
            read: self.read,
            write: self.write,
            system: SystemOpenOptions {
                share_mode: Some(0),
                security_qos_flags: Some(self.security_qos_flags),
                ..Default::default()
            },
            ..Default::default()
        };
        let reads_messages = self.pipe_mode == PipeMode::Message;
        if reads_messages && !self.write {
            // Setting the read mode takes a right that GENERIC_WRITE includes.
            options.system.access_mode = Some(GENERIC_READ | FILE_WRITE_ATTRIBUTES);
        }
        let client = file::open(name.as_ref(), &options)?;
        let client = NamedPipeClient::from(OwnedHandle::from(client));
        if reads_messages {
            set_named_pipe_mode(client.as_handle(), self.pipe_mode.of_reads())?;
        }
        Ok(client)
    }
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a pipe transfers bytes or messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PipeMode {
    /// A stream of bytes.
    Byte,
    /// Messages: the bytes of one write are read by one read.
    Message,
}

impl PipeMode {
    fn of_pipe(self) -> u32 {
        match self {
            Self::Byte => PIPE_TYPE_BYTE,
            Self::Message => PIPE_TYPE_MESSAGE,
        }
    }

    fn of_reads(self) -> u32 {
        match self {
            Self::Byte => PIPE_READMODE_BYTE,
            Self::Message => PIPE_READMODE_MESSAGE,
        }
    }
}

/// An end of a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PipeEnd {
    /// The client's.
    Client,
    /// The server's.
    Server,
}

/// Properties of an end of a pipe.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PipeInfo {
    /// Whether the pipe transfers bytes or messages, independent of the mode of reads.
    pub mode: PipeMode,
    /// Which end.
    pub end: PipeEnd,
    /// The maximum number of instances; 255 means no limit but memory.
    pub max_instances: u32,
    /// The size of the buffer for writes of this end, in bytes.
    pub out_buffer_size: u32,
    /// The size of the buffer for reads of this end, in bytes.
    pub in_buffer_size: u32,
}

/// The common part of both ends.
#[derive(Debug)]
struct Pipe {
    fd: SharedFd,
}

impl Pipe {
    async fn recv<B: IoBufMut>(&self, buffer: B) -> BufResult<usize, B> {
        with_driver(|driver| driver.read(&self.fd, buffer)).await
    }

    async fn recv_vectored<V: IoVectoredBufMut>(&self, buffers: V) -> BufResult<usize, V> {
        with_driver(|driver| driver.read_vectored(&self.fd, buffers)).await
    }

    /// Waits for the completion of each operation of a dropped future. Returns whether bytes are kept.
    async fn settle(&self) -> bool {
        with_driver(|driver| driver.settle(&self.fd)).await
    }

    async fn send<B: IoBuf>(&self, buffer: B) -> BufResult<usize, B> {
        submit(WriteAt::at_cursor(self.fd.clone(), buffer)).await
    }

    async fn send_vectored<V: IoVectoredBuf>(&self, buffers: V) -> BufResult<usize, V> {
        submit(WriteVectoredAt::at_cursor(self.fd.clone(), buffers)).await
    }

    /// A pipe is closed as a whole.
    async fn shutdown(&self, _how: std::net::Shutdown) -> io::Result<()> {
        Ok(())
    }

    /// A pipe has no reset.
    fn abort(&self) {}
}

/// The methods of both ends.
macro_rules! end {
    ($end:ident) => {
        impl $end {
            /// Returns the properties of this end.
            ///
            /// # Errors
            ///
            /// The OS error of `GetNamedPipeInfo`.
            pub fn info(&self) -> io::Result<PipeInfo> {
                let info = named_pipe_info(self.as_handle())?;
                Ok(PipeInfo {
                    mode: if info.flags & PIPE_TYPE_MESSAGE != 0 {
                        PipeMode::Message
                    } else {
                        PipeMode::Byte
                    },
                    end: if info.flags & PIPE_SERVER_END != 0 {
                        PipeEnd::Server
                    } else {
                        PipeEnd::Client
                    },
                    max_instances: info.instances_max,
                    out_buffer_size: info.out_buffer,
                    in_buffer_size: info.in_buffer,
                })
            }

            /// Splits the end into a reading and a writing half.
            pub fn split(&mut self) -> (ReadHalf<'_, Self>, WriteHalf<'_, Self>) {
                (ReadHalf(self), WriteHalf(self))
            }

            /// Returns the handle, which can move to another thread.
            ///
            /// # Errors
            ///
            /// Returns this end if it has operations in flight, or if bytes arrived for a
            /// dropped read and are kept for the next read.
            pub fn into_handle(self) -> Result<OwnedHandle, Self> {
                match self.pipe.fd.try_unwrap() {
                    Ok(fd) => Ok(fd.into()),
                    Err(fd) => Err(Self { pipe: Pipe { fd } }),
                }
            }
        }

        /// Takes over an end of a pipe, which may come from another thread. It must have been
        /// opened with `FILE_FLAG_OVERLAPPED`: otherwise operations may block the whole thread.
        impl From<OwnedHandle> for $end {
            fn from(handle: OwnedHandle) -> Self {
                let fd = SharedFd::from(OwnedFd::from(handle));
                assume_overlapped(&fd);
                Self { pipe: Pipe { fd } }
            }
        }

        impl AsFd for $end {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.pipe.fd.as_fd()
            }
        }

        impl AsRawFd for $end {
            fn as_raw_fd(&self) -> RawFd {
                self.pipe.fd.as_raw_fd()
            }
        }

        impl AsHandle for $end {
            fn as_handle(&self) -> BorrowedHandle<'_> {
                self.as_fd().into()
            }
        }

        impl AsRawHandle for $end {
            fn as_raw_handle(&self) -> RawHandle {
                self.as_handle().as_raw_handle()
            }
        }

        read_write!($end, pipe, "See the [module](self) about cancellation.");
    };
}

end!(NamedPipeServer);
end!(NamedPipeClient);
