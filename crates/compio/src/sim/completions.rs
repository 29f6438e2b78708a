//! The completions of simulated hosts, for programs.

use std::rc::Rc;

use compio_driver::os::simulated::{HostId, World};

use super::{CompletionCounts, CompletionFaults, Error, here::find};

/// The completions of a host, to set their faults during a run. [`Simulation::completions`](super::Simulation::completions) sets them
/// before it.
///
/// ```
/// use std::io::ErrorKind;
///
/// use compio::{
///     io::{AsyncReadExt, AsyncWriteExt},
///     net::{TcpListener, TcpStream},
///     sim::{self, CompletionFaults, Simulation},
/// };
///
/// /// Continues after errors that concern one connection or the moment.
/// async fn greeter() -> std::io::Result<()> {
///     let listener = TcpListener::bind("0.0.0.0:80").await?;
///     loop {
///         match listener.accept().await {
///             Ok((mut stream, _)) => stream.write_all("hello").await.0?,
///             Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
///             Err(error) => return Err(error),
///         }
///     }
/// }
///
/// fn main() -> Result<(), sim::Error> {
///     let mut simulation = Simulation::builder().seed(7).build();
///     simulation.host("greeter", greeter);
///     simulation.client("client", async {
///         // Each family of faults is off or on, by the seed.
///         let completions = sim::completions("client")?;
///         completions.set(completions.draw());
///         sim::completions("greeter")?.set(CompletionFaults {
///             aborted_accept: 0.5,
///             ..CompletionFaults::default()
///         });
///         loop {
///             let Ok(mut stream) = TcpStream::connect("greeter:80").await else {
///                 continue;
///             };
///             if let (Ok(()), greeting) = stream.read_exact([0; 5]).await {
///                 assert_eq!(&greeting, b"hello");
///                 return Ok::<_, sim::Error>(());
///             }
///         }
///     });
///     simulation.run()?;
///     Ok(())
/// }
/// ```
///
/// # The model
///
/// | fault | result |
/// |---|---|
/// | [`late`](CompletionFaults::late) | The operation takes effect, and its program learns of it later: files, sockets, blocking work. Completions of one direction of a socket keep their order, others may overtake. |
/// | [`short_read`](CompletionFaults::short_read), [`short_write`](CompletionFaults::short_write) | A transfer of a TCP stream, of a Unix stream or of a pipe moves at least one byte, and not all that it could. Not with `MSG_PEEK` and `MSG_WAITALL`, and no write of up to 4096 bytes to a pipe. Those of files are faults of the [disk](super::disk()). |
/// | [`late_cancel`](CompletionFaults::late_cancel) | A cancelled or dropped operation stays in flight for some time. If it completes in this time, it has its result. |
/// | [`aborted_accept`](CompletionFaults::aborted_accept) | ECONNABORTED (`ConnectionAborted`) of TCP. The client's connection is reset. |
/// | [`no_resources`](CompletionFaults::no_resources) | EMFILE, ENFILE or ENOMEM of accept(2), socket(2), socketpair(2), pipe(2) and open(2). A connection stays in the queue of its listener. ENOBUFS of a datagram. |
/// | [`interrupted`](CompletionFaults::interrupted) | EINTR (`Interrupted`) of `fs::{rename, remove_file, remove_dir, create_dir, hard_link, symlink}`: the only requests that the driver does not repeat after it, since the change may have been made. |
///
/// Families of faults are independent, and each chance of 0.0 switches one off. [`Completions::draw`] switches each off in half of the
/// seeds. The host has a random stream of its own for them, by seed and name.
///
/// An operation at whose end the runtime waits, as at its shutdown, is not late: the clock stands still there.
///
/// # Not modelled
///
/// - Other errors of established streams: [`reset`](super::NetworkFaults::reset) ends them.
/// - Events that the driver hides: spurious readiness, requests that the kernel drops, cancels that do not find their target. The
///   driver's own tests have them.
/// - EINTR of `fs::{create_dir_all, remove_dir_all, copy}`.
///
/// # Errors
///
/// [`UnknownHost`](super::ErrorKind::UnknownHost), and [`OutsideOfHost`](super::ErrorKind::OutsideOfHost) outside of a simulated
/// host.
pub fn completions(host: &str) -> Result<Completions, Error> {
    let (world, host) = find(host)?;
    Ok(Completions { world, host })
}

/// The completions of a host, made by [`completions`].
#[derive(Debug)]
pub struct Completions {
    world: Rc<World>,
    host: HostId,
}

impl Completions {
    /// Replaces the faults, for operations and cancels from now on.
    ///
    /// # Panics
    ///
    /// If a chance is not in 0.0..=1.0, or if the range is empty.
    #[track_caller]
    pub fn set(&self, faults: CompletionFaults) {
        self.world.set_completion_faults(self.host, faults);
    }

    /// The faults as they are set.
    pub fn faults(&self) -> CompletionFaults {
        self.world.completion_faults(self.host)
    }

    /// Faults by the seed, to be [set](Self::set): each family is off with a probability of one half. Each call draws others.
    pub fn draw(&self) -> CompletionFaults {
        self.world.draw_completion_faults(self.host)
    }

    /// The faults since the begin of the simulation, over all restarts. A test can assert that it met a fault.
    pub fn counts(&self) -> CompletionCounts {
        self.world.completion_counts(self.host)
    }
}
