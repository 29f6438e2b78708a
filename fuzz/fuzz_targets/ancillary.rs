//! `SocketAncillary`: unusual control bytes.

#![no_main]

use std::{fs::File, os::fd::OwnedFd};

use compio_driver::ancillary::{AncillaryData, SocketAncillary};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};

#[derive(Arbitrary, Debug)]
struct Input {
    bytes: Vec<u8>,
    messages: Vec<Message>,
    /// Positions of changed bytes in the encoded messages, with the new values.
    flaws: Vec<(u16, u8)>,
    cut: u16,
    has_descriptor: bool,
}

#[derive(Arbitrary, Debug)]
struct Message {
    /// A known level and kind, or arbitrary ones.
    level_and_kind: (u8, i32, i32),
    data: Vec<u8>,
}

impl Message {
    fn level_and_kind(&self) -> (i32, i32) {
        // Linux's numbers; elsewhere any numbers serve.
        const KNOWN: [(i32, i32); 8] = [
            (0, 8),
            (41, 50),
            (0, 1),
            (41, 67),
            (17, 103),
            (17, 104),
            (1, 2),
            (1, 1),
        ];
        let (index, level, kind) = self.level_and_kind;
        KNOWN
            .get(usize::from(index))
            .copied()
            .unwrap_or((level, kind))
    }
}

fn check_any(bytes: &[u8], has_descriptor: bool) {
    let descriptor = has_descriptor.then(|| File::open("/dev/null").expect("it is always there"));
    let descriptors = descriptor.map(OwnedFd::from).into_iter().collect();
    let mut ancillary = SocketAncillary::made_of(bytes, descriptors);
    assert_eq!(ancillary.len(), bytes.len());
    let told = format!("{:?}", ancillary.messages().collect::<Vec<_>>());
    assert!(format!("{ancillary:?}").contains(&told));
    let data_len: usize = ancillary
        .messages()
        .map(|message| match message {
            AncillaryData::Other { data, .. } => data.len(),
            _ => 0,
        })
        .sum();
    assert!(data_len <= bytes.len());

    // Descriptors aside, the others are the same.
    assert_eq!(
        ancillary.take_descriptors().len(),
        usize::from(has_descriptor)
    );
    assert!(ancillary.descriptors().is_empty());
    assert_eq!(
        format!("{:?}", ancillary.messages().collect::<Vec<_>>()),
        told
    );
}

fuzz_target!(|input: Input| {
    check_any(&input.bytes, input.has_descriptor);

    // All added messages are there, in order.
    let mut ancillary = SocketAncillary::new();
    let mut space = 0;
    for message in &input.messages {
        let ((level, kind), data) = (message.level_and_kind(), &message.data[..]);
        let before = ancillary.len();
        match ancillary.add(AncillaryData::Other { level, kind, data }) {
            Ok(()) => space += SocketAncillary::space(data.len()),
            Err(_) => assert_eq!(ancillary.len(), before),
        }
    }
    assert_eq!(ancillary.len(), space);
    let messages: Vec<_> = ancillary.messages().collect();
    let mut again = SocketAncillary::new();
    for &message in &messages {
        again.add(message).expect("it came out, so it goes in");
    }
    assert_eq!(again.messages().collect::<Vec<_>>(), messages);

    // The same with changed bytes: closer to valid input than random bytes.
    let mut bytes = compio_io::buf::IoBuf::as_init(&ancillary).to_vec();
    for &(place, byte) in &input.flaws {
        if let Some(flawed) = bytes.get_mut(usize::from(place)) {
            *flawed = byte;
        }
    }
    bytes.truncate(input.cut.into());
    check_any(&bytes, input.has_descriptor);
});
