//! What is handed to the driver and watches it: buffers that count their deaths, wakers that do
//! something of their own.

use std::{
    any::Any,
    cell::Cell,
    mem::MaybeUninit,
    panic,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Wake, Waker},
    thread,
};

use compio_io::buf::{IoBuf, IoBufMut};

use super::harness;

/// What those panic with that are to.
struct Planned;

/// Unwinds, but is not reported.
pub(super) fn panic_as_planned() -> ! {
    panic::resume_unwind(Box::new(Planned))
}

/// The panic was to be; any other goes on.
pub(super) fn expect_planned(panic: Box<dyn Any + Send>) {
    if !panic.is::<Planned>() {
        panic::resume_unwind(panic);
    }
}

/// What a buffer does when it may not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum BufferFault {
    None,
    PanicsWhenAsked,
    PanicsWhenDropped,
}

/// A buffer that says when it is dropped.
#[derive(Debug)]
pub(super) struct Canary {
    bytes: Vec<u8>,
    whim: BufferFault,
    alive: Rc<Cell<usize>>,
}

impl Canary {
    /// Room for so many bytes.
    pub(super) fn with_room(len: usize, whim: BufferFault, alive: &Rc<Cell<usize>>) -> Self {
        alive.set(alive.get() + 1);
        Self {
            bytes: Vec::with_capacity(len),
            whim,
            alive: Rc::clone(alive),
        }
    }

    /// So many bytes, of which each is one more than that before it.
    pub(super) fn from(
        first: usize,
        len: usize,
        whim: BufferFault,
        alive: &Rc<Cell<usize>>,
    ) -> Self {
        let mut canary = Self::with_room(len, whim, alive);
        canary
            .bytes
            .extend((first..first + len).map(|place| place as u8));
        canary
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.alive.set(self.alive.get() - 1);
        if self.whim == BufferFault::PanicsWhenDropped && !thread::panicking() {
            panic_as_planned();
        }
    }
}

// SAFETY: the vector's contract is this type's.
unsafe impl IoBuf for Canary {
    fn as_init(&self) -> &[u8] {
        if self.whim == BufferFault::PanicsWhenAsked {
            panic_as_planned();
        }
        self.bytes.as_init()
    }

    fn buf_capacity(&self) -> usize {
        self.bytes.buf_capacity()
    }
}

// SAFETY: the vector's contract is this type's.
unsafe impl IoBufMut for Canary {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        if self.whim == BufferFault::PanicsWhenAsked {
            panic_as_planned();
        }
        // SAFETY: passed on from this function.
        unsafe { self.bytes.as_uninit() }
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: passed on from this function.
        unsafe { self.bytes.set_init(len) };
    }
}

/// What a waker does besides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum WakerAction {
    None,
    Panics,
    TurnsTheDriver,
    /// Some other actor loses his slot.
    DropsAnother,
    CancelsAToken,
}

/// Remembers that it was woken.
pub(super) struct Bell {
    has_rung: AtomicBool,
    deed: WakerAction,
}

impl Bell {
    pub(super) fn new(deed: WakerAction) -> Arc<Self> {
        Arc::new(Self {
            has_rung: AtomicBool::new(false),
            deed,
        })
    }

    /// Whether it was woken since this was asked.
    pub(super) fn has_rung(&self) -> bool {
        // Relaxed: all this is one thread's.
        self.has_rung.swap(false, Relaxed)
    }

    pub(super) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // Relaxed: as above.
        self.has_rung.store(true, Relaxed);
        match self.deed {
            WakerAction::None => {}
            WakerAction::Panics => panic_as_planned(),
            WakerAction::TurnsTheDriver
            | WakerAction::DropsAnother
            | WakerAction::CancelsAToken => {
                harness::with_current(|harness| harness.do_deed(self.deed));
            }
        }
    }
}
