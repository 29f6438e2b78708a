//! Slices of one buffer.

use compio_io::{
    buf::{IntoInner, IoBuf, IoBufMut},
    io::AsyncRead,
};
use proptest::{prop_assert_eq, proptest};

use crate::script::{bytes, config, vec_of};

#[test]
fn ranges_of_every_kind() {
    let window = |begin, end| {
        move |w: compio_io::buf::Slice<Vec<u8>>| {
            assert_eq!((w.begin(), w.end()), (begin, end));
            assert_eq!(w.as_inner(), b"abcd");
        }
    };
    let buffer = || vec_of(b"abcd", 8);
    window(0, 8)(buffer().slice(..));
    window(1, 8)(buffer().slice(1..));
    window(0, 6)(buffer().slice(..6));
    window(0, 7)(buffer().slice(..=6));
    window(2, 3)(buffer().slice(2..=2));
    window(4, 4)(buffer().slice(4..4));
    window(4, 8)(buffer().slice((std::ops::Bound::Excluded(3), std::ops::Bound::Unbounded)));
}

#[test]
fn window_into_the_capacity_shows_the_initialised_part() {
    let window = vec_of(b"abcd", 8).slice(2..6);
    assert_eq!(&window[..], b"cd");
    assert_eq!(window.as_ref(), b"cd");
    assert_eq!((window.buf_len(), window.buf_capacity()), (2, 4));
    assert!(vec_of(b"abcd", 8).slice(4..).is_empty());
}

#[test]
#[should_panic(expected = "slice begins at 5, behind the 4 initialised bytes")]
fn beginning_behind_the_initialised_bytes_panics() {
    vec_of(b"abcd", 8).slice(5..);
}

#[test]
#[should_panic(expected = "slice ends at 9, behind the capacity of 8")]
fn ending_behind_the_capacity_panics() {
    vec_of(b"abcd", 8).slice(..9);
}

#[test]
#[should_panic(expected = "slice ends at 4, behind the capacity of 3")]
fn ending_behind_a_read_only_buffer_panics() {
    "abc".slice(..4);
}

#[test]
#[should_panic(expected = "slice begins at 3 but ends at 2")]
#[expect(clippy::reversed_empty_ranges, reason = "the tested case")]
fn ending_before_the_beginning_panics() {
    vec_of(b"abcd", 8).slice(3..2);
}

#[test]
#[should_panic(expected = "slice ends behind usize::MAX")]
fn ending_behind_the_address_space_panics() {
    vec_of(b"abcd", 8).slice(..=usize::MAX);
}

#[test]
fn window_changes_initialised_bytes_in_place() {
    let mut window = vec_of(b"abcd", 8).slice(2..6);
    window.make_ascii_uppercase();
    window.as_mut()[0] = b'_';
    assert_eq!(&window[..], b"_D");
    assert_eq!(window.into_inner(), b"ab_D");
}

#[test]
fn read_into_a_window_of_a_fixed_buffer() {
    let mut source: &[u8] = b"xyz";
    let (read, window) = pollster::block_on(source.read((*b"abcdef").slice(2..4)));
    assert_eq!(read.unwrap(), 2);
    assert_eq!(&window.into_inner(), b"abxyef");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn filling_a_window_touches_nothing_else(
        content in bytes(40),
        spare in 0usize..40,
        begin in 0usize..50,
        len in 0usize..50,
        payload in bytes(50),
    ) {
        let buffer = vec_of(&content, content.len() + spare);
        let capacity = buffer.capacity();
        let begin = begin.min(content.len());
        let end = (begin + len).min(capacity);

        let mut model = content.clone();
        let filled = payload.len().min(end - begin);
        model.resize(model.len().max(begin + filled), 0);
        model[begin..begin + filled].copy_from_slice(&payload[..filled]);

        let mut window = buffer.slice(begin..end);
        prop_assert_eq!(&window[..], &content[begin..end.min(content.len())]);
        prop_assert_eq!(window.init_from(&payload), filled);
        prop_assert_eq!(&window[..], &model[begin..end.min(model.len())]);
        prop_assert_eq!(window.into_inner(), model);
    }

    #[test]
    fn a_window_of_a_window_is_a_window(
        content in bytes(40),
        spare in 0usize..20,
        (outer, inner) in (0usize..30, 0usize..30),
        (outer_len, inner_len) in (0usize..30, 0usize..30),
        payload in bytes(40),
    ) {
        let capacity = content.len() + spare;
        let outer = outer.min(content.len());
        let outer_end = (outer + outer_len).min(capacity);
        let inner = inner.min(outer_end.min(content.len()) - outer);
        let inner_end = (inner + inner_len).min(outer_end - outer);

        let mut nested = vec_of(&content, capacity)
            .slice(outer..outer_end)
            .slice(inner..inner_end);
        let mut flat = vec_of(&content, capacity).slice(outer + inner..outer + inner_end);
        prop_assert_eq!(&nested[..], &flat[..]);
        prop_assert_eq!(nested.buf_capacity(), flat.buf_capacity());
        prop_assert_eq!(nested.init_from(&payload), flat.init_from(&payload));
        prop_assert_eq!(nested.into_inner().into_inner(), flat.into_inner());
    }
}
