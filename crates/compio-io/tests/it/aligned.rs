//! Buffers at aligned addresses.

use std::panic;

use compio_io::{
    buf::{Aligned, IntoInner, IoBuf, IoBufMut},
    io::{AsyncRead, AsyncReadAt},
};
use proptest::prelude::*;

#[test]
fn first_byte_has_each_alignment_before_and_after_growth() {
    for alignment in [1, 2, 64, 512, 4096, 1 << 16] {
        let mut buffer = Aligned::with_capacity(1, alignment);
        for len in [1, alignment, 3 * alignment + 1] {
            buffer.resize(len, 7);
            assert!(buffer.as_ptr().addr().is_multiple_of(alignment));
            assert!(buffer.capacity().is_multiple_of(alignment));
            assert_eq!((buffer.alignment(), buffer.len()), (alignment, len));
            assert!(buffer.iter().all(|byte| *byte == 7));
        }
    }
}

#[test]
fn empty_buffer_is_aligned_and_grows() {
    let mut buffer = Aligned::with_capacity(0, 4096);
    assert_eq!((buffer.capacity(), buffer.len()), (0, 0));
    assert!(buffer.as_ptr().addr().is_multiple_of(4096));
    assert!(buffer.clone().is_empty());
    buffer.extend_from_slice(b"abc");
    assert_eq!(buffer[..], *b"abc");
    assert_eq!(buffer.capacity(), 4096);
}

#[test]
fn copy_keeps_bytes_and_alignment() {
    let mut buffer = Aligned::with_capacity(8192, 4096);
    buffer.extend_from_slice(b"abc");
    let mut copy = buffer.clone();
    copy[0] = b'x';
    assert_eq!((&buffer[..], &copy[..]), (&b"abc"[..], &b"xbc"[..]));
    assert_eq!((copy.alignment(), copy.capacity()), (4096, 4096));
    assert_eq!(format!("{copy:?}"), format!("{:?}", b"xbc"));
}

#[test]
fn read_fills_capacity_and_sets_length() {
    pollster::block_on(async {
        let mut source: &[u8] = &[7; 600];
        let (read, buffer) = source.read(Aligned::with_capacity(300, 512)).await;
        assert_eq!(read.unwrap(), 512);
        assert_eq!(buffer[..], [7; 512]);
        let (read, buffer) = source.read(buffer).await;
        assert_eq!((read.unwrap(), buffer.len()), (88, 88));
    });
}

#[test]
fn slices_are_parts_of_the_block() {
    pollster::block_on(async {
        let start = Aligned::zeroed(1024, 512).slice(512..);
        assert!(start.as_ptr().addr().is_multiple_of(512));
        let mut buffer = Aligned::with_capacity(1024, 512);
        buffer.extend_from_slice(b"ab");
        let (read, window) = b"xyz".read_at(buffer.slice(2..4), 0).await;
        assert_eq!(read.unwrap(), 2);
        assert_eq!(window.into_inner()[..], *b"abxy");
    });
}

#[test]
fn shorter_buffers_keep_their_capacity() {
    let mut buffer = Aligned::zeroed(600, 512);
    buffer.truncate(700);
    assert_eq!(buffer.len(), 600);
    buffer.truncate(2);
    assert_eq!((&buffer[..], buffer.capacity()), (&[0, 0][..], 1024));
    buffer.clear();
    assert_eq!((buffer.len(), buffer.capacity()), (0, 1024));
    assert_eq!(buffer.spare_capacity_mut().len(), 1024);
}

#[test]
fn invalid_layouts_panic() {
    let message = |capacity, alignment| {
        let made = panic::catch_unwind(|| Aligned::with_capacity(capacity, alignment));
        *made.unwrap_err().downcast::<String>().unwrap()
    };
    assert_eq!(message(1, 0), "the alignment 0 is not a power of two");
    assert_eq!(message(1, 12), "the alignment 12 is not a power of two");
    assert!(message(isize::MAX as usize, 4096).starts_with("capacity overflow"));
    let mut buffer = Aligned::zeroed(1, 1);
    panic::catch_unwind(move || buffer.reserve(usize::MAX)).unwrap_err();
}

#[test]
fn buffers_move_to_other_threads() {
    let buffer = Aligned::zeroed(3, 64);
    let sum = |buffer: &Aligned| buffer.iter().copied().map(u32::from).sum::<u32>();
    std::thread::scope(|scope| scope.spawn(|| assert_eq!(sum(&buffer), 0)).join()).unwrap();
    std::thread::spawn(move || drop(buffer)).join().unwrap();
}

proptest! {
    #[test]
    fn changes_have_the_effects_of_a_vector(
        changes in proptest::collection::vec((0..5_u8, 0..100_usize, any::<u8>()), 0..40)
    ) {
        let (mut buffer, mut model) = (Aligned::with_capacity(0, 32), Vec::new());
        for (change, len, value) in changes {
            let bytes = vec![value; len];
            match change {
                0 => {
                    buffer.extend_from_slice(&bytes);
                    model.extend_from_slice(&bytes);
                }
                1 => {
                    buffer.resize(len, value);
                    model.resize(len, value);
                }
                2 => {
                    buffer.truncate(len);
                    model.truncate(len);
                }
                3 => {
                    buffer.reserve(len);
                    prop_assert!(buffer.capacity() >= buffer.len() + len);
                }
                _ => {
                    buffer = buffer.clone();
                }
            }
            prop_assert_eq!(&buffer[..], &model[..]);
        }
    }
}
