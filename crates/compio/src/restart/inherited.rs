//! The listeners of this process that its parent has opened, and the message that this process is ready.
//!
//! The crate `listenfd` knows no names of listeners, and treats malformed variables as none. Starting a
//! successor is not its purpose.

use std::{
    env,
    ffi::OsString,
    io,
    mem::take,
    process,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use compio_driver::{
    AsFd, OwnedFd, RawFd,
    os_calls::{
        socket::SocketRef,
        system::{FIRST_PASSED, is_listening, take_inherited},
    },
};
use compio_io::io::AsyncWriteExt;
use socket2::{Domain, Type};

use super::{COUNT, NAMES, PID, READY};
use crate::net::{TcpListener, UnixListener, UnixStream, socket::Adopt};

/// The name of all listeners if the variable of the names is absent, as in systemd's library.
const UNNAMED: &str = "unknown";

/// The listeners that this process has inherited, made by [`inherited_listeners`].
///
/// Listeners that are not taken are closed when this is dropped.
#[derive(Debug, Default)]
pub struct InheritedListeners {
    listeners: Vec<Inherited>,
}

#[derive(Debug)]
struct Inherited {
    name: String,
    domain: Domain,
    socket: OwnedFd,
}

/// Takes the listening sockets that this process has inherited by systemd's protocol of socket activation
/// (`sd_listen_fds(3)`): from a socket unit of systemd, or from a [predecessor](super::Successor).
///
/// There are none if the environment variable `LISTEN_PID` or `LISTEN_FDS` is absent, or `LISTEN_PID` names another
/// process. So a child process of this one, which has the same variables, finds none.
///
/// No child process inherits the sockets further. Other processes may have them, for instance systemd: then connections
/// go to any of the processes that accept.
///
/// # Errors
///
/// `InvalidData` if a variable is malformed; if a descriptor is not open, or is no listening stream socket, TCP or
/// Unix; on a second call, since the first one has taken the descriptors. If the type of one is wrong, all are closed.
///
/// # Platform differences
///
/// Apple's systems do not report whether a socket listens: there, a socket without a peer is taken as well, and its
/// accepts fail.
///
/// # Example
///
/// ```
/// use compio::{cores::Server, restart::inherited_listeners};
///
/// #[compio::main]
/// async fn main() -> std::io::Result<()> {
///     let mut inherited = inherited_listeners()?;
///     // The name is `FileDescriptorName=` of the socket unit, or the name of the unit.
///     let server = match inherited.take_tcp("http")? {
///         none if none.is_empty() => Server::bind("127.0.0.1:0").await?,
///         listeners => Server::from_listeners(listeners),
///     };
///     println!("{server:?}");
///     Ok(())
/// }
/// ```
pub fn inherited_listeners() -> io::Result<InheritedListeners> {
    if !is_meant(env::var_os(PID))? {
        return Ok(InheritedListeners::default());
    }
    let names = names(env::var_os(COUNT), env::var_os(NAMES))?;
    let sockets = take_inherited(FIRST_PASSED, names.len())?;
    let listeners = names.into_iter().zip(sockets);
    let listeners = listeners.map(|(name, socket)| Inherited::new(name, socket));
    Ok(InheritedListeners {
        listeners: listeners.collect::<io::Result<_>>()?,
    })
}

impl InheritedListeners {
    /// Whether no listeners are left.
    pub fn is_empty(&self) -> bool {
        self.listeners.is_empty()
    }

    /// The names of the listeners that are left. Several listeners may have one name. It is `unknown` if the parent
    /// has set no names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.listeners.iter().map(|listener| listener.name.as_str())
    }

    /// Takes the TCP listeners of a name; an empty list if there are none.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a listener of that name is a Unix socket. Then none is taken.
    pub fn take_tcp(&mut self, name: &str) -> io::Result<Vec<TcpListener>> {
        let is_tcp = |domain| domain == Domain::IPV4 || domain == Domain::IPV6;
        self.take(name, is_tcp, "a TCP socket")
    }

    /// Takes the listening Unix sockets of a name; an empty list if there are none.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a listener of that name is a TCP socket. Then none is taken.
    pub fn take_unix(&mut self, name: &str) -> io::Result<Vec<UnixListener>> {
        self.take(name, |domain| domain == Domain::UNIX, "a Unix socket")
    }

    fn take<L: Adopt>(
        &mut self,
        name: &str,
        is_right: impl Fn(Domain) -> bool,
        expected: &str,
    ) -> io::Result<Vec<L>> {
        let mut named = self.listeners.iter().filter(|other| other.name == name);
        if !named.all(|listener| is_right(listener.domain)) {
            let message = format!("an inherited listener named {name:?} is not {expected}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let all = take(&mut self.listeners).into_iter();
        let (named, others) = all.partition(|other| other.name == name);
        self.listeners = others;
        let named: Vec<Inherited> = named;
        named
            .into_iter()
            .map(|listener| L::adopt(listener.socket))
            .collect()
    }
}

impl Inherited {
    /// Checks the type of the descriptor.
    fn new(name: String, socket: OwnedFd) -> io::Result<Self> {
        let domain = listening_stream(&socket).map_err(|problem| {
            invalid(format!("the inherited descriptor named {name:?} {problem}"))
        })?;
        Ok(Self {
            name,
            domain,
            socket,
        })
    }
}

/// The domain of a listening stream socket, or the fault of another descriptor.
fn listening_stream(fd: &OwnedFd) -> Result<Domain, &'static str> {
    let socket = SocketRef::new(fd.as_fd());
    let kind = socket.r#type().map_err(|_| "is not a socket")?;
    if kind != Type::STREAM {
        return Err("is not a stream socket");
    }
    let address = socket
        .local_addr()
        .map_err(|_| "is a socket without an address")?;
    let domain = address.domain();
    if ![Domain::IPV4, Domain::IPV6, Domain::UNIX].contains(&domain) {
        return Err("is neither a TCP nor a Unix socket");
    }
    match is_listening(fd.as_fd()) {
        Ok(true) => Ok(domain),
        Ok(false) | Err(_) => Err("is a socket that does not listen"),
    }
}

/// Tells the [predecessor](super::Successor) that this process accepts connections: the predecessor shuts down. Call it
/// when the server has started.
///
/// It does nothing in a process without a predecessor, after the end of the predecessor, and on a second call.
///
/// # Cancellation
///
/// The message may or may not have been sent.
///
/// # Errors
///
/// `InvalidData` if the variable of the predecessor is malformed, or its descriptor is not open. Other OS errors of
/// send(2).
pub async fn notify_ready() -> io::Result<()> {
    static IS_DONE: AtomicBool = AtomicBool::new(false);
    let Some(number) = env::var_os(READY) else {
        return Ok(());
    };
    // Relaxed: the flag guards no data.
    if !is_meant(env::var_os(PID))? || IS_DONE.swap(true, Relaxed) {
        return Ok(());
    }
    let number: RawFd = parse(READY, &number)?;
    if number < FIRST_PASSED {
        return Err(malformed(READY, &number));
    }
    for fd in take_inherited(number, 1)? {
        let mut predecessor = UnixStream::adopt(fd)?;
        match predecessor.write_all("\n").await.0 {
            // It has crashed. This process is the only one that serves.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            sent => sent?,
        }
    }
    Ok(())
}

/// Whether the variables are meant for this process. Forked children and programs that it executes have them, too.
fn is_meant(pid: Option<OsString>) -> io::Result<bool> {
    match pid {
        Some(pid) => Ok(parse::<u32>(PID, &pid)? == process::id()),
        None => Ok(false),
    }
}

/// The names of the passed listeners, one for each.
fn names(count: Option<OsString>, names: Option<OsString>) -> io::Result<Vec<String>> {
    let Some(count) = count else {
        return Ok(Vec::new());
    };
    // As many as a number of a descriptor can count.
    let count: usize = parse::<u16>(COUNT, &count)?.into();
    let Some(names) = names else {
        return Ok(vec![UNNAMED.to_owned(); count]);
    };
    let text = names.to_str().ok_or_else(|| malformed(NAMES, &names))?;
    // An empty text is one empty name, except if there is no listener.
    let names: Vec<_> = text.split(':').map(str::to_owned).collect();
    match names.len() == count {
        true => Ok(names),
        false if count == 0 && text.is_empty() => Ok(Vec::new()),
        false => Err(invalid(format!(
            "{NAMES} has {} names for {count} descriptors: {text:?}",
            names.len()
        ))),
    }
}

/// A number without a sign and blanks.
fn parse<T: std::str::FromStr>(variable: &str, value: &OsString) -> io::Result<T> {
    let digits = value.to_str().filter(|text| {
        let is_digit = |byte: u8| byte.is_ascii_digit();
        text.bytes().all(is_digit)
    });
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| malformed(variable, value))
}

fn malformed(variable: &str, value: &dyn std::fmt::Debug) -> io::Error {
    invalid(format!(
        "the environment variable {variable} is malformed: {value:?}"
    ))
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(count: &str, list: Option<&str>) -> io::Result<Vec<String>> {
        names(Some(count.into()), list.map(OsString::from))
    }

    #[test]
    fn each_descriptor_has_a_name() {
        assert_eq!(names(None, None).unwrap(), [""; 0]);
        assert_eq!(names(None, Some("a:b".into())).unwrap(), [""; 0]);
        assert_eq!(names_of("0", None).unwrap(), [""; 0]);
        assert_eq!(names_of("0", Some("")).unwrap(), [""; 0]);
        assert_eq!(names_of("2", None).unwrap(), ["unknown"; 2]);
        assert_eq!(names_of("1", Some("")).unwrap(), [""]);
        assert_eq!(names_of("3", Some("a::a")).unwrap(), ["a", "", "a"]);
    }

    #[test]
    fn malformed_count_is_an_error() {
        for count in [
            "",
            "-1",
            "+1",
            " 1",
            "1 ",
            "0x1",
            "one",
            "65536",
            "99999999999999999999",
        ] {
            let error = names_of(count, None).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{count}");
            assert!(error.to_string().contains("LISTEN_FDS"), "{error}");
        }
    }

    #[test]
    fn names_of_another_count_are_an_error() {
        for (count, list) in [("0", "a"), ("1", "a:b"), ("2", "a"), ("2", "")] {
            let error = names_of(count, Some(list)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(error.to_string().contains("LISTEN_FDNAMES"), "{error}");
        }
    }

    #[test]
    fn variables_are_for_the_process_with_the_pid() {
        let own = process::id();
        assert!(!is_meant(None).unwrap());
        assert!(is_meant(Some(own.to_string().into())).unwrap());
        assert!(!is_meant(Some((own + 1).to_string().into())).unwrap());
        for pid in ["", "self", "-1", "4294967296"] {
            let error = is_meant(Some(pid.into())).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{pid}");
        }
    }
}
