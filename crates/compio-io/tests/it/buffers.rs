//! Each type that is a buffer keeps the contract of the traits.

use std::{io, rc::Rc, sync::Arc};

use compio_io::buf::{Aligned, BufResult, BufResultExt, IntoInner, IoBuf, IoBufMut};

use crate::script::vec_of;

fn check_readable<B: IoBuf>(buf: B, content: &[u8]) {
    assert_eq!(buf.as_init(), content);
    assert_eq!(buf.buf_len(), content.len());
    assert_eq!(buf.as_init().as_ptr(), buf.as_init().as_ptr());
    assert!(buf.buf_capacity() >= content.len());
}

/// `after` is the content once two bytes, `xy`, were read.
fn check_fillable<B: IoBufMut>(mut buf: B, after: &[u8]) {
    let (start, capacity) = (buf.as_init().as_ptr(), buf.buf_capacity());
    let before = buf.as_init().to_vec();
    // SAFETY: nothing is written.
    let room = unsafe { buf.as_uninit() };
    assert_eq!((room.as_ptr().cast(), room.len()), (start, capacity));
    assert_eq!(buf.as_init(), before);
    assert_eq!(buf.init_from(b"xy"), 2);
    assert_eq!(buf.as_init(), after);
    assert_eq!(buf.buf_capacity(), capacity);
    // The whole capacity is really there.
    let all = vec![7; capacity + 1];
    assert_eq!(buf.init_from(&all), capacity);
    assert_eq!(buf.as_init(), &all[..capacity]);
}

#[test]
fn read_only_buffers_show_their_bytes() {
    check_readable("abc", b"abc");
    check_readable(b"abc", b"abc");
    check_readable(&b"abc"[..], b"abc");
    check_readable(String::from("abc"), b"abc");
    check_readable(Rc::<[u8]>::from(*b"abc"), b"abc");
    check_readable(Arc::<[u8]>::from(*b"abc"), b"abc");
    check_readable(Box::new("abc"), b"abc");
    check_readable(Box::new("abc") as Box<dyn IoBuf>, b"abc");
    check_readable(String::new(), b"");
    check_readable([0u8; 0], b"");
}

#[test]
fn pointers_to_shared_buffers_show_their_bytes() {
    static STRING: String = String::new();
    let borrowed: &'static String = &STRING;
    check_readable(borrowed, b"");
    check_readable(Arc::<str>::from("abc"), b"abc");
    check_readable(Rc::<str>::from("abc"), b"abc");
    check_readable(Box::<str>::from("abc"), b"abc");
    check_readable(Arc::new(*b"abc"), b"abc");
    check_readable(Arc::new(String::from("abc")), b"abc");
    check_readable(Arc::new(vec_of(b"abc", 8)).slice(..2), b"ab");
    check_readable(Rc::new(vec_of(b"abc", 8).slice(1..)), b"bc");
    check_readable(Rc::new(Arc::new("abc")), b"abc");
    check_readable(Rc::new("abc") as Rc<dyn IoBuf>, b"abc");
    let leaked: &'static Vec<u8> = Box::leak(Box::new(vec_of(b"abc", 8)));
    check_readable(leaked, b"abc");
    // SAFETY: just leaked, and not used any more.
    drop(unsafe { Box::from_raw(std::ptr::from_ref(leaked).cast_mut()) });
}

#[test]
fn shared_vector_offers_no_room() {
    let buffer = Arc::new(vec_of(b"abc", 8));
    assert_eq!(buffer.buf_capacity(), 3);
    assert_eq!(Arc::clone(&buffer).slice(1..).as_init(), b"bc");
}

#[test]
fn moved_arc_keeps_address_of_inline_bytes() {
    let buffer = Arc::new(*b"abc");
    let start = buffer.as_init().as_ptr();
    let other = Arc::clone(&buffer);
    let moved = Box::new(buffer);
    assert_eq!(moved.as_init().as_ptr(), start);
    assert_eq!(other.as_init().as_ptr(), start);
}

#[test]
fn spare_capacity_is_behind_the_initialised_bytes() {
    let mut buffer = vec_of(b"abc", 8);
    assert_eq!(IoBufMut::spare_capacity_mut(&mut buffer).len(), 5);
    assert!(b"abc".to_owned().spare_capacity_mut().is_empty());
    let mut window = buffer.slice(1..5);
    let spare = window.spare_capacity_mut();
    assert_eq!(spare.len(), 2);
    spare[0].write(b'd');
    // SAFETY: two bytes were initialised, and the line above initialised a third.
    unsafe { window.set_init(3) };
    assert_eq!(window.into_inner(), b"abcd");
}

#[cfg(feature = "smallvec")]
#[test]
fn small_vectors_are_buffers_inline_and_on_the_heap() {
    use smallvec::SmallVec;

    let mut inline = SmallVec::<[u8; 8]>::from_slice(b"abc");
    check_readable(inline.clone(), b"abc");
    check_fillable(inline.clone(), b"xy");
    inline.reserve(64);
    assert!(inline.spilled());
    check_fillable(inline, b"xy");
}

#[cfg(feature = "arrayvec")]
#[test]
fn array_vectors_are_buffers() {
    use arrayvec::{ArrayString, ArrayVec};

    let mut buffer = ArrayVec::<u8, 8>::new();
    check_readable(buffer.clone(), b"");
    buffer.try_extend_from_slice(b"abc").unwrap();
    check_readable(buffer.clone(), b"abc");
    check_fillable(buffer, b"xy");
    check_readable(ArrayString::<8>::from("abc").unwrap(), b"abc");
}

#[cfg(feature = "memmap2")]
#[test]
fn memory_maps_are_buffers() {
    use std::io::Write;

    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"abc").unwrap();
    // SAFETY: nothing else has the file.
    check_readable(unsafe { memmap2::Mmap::map(&file) }.unwrap(), b"abc");
    // SAFETY: nothing else has the file, and the other map is gone.
    check_fillable(unsafe { memmap2::MmapMut::map_mut(&file) }.unwrap(), b"xyc");
    // SAFETY: nothing else has the file, and the other map is gone.
    check_readable(
        unsafe { memmap2::Mmap::map(&file) }.unwrap(),
        b"\x07\x07\x07",
    );
}

#[test]
fn growable_buffers_take_the_length_of_a_read() {
    check_readable(vec_of(b"abc", 8), b"abc");
    check_fillable(vec_of(b"abc", 8), b"xy");
    check_fillable(Box::new(vec_of(b"abc", 8)), b"xy");
    check_fillable(vec_of(b"", 2), b"xy");
    let mut aligned = Aligned::with_capacity(3, 16);
    aligned.extend_from_slice(b"abc");
    check_readable(aligned.clone(), b"abc");
    check_fillable(aligned, b"xy");
}

#[test]
fn fixed_buffers_keep_their_length() {
    check_fillable(*b"abc", b"xyc");
    check_fillable(Box::<[u8]>::from(*b"abc"), b"xyc");
    check_fillable(Box::new(*b"abc"), b"xyc");
    let block = Box::into_raw(Box::<[u8]>::from(*b"abc"));
    // SAFETY: just leaked, and freed only after its last use.
    check_fillable(unsafe { &mut *block }, b"xyc");
    // SAFETY: from `into_raw`, and the borrow above has ended.
    drop(unsafe { Box::from_raw(block) });
    check_fillable(Box::new(*b"abc") as Box<dyn IoBufMut>, b"xyc");
    let block = Box::into_raw(Box::new(*b"abc"));
    // SAFETY: just leaked, and freed only after its last use.
    check_fillable(unsafe { &mut *block }, b"xyc");
    // SAFETY: from `into_raw`, and the borrow above has ended.
    drop(unsafe { Box::from_raw(block) });
}

#[cfg(feature = "bytes")]
#[test]
fn bytes_are_buffers() {
    use bytes::{Bytes, BytesMut};

    check_readable(Bytes::from_static(b"abc"), b"abc");
    check_readable(Bytes::from(b"abc".to_vec()), b"abc");
    check_readable(Bytes::new(), b"");
    let mut buffer = BytesMut::with_capacity(16);
    buffer.extend_from_slice(b"__abc");
    let mut tail = buffer.split_off(2);
    check_fillable(tail.split_off(2), b"xy");
    check_fillable(tail, b"xy");
    check_fillable(buffer, b"xy");
}

#[cfg(feature = "bytes")]
#[test]
fn inherent_set_len_wins_over_the_traits() {
    let mut buffer = bytes::BytesMut::from(&b"abc"[..]);
    // SAFETY: fewer bytes than were initialised.
    unsafe { buffer.set_len(1) };
    assert_eq!(&buffer[..], b"a");
    let mut buffer = b"abc".to_vec();
    // SAFETY: fewer bytes than were initialised.
    unsafe { buffer.set_len(1) };
    assert_eq!(buffer, b"a");
}

#[test]
fn init_with_zeroes_the_rest_and_keeps_the_initialised_bytes() {
    let mut buffer = vec_of(b"abc", 5);
    let len = buffer.init_with(|room| {
        assert_eq!(room, b"abc\0\0");
        room[3] = b'd';
        Ok(4)
    });
    assert_eq!((len.unwrap(), &buffer[..]), (4, &b"abcd"[..]));
}

#[test]
fn init_with_failing_keeps_the_length() {
    let mut buffer = vec_of(b"abc", 5);
    let result = buffer.init_with(|_| Err(io::ErrorKind::TimedOut.into()));
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(buffer, b"abc");
}

#[test]
#[should_panic(expected = "6 bytes claimed to be written into room for 5")]
fn s21_init_with_claiming_too_much_panics() {
    let _ = vec_of(b"abc", 5).init_with(|_| Ok(6));
}

#[test]
fn results_are_mapped_and_transposed() {
    let ok = || -> BufResult<usize, &str> { (Ok(1), "buf") };
    let failed = || -> BufResult<usize, &str> { (Err(io::ErrorKind::NotFound.into()), "buf") };
    assert_eq!(ok().transpose().unwrap(), (1, "buf"));
    assert_eq!(
        failed().transpose().unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
    assert_eq!(ok().map_ok(|n| n + 1).transpose().unwrap(), (2, "buf"));
    assert_eq!(failed().map_ok(|n| n + 1).1, "buf");
    assert_eq!(failed().map_buf(str::len).1, 3);
    assert_eq!(ok().map_buf(|buf| buf.slice(1..).into_inner()).1, "buf");
}
