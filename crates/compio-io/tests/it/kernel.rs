//! The addresses of buffers stay valid after the call: a simulated kernel reads
//! and writes there while no borrow of the value exists. Written for Miri, which
//! checks pointers; the tests also hold without it.

use std::{rc::Rc, sync::Arc};

use compio_io::buf::{IntoInner, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};

use crate::script::vec_of;

/// Keeps addresses only, as a kernel does.
struct Kernel(Vec<(*mut u8, usize)>);

impl Kernel {
    /// Writes 1, 2, 3 … over all the room.
    fn fill(&self) -> Vec<u8> {
        let total = self.0.iter().map(|&(_, len)| len).sum::<usize>();
        let content: Vec<u8> = (1..=total).map(|n| n as u8).collect();
        let mut rest = &content[..];
        for &(start, len) in &self.0 {
            let (now, later) = rest.split_at(len);
            // SAFETY: the contract of the buffer traits.
            unsafe { start.copy_from_nonoverlapping(now.as_ptr(), len) };
            rest = later;
        }
        content
    }

    fn gather(&self) -> Vec<u8> {
        // SAFETY: the contract of the buffer traits.
        let slice = |&(start, len): &(*mut u8, usize)| unsafe {
            std::slice::from_raw_parts(start.cast_const(), len)
        };
        self.0.iter().map(slice).collect::<Vec<_>>().concat()
    }
}

fn check_read<B: IoBufMut>(buf: B) {
    // A place that does not move; the buffer is there before its address is taken.
    let mut cell = Box::new(buf);
    // SAFETY: nothing is written here.
    let room = unsafe { (*cell).as_uninit() };
    let kernel = Kernel(vec![(room.as_mut_ptr().cast(), room.len())]);
    let content = kernel.fill();
    // SAFETY: all of the capacity has been written.
    unsafe { (*cell).set_init(content.len()) };
    let buf = *cell;
    assert_eq!(buf.as_init(), content);
}

fn check_write<B: IoBuf>(buf: B) {
    let cell = Box::new(buf);
    let bytes = (*cell).as_init();
    let kernel = Kernel(vec![(bytes.as_ptr().cast_mut(), bytes.len())]);
    assert_eq!(kernel.gather(), b"abc");
    drop(*cell);
}

fn check_scatter<V: IoVectoredBufMut>(buf: V) {
    let mut cell = Box::new(buf);
    // SAFETY: nothing is written here.
    let rooms = unsafe { cell.uninit_slices() };
    let kernel = Kernel(
        rooms
            .map(|room| (room.as_mut_ptr().cast(), room.len()))
            .collect(),
    );
    let content = kernel.fill();
    // SAFETY: all of the capacities has been written.
    unsafe { cell.set_init(content.len()) };
    let buf = *cell;
    assert_eq!(buf.slices().collect::<Vec<_>>().concat(), content);
}

fn check_gather<V: IoVectoredBuf>(buf: V) {
    let cell = Box::new(buf);
    let slices = cell.slices();
    let kernel = Kernel(slices.map(|s| (s.as_ptr().cast_mut(), s.len())).collect());
    assert_eq!(kernel.gather(), b"abcdef");
    drop(*cell);
}

#[test]
fn filled_behind_its_back() {
    check_read(vec_of(b"abc", 8));
    check_read(Vec::new());
    check_read(*b"abc");
    check_read(Box::<[u8]>::from(*b"abc"));
    check_read(Box::new(*b"abc"));
    check_read(Box::new(vec_of(b"abc", 8)) as Box<dyn IoBufMut>);
    #[cfg(feature = "bytes")]
    {
        let mut buffer = bytes::BytesMut::with_capacity(16);
        buffer.extend_from_slice(b"abcdef");
        let head = buffer.split_to(4);
        check_read(buffer);
        check_read(head);
    }
}

#[test]
fn read_behind_its_back() {
    check_write("abc");
    check_write(b"abc");
    check_write(*b"abc");
    check_write(String::from("abc"));
    check_write(vec_of(b"abc", 8));
    check_write(vec_of(b"_abc_", 8).slice(1..4));
    check_write(Box::<[u8]>::from(*b"abc"));
    check_write(Box::new("abc") as Box<dyn IoBuf>);
    check_write(Rc::<[u8]>::from(*b"abc"));
    check_write(Arc::<[u8]>::from(*b"abc"));
    #[cfg(feature = "bytes")]
    check_write(bytes::Bytes::from(b"_abc".to_vec()).split_off(1));
}

#[test]
fn scattered_over_behind_its_back() {
    check_scatter(vec![[0; 2], [0; 2]]);
    check_scatter([vec_of(b"", 2), vec_of(b"ab", 4)]);
    check_scatter(vec![Box::<[u8]>::from(*b"ab"); 3].into_boxed_slice());
    check_scatter((vec_of(b"ab", 4), *b"ab", Box::new(*b"abc")));
}

#[test]
fn gathered_behind_its_back() {
    check_gather([*b"abc", *b"def"]);
    check_gather(vec![String::from("abc"), String::from("def")]);
    check_gather(("ab", *b"cd", vec_of(b"ef", 8)));
}

#[test]
fn window_filled_behind_its_back() {
    let mut cell = Box::new(vec_of(b"abc", 8).slice(2..6));
    // SAFETY: nothing is written here.
    let room = unsafe { cell.as_uninit() };
    let content = Kernel(vec![(room.as_mut_ptr().cast(), room.len())]).fill();
    // SAFETY: all of the capacity has been written.
    unsafe { cell.set_init(content.len()) };
    assert_eq!((*cell).into_inner(), b"ab\x01\x02\x03\x04");
}
