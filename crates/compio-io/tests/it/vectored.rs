//! Vectored buffers, and readers and writers without vectored operations.

use compio_io::{
    buf::{IntoInner, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut, VectoredSlice},
    io::{AsyncRead, AsyncReadAt, AsyncWrite, AsyncWriteAt},
};
use pollster::block_on;
use proptest::{collection::vec, prop_assert_eq, proptest};

use crate::script::{Scripted, ScriptedFile, Step, bytes, config, vec_of};

fn check_gathers<V: IoVectoredBuf>(buffers: V, content: &[&[u8]]) {
    assert_eq!(buffers.slices().collect::<Vec<_>>(), content);
    assert_eq!(buffers.total_len(), content.concat().len());
}

#[test]
fn collections_and_tuples_gather_in_order() {
    check_gathers(vec!["ab", "", "c"], &[b"ab", b"", b"c"]);
    check_gathers(["ab", "c"], &[b"ab", b"c"]);
    check_gathers(vec!["ab", "c"].into_boxed_slice(), &[b"ab", b"c"]);
    check_gathers(Vec::<String>::new(), &[]);
    check_gathers(("ab",), &[b"ab"]);
    check_gathers(("ab", *b"c"), &[b"ab", b"c"]);
    check_gathers(("ab", *b"c", String::from("d")), &[b"ab", b"c", b"d"]);
    check_gathers(("a", "b", "c", vec![b'd']), &[b"a", b"b", b"c", b"d"]);
    let twelve = ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", *b"l");
    assert_eq!(
        twelve.slices().collect::<Vec<_>>().concat(),
        b"abcdefghijkl"
    );
    check_gathers(&["ab", "c"][..], &[b"ab", b"c"]);
    check_gathers(
        std::sync::Arc::from(["ab", "c"]) as std::sync::Arc<[_]>,
        &[b"ab", b"c"],
    );
    check_gathers(
        std::rc::Rc::from(["ab", "c"]) as std::rc::Rc<[_]>,
        &[b"ab", b"c"],
    );
}

#[test]
fn scattering_sets_the_length_of_every_buffer() {
    let mut buffers = (
        vec_of(b"__", 3),
        *b"____",
        vec_of(b"_", 3).slice(1..),
        vec_of(b"__", 9),
    );
    assert_eq!(buffers.total_capacity(), 3 + 4 + 2 + 9);
    assert_eq!(buffers.init_from(b"abcde"), 5);
    assert_eq!(buffers.0, b"abc");
    assert_eq!(&buffers.1, b"de__");
    assert_eq!(buffers.2.into_inner(), b"_");
    assert_eq!(buffers.3, b"");
}

#[test]
fn scattering_more_than_fits_fills_all() {
    let mut buffers = [[0; 2], [0; 2]];
    assert_eq!(buffers.init_from(b"abcdef"), 4);
    assert_eq!(buffers, [*b"ab", *b"cd"]);
    let mut buffers = vec![Vec::new(), vec_of(b"", 2)].into_boxed_slice();
    assert_eq!(buffers.init_from(b"abcdef"), 2);
    assert_eq!(buffers[1], b"ab");
    assert_eq!(Vec::<Vec<u8>>::new().init_from(b"abc"), 0);
}

#[test]
fn tuple_of_twelve_scatters_in_order() {
    let one = || vec_of(b"_", 1);
    let mut buffers = (
        one(),
        one(),
        one(),
        one(),
        one(),
        one(),
        one(),
        one(),
        one(),
        one(),
        one(),
        [0; 2],
    );
    assert_eq!(buffers.init_from(b"abcdefghijklm"), 13);
    assert_eq!(
        (&buffers.0[..], &buffers.10[..], &buffers.11),
        (&b"a"[..], &b"k"[..], b"lm")
    );
}

#[test]
fn skipping_everything_leaves_nothing() {
    let rest = VectoredSlice::new(["ab", "cd"], 4);
    assert_eq!((rest.slices().count(), rest.begin()), (0, 4));
    assert_eq!(rest.as_inner(), &["ab", "cd"]);
    assert_eq!(rest.into_inner(), ["ab", "cd"]);
}

#[test]
#[should_panic(expected = "slice begins at 5, behind the 4 initialised bytes")]
fn skipping_more_than_there_is_panics() {
    VectoredSlice::new(["ab", "cd"], 5);
}

#[test]
fn fallback_reads_into_the_first_buffer_with_room() {
    let mut source = Scripted::new(b"abcdef", &[Step::Move(2)]);
    let buffers = vec![Vec::new(), vec_of(b"_", 3), vec_of(b"__", 3)];
    let (read, buffers) = block_on(source.read_vectored(buffers));
    assert_eq!(read.unwrap(), 2);
    assert_eq!(buffers, [&b""[..], b"ab", b""]);
    let (read, buffers) = block_on(source.read_vectored(buffers));
    assert_eq!(read.unwrap(), 3);
    assert_eq!(buffers, [&b""[..], b"cde", b""]);
}

#[test]
fn fallback_without_any_room_reads_nothing() {
    let mut source = Scripted::new(b"abc", &[]);
    assert_eq!(block_on(source.read_vectored([[0u8; 0]; 2])).0.unwrap(), 0);
    assert_eq!(
        block_on(source.read_vectored(Vec::<Vec<u8>>::new()))
            .0
            .unwrap(),
        0
    );
    assert_eq!(source.unread(), b"abc");
}

#[test]
fn fallback_writes_the_first_buffer_with_bytes() {
    let mut sink = Scripted::sink(&[]);
    let (written, buffers) = block_on(sink.write_vectored(["", "ab", "cd"]));
    assert_eq!((written.unwrap(), buffers), (2, ["", "ab", "cd"]));
    assert_eq!(sink.bytes, b"ab");
    assert_eq!(block_on(sink.write_vectored(["", ""])).0.unwrap(), 0);
    assert_eq!(
        block_on(sink.write_vectored(Vec::<String>::new()))
            .0
            .unwrap(),
        0
    );
}

#[test]
fn fallbacks_at_a_position() {
    let file = ScriptedFile::new(b"abcdef", &[]);
    let (read, buffers) = block_on(file.read_vectored_at(([0; 2], vec_of(b"_", 4)), 1));
    assert_eq!((read.unwrap(), buffers), (2, (*b"bc", vec![])));
    assert_eq!(
        block_on(file.write_vectored_at(("", "xy"), 4)).0.unwrap(),
        2
    );
    assert_eq!(*file.bytes.borrow(), b"abcdxy");
}

#[test]
fn fallbacks_hand_the_buffers_back_on_failure() {
    let mut script = Scripted::sink(&[Step::Fail, Step::Fail]);
    let (read, buffers) = block_on(script.read_vectored([vec_of(b"ab", 4)]));
    assert!(read.is_err());
    assert_eq!(buffers, [b"ab"]);
    let (written, buffers) = block_on(script.write_vectored(["ab"]));
    assert!(written.is_err());
    assert_eq!(buffers, ["ab"]);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn skipping_is_skipping_in_the_concatenation(
        content in vec(bytes(8), 0..6),
        skip in 0usize..50,
    ) {
        let whole = content.concat();
        let skip = skip.min(whole.len());
        let rest = VectoredSlice::new(content, skip);
        prop_assert_eq!(rest.slices().collect::<Vec<_>>().concat(), &whole[skip..]);
        prop_assert_eq!(rest.total_len(), whole.len() - skip);
    }

    #[test]
    fn scattering_is_filling_one_buffer_after_the_other(
        shapes in vec((bytes(8), 0usize..8), 0..6),
        payload in bytes(60),
    ) {
        let mut buffers: Vec<Vec<u8>> = shapes
            .iter()
            .map(|(content, spare)| vec_of(content, content.len() + spare))
            .collect();
        let mut rest = &payload[..];
        let model: Vec<Vec<u8>> = buffers
            .iter()
            .map(|buffer| {
                let (now, later) = rest.split_at(buffer.capacity().min(rest.len()));
                rest = later;
                now.to_vec()
            })
            .collect();
        prop_assert_eq!(buffers.init_from(&payload), payload.len() - rest.len());
        prop_assert_eq!(buffers, model);
    }

    #[test]
    fn scattering_over_windows_touches_nothing_else(
        contents in vec(bytes(8), 1..5),
        begin in 0usize..9,
        payload in bytes(40),
    ) {
        let mut model = contents.clone();
        let mut rest = &payload[..];
        for content in &mut model {
            let begin = begin.min(content.len());
            let (now, later) = rest.split_at((content.len() - begin).min(rest.len()));
            content[begin..begin + now.len()].copy_from_slice(now);
            rest = later;
        }
        let mut windows: Vec<_> = contents
            .into_iter()
            .map(|content| {
                let begin = begin.min(content.len());
                content.into_boxed_slice().slice(begin..)
            })
            .collect();
        // SAFETY: nothing is written.
        let rooms = unsafe { windows.uninit_slices() }.map(|room| room.len());
        prop_assert_eq!(rooms.sum::<usize>(), windows.iter().map(IoBuf::buf_capacity).sum::<usize>());
        windows.init_from(&payload);
        let after: Vec<_> = windows.into_iter().map(|w| w.into_inner().into_vec()).collect();
        prop_assert_eq!(after, model);
    }
}

#[test]
fn single_and_vectored_traits_name_things_alike() {
    let mut single = [0; 3];
    let mut many = [[0; 3]];
    assert_eq!(single.init_from(b"abc"), many.init_from(b"abc"));
    assert_eq!([single], many);
}
