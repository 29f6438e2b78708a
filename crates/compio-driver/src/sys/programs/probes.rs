//! Buffers and wakers that are passed to the driver and detect errors: the buffers count their drops,
//! the wakers have side effects.

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

/// The payload of an intentional panic.
struct Planned;

/// Panics on purpose, without a report.
pub(super) fn panic_as_planned() -> ! {
    panic::resume_unwind(Box::new(Planned))
}

/// Ignores an intentional panic, and resumes any other.
pub(super) fn expect_planned(panic: Box<dyn Any + Send>) {
    if !panic.is::<Planned>() {
        panic::resume_unwind(panic);
    }
}

/// The misbehaviour of a buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum BufferFault {
    None,
    PanicsWhenAsked,
    PanicsWhenDropped,
}

/// A buffer that counts its drop.
#[derive(Debug)]
pub(super) struct Canary {
    bytes: Vec<u8>,
    whim: BufferFault,
    alive: Rc<Cell<usize>>,
}

impl Canary {
    /// A buffer with capacity for `len` bytes.
    pub(super) fn with_room(len: usize, whim: BufferFault, alive: &Rc<Cell<usize>>) -> Self {
        alive.set(alive.get() + 1);
        Self {
            bytes: Vec::with_capacity(len),
            whim,
            alive: Rc::clone(alive),
        }
    }

    /// A buffer with `len` bytes. Each is one more than the byte before.
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

/// The side effect of a waker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum WakerAction {
    None,
    Panics,
    TurnsTheDriver,
    /// Drops another actor.
    DropsAnother,
    CancelsAToken,
}

/// Records a wake.
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

    /// Whether the waker was woken since the last call.
    pub(super) fn has_rung(&self) -> bool {
        // Relaxed: one thread makes all accesses.
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
