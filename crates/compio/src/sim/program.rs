//! The program of a host: its runtime and its main future.

use std::{
    any::Any,
    cell::RefCell,
    error::Error,
    fmt, io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use compio_driver::os::simulated::{HostId, World};
use compio_executor::JoinHandle;

use super::{Outcome, Restart, outcome::sealed::Outcome as _, report::Operations};
use crate::runtime::Runtime;

/// The main future of a program.
pub(super) type Main = Pin<Box<dyn Future<Output = MainResult>>>;

type MainResult = Result<(), Box<dyn Error>>;

/// Makes the main future.
pub(super) enum Source {
    /// As often as it starts.
    Host(Box<dyn Fn() -> Main>),
    /// Once.
    Client(Option<Main>),
}

impl Source {
    /// The code that makes the future is a part of the program: a panic of it is one of the program.
    pub(super) fn of_host<F, Fut>(program: F) -> Self
    where
        F: Fn() -> Fut + 'static,
        Fut: Future<Output: Outcome> + 'static,
    {
        let program = Rc::new(program);
        Self::Host(Box::new(move || {
            let program = Rc::clone(&program);
            Box::pin(async move { program().await.into_result() })
        }))
    }

    pub(super) fn of_client<Fut: Future<Output: Outcome> + 'static>(program: Fut) -> Self {
        Self::Client(Some(Box::pin(async move { program.await.into_result() })))
    }
}

pub(super) struct Program {
    pub(super) host: HostId,
    pub(super) name: String,
    source: Source,
    /// Makes the host ready.
    waker: Waker,
    running: Option<Running>,
    /// Whether it was killed, and its host has not been started since.
    pub(super) is_down: bool,
    pub(super) restart: Option<Restart>,
    /// The time of its planned restart.
    pub(super) restart_at: Option<Duration>,
    /// The operations of the runtimes that have ended.
    operations: Operations,
}

struct Running {
    // Dropped first.
    main: JoinHandle<()>,
    result: Rc<RefCell<Option<MainResult>>>,
    runtime: Runtime,
}

/// The end of a program.
pub(super) enum End {
    Finished,
    Failed(Box<dyn Error>),
    Panicked(String),
}

impl Program {
    pub(super) fn new(world: &World, host: HostId, name: String, source: Source) -> Self {
        Self {
            host,
            name,
            source,
            waker: world.waker(host),
            running: None,
            is_down: false,
            restart: None,
            restart_at: None,
            operations: Operations::default(),
        }
    }

    pub(super) fn is_client(&self) -> bool {
        matches!(self.source, Source::Client(_))
    }

    /// Starts the program. It does not start again if it is a client.
    pub(super) fn start(&mut self, world: &Rc<World>) -> io::Result<()> {
        self.is_down = false;
        self.restart_at = None;
        let _entered = world.enter(self.host);
        let runtime = Runtime::new()?;
        let main = match &mut self.source {
            Source::Host(make) => make(),
            Source::Client(main) => match main.take() {
                Some(main) => main,
                None => return Ok(()),
            },
        };
        let result = Rc::<RefCell<_>>::default();
        let into = Rc::clone(&result);
        let main = runtime.spawn(async move {
            let result = main.await;
            *into.borrow_mut() = Some(result);
        });
        world.make_ready(self.host);
        self.running = Some(Running {
            main,
            result,
            runtime,
        });
        Ok(())
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Runs ready tasks. Returns the time to the next timer, or the end of the program.
    pub(super) fn poll(&mut self, world: &Rc<World>) -> io::Result<Result<Option<Duration>, End>> {
        let Some(running) = &mut self.running else {
            return Ok(Ok(None));
        };
        let _entered = world.enter(self.host);
        let timeout = running.runtime.inner().poll_simulated(&self.waker)?;
        if !running.main.is_finished() {
            return Ok(Ok(timeout));
        }
        let result = running.result.borrow_mut().take();
        let end = match result {
            Some(Ok(())) => End::Finished,
            Some(Err(error)) => End::Failed(error),
            None => End::Panicked(running.panic_message()),
        };
        Ok(Err(end))
    }

    /// Drops the program with its runtime.
    pub(super) fn stop(&mut self, world: &Rc<World>) {
        let _entered = world.enter(self.host);
        self.operations = self.operations();
        drop(self.running.take());
    }

    /// Drops the program of a host that was killed.
    pub(super) fn kill(&mut self, world: &Rc<World>) {
        self.stop(world);
        self.is_down = !self.is_client();
        self.restart_at = None;
    }

    /// The operations over all starts.
    pub(super) fn operations(&self) -> Operations {
        let mut operations = self.operations.clone();
        if let Some(Running { runtime, .. }) = &self.running {
            let metrics = runtime.metrics();
            operations.add(|kind| metrics.operations(kind));
        }
        operations
    }

    /// Drops all that belongs to the user.
    pub(super) fn clear(&mut self, world: &Rc<World>) {
        self.stop(world);
        let _entered = world.enter(self.host);
        if let Source::Client(main) = &mut self.source {
            drop(main.take());
        }
    }
}

impl Running {
    fn panic_message(&mut self) -> String {
        let mut cx = Context::from_waker(Waker::noop());
        let main = pin!(&mut self.main);
        match main.poll(&mut cx) {
            Poll::Ready(Err(error)) => match error.try_into_panic() {
                Ok(panic) => message_of(&*panic),
                Err(_) => "its main task was aborted".to_owned(),
            },
            Poll::Ready(Ok(())) | Poll::Pending => "no message".to_owned(),
        }
    }
}

pub(super) fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "its payload is no text".to_owned())
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("name", &self.name)
            .field("is_client", &self.is_client())
            .field("is_running", &self.is_running())
            .finish_non_exhaustive()
    }
}
