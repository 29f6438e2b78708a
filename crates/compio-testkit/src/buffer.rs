//! Buffers and values whose drop is counted, and bytes with a pattern.

use std::{cell::Cell, fmt, mem::MaybeUninit, ops::Deref, rc::Rc};

use compio_io::buf::{IoBuf, IoBufMut};

/// Counts the drops of its guards.
#[derive(Debug, Clone, Default)]
pub struct Deaths(Rc<Cell<usize>>);

impl Deaths {
    /// The number of dropped guards.
    pub fn count(&self) -> usize {
        self.0.get()
    }

    /// A value whose drop is counted.
    pub fn guard(&self) -> impl Sized + use<> {
        let deaths = self.clone();
        on_drop(move || deaths.0.set(deaths.0.get() + 1))
    }
}

impl Deref for Deaths {
    type Target = Rc<Cell<usize>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Runs code when it is dropped.
pub fn on_drop<F: FnOnce()>(code: F) -> OnDrop<F> {
    OnDrop(Some(code))
}

/// The value of [`on_drop`].
pub struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(code) = self.0.take() {
            code();
        }
    }
}

impl<F: FnOnce()> fmt::Debug for OnDrop<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnDrop")
    }
}

/// A buffer that counts its drop.
#[derive(Debug)]
pub struct Canary {
    bytes: Vec<u8>,
    deaths: Rc<Cell<usize>>,
}

impl Canary {
    /// An empty buffer with room for 64 bytes.
    pub fn new(deaths: &Rc<Cell<usize>>) -> Self {
        Self::holding(Vec::with_capacity(64), deaths)
    }

    /// A buffer with these bytes.
    pub fn holding(bytes: Vec<u8>, deaths: &Rc<Cell<usize>>) -> Self {
        let deaths = Rc::clone(deaths);
        Self { bytes, deaths }
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.deaths.set(self.deaths.get() + 1);
    }
}

// SAFETY: the vector's contract is this type's.
unsafe impl IoBuf for Canary {
    fn as_init(&self) -> &[u8] {
        self.bytes.as_init()
    }

    fn buf_capacity(&self) -> usize {
        self.bytes.buf_capacity()
    }
}

// SAFETY: the vector's contract is this type's.
unsafe impl IoBufMut for Canary {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: passed on from this function.
        unsafe { self.bytes.as_uninit() }
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: passed on from this function.
        unsafe { self.bytes.set_init(len) };
    }
}

/// Bytes that identify their position.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 31 % 251) as u8).collect()
}

/// Bytes as the lengths of their runs, in order.
#[derive(Debug, Default)]
pub struct Runs(Vec<(u8, usize)>);

impl Runs {
    /// Most blocks have one value: comparing single bytes is slow in unoptimised builds.
    const BLOCK: usize = 500;

    /// Appends bytes.
    pub fn extend(&mut self, bytes: &[u8]) {
        for block in bytes.chunks(Self::BLOCK) {
            if *block == [block[0]; Self::BLOCK][..block.len()] {
                self.add(block[0], block.len());
            } else {
                block.iter().for_each(|byte| self.add(*byte, 1));
            }
        }
    }

    fn add(&mut self, byte: u8, count: usize) {
        match self.0.last_mut() {
            Some((last, len)) if *last == byte => *len += count,
            _ => self.0.push((byte, count)),
        }
    }

    /// Each byte with the length of its run.
    pub fn into_vec(self) -> Vec<(u8, usize)> {
        self.0
    }
}
