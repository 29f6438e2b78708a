//! Parsing ancillary data with arbitrary content.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::{any, prop_assert_eq, proptest};

use super::{AncillaryData, Messages, PacketInfo, SocketAncillary};

fn other(kind: i32, data: &[u8]) -> AncillaryData<'_> {
    AncillaryData::Other {
        level: 4711,
        kind,
        data,
    }
}

proptest! {
    /// Untrusted bytes may be parsed or not, but all pieces lie within them.
    #[test]
    fn pieces_of_any_bytes_lie_within_them(bytes: Vec<u8>) {
        let range = bytes.as_ptr_range();
        for message in Messages(&bytes) {
            let piece = message.data.as_ptr_range();
            assert!(range.start <= piece.start && piece.end <= range.end);
        }
    }

    /// The same with lengths that are nearly right.
    #[test]
    fn wrong_lengths_are_parsed_without_a_panic(
        pieces: Vec<Vec<u8>>,
        place in any::<proptest::sample::Index>(),
        value: u8,
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut ancillary = SocketAncillary::new();
        for piece in &pieces {
            ancillary.add(other(1, piece)).unwrap();
        }
        let mut bytes = ancillary.bytes.clone();
        if bytes.is_empty() {
            return Ok(());
        }
        let place = place.index(bytes.len());
        bytes[place] = value;
        bytes.truncate(cut.index(bytes.len()));
        assert!(Messages(&bytes).count() <= bytes.len());
    }

    #[test]
    fn added_messages_are_parsed(pieces: Vec<Vec<u8>>) {
        let mut ancillary = SocketAncillary::new();
        for (kind, piece) in (0..).zip(&pieces) {
            ancillary.add(other(kind, piece)).unwrap();
        }
        let expected: usize = pieces.iter().map(|piece| SocketAncillary::space(piece.len())).sum();
        prop_assert_eq!(ancillary.len(), expected);
        let expected: Vec<_> = (0..).zip(&pieces).map(|(kind, piece)| other(kind, piece)).collect();
        prop_assert_eq!(ancillary.messages().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn each_kind_round_trips_or_is_unsupported() {
    let from = |address| {
        AncillaryData::PacketInfo(PacketInfo {
            address,
            interface: 3,
        })
    };
    let kinds = [
        from(Ipv4Addr::LOCALHOST.into()),
        from(Ipv6Addr::LOCALHOST.into()),
        AncillaryData::Tos(2),
        AncillaryData::Tos(0xb9),
        AncillaryData::TrafficClass(1),
        AncillaryData::TrafficClass(0xb9),
        AncillaryData::SegmentSize(1200),
        other(5, b"anything else"),
    ];
    for kind in kinds {
        let mut ancillary = SocketAncillary::new();
        match ancillary.add(kind) {
            Ok(()) => assert_eq!(ancillary.messages().collect::<Vec<_>>(), [kind]),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
                assert!(ancillary.is_empty());
            }
        }
    }
}

#[test]
fn data_that_is_too_short_is_returned_as_other() {
    let mut ancillary = SocketAncillary::new();
    let kinds = [
        AncillaryData::TrafficClass(1),
        AncillaryData::SegmentSize(1200),
        AncillaryData::PacketInfo(PacketInfo {
            address: Ipv6Addr::LOCALHOST.into(),
            interface: 1,
        }),
    ];
    for kind in kinds {
        ancillary.clear();
        if ancillary.add(kind).is_err() {
            continue;
        }
        let bytes = ancillary.bytes.clone();
        for len in super::DATA_OFFSET..super::DATA_OFFSET + 2 {
            // The data is truncated there.
            ancillary.bytes = bytes[..len].to_vec();
            let told: Vec<_> = ancillary.messages().collect();
            assert!(
                matches!(told[..], [AncillaryData::Other { .. }]),
                "{told:?}"
            );
        }
    }
}
