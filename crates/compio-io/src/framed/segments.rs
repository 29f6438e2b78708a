//! [`Segments`]: the bytes between delimiters, for the codecs of lines and of
//! other delimiters.

use bytes::{Buf, BytesMut};

use crate::framed::CodecError;

/// The state of the search for the next delimiter.
#[derive(Clone, Debug)]
pub(super) struct Segments {
    len_max: usize,
    // The first bytes of the buffer, this many, contain no delimiter.
    searched: usize,
    // The segment was too long, and its end has not arrived yet.
    skipping: bool,
}

impl Segments {
    pub(super) fn new(len_max: usize) -> Self {
        Self {
            len_max,
            searched: 0,
            skipping: false,
        }
    }

    pub(super) fn len_max(&self) -> usize {
        self.len_max
    }

    /// The next segment without its delimiter, which is removed as well.
    ///
    /// A segment beyond the limit is an error, once. The following calls skip it.
    pub(super) fn next(
        &mut self,
        src: &mut BytesMut,
        ends: impl Fn(u8) -> bool,
    ) -> Result<Option<BytesMut>, CodecError> {
        if self.skipping {
            let Some(end) = src.iter().position(|&byte| ends(byte)) else {
                src.clear();
                return Ok(None);
            };
            src.advance(end + 1);
            self.skipping = false;
        }
        // A segment as long as allowed has its delimiter just behind.
        let bound = src.len().min(self.len_max.saturating_add(1));
        let begin = self.searched.min(bound);
        let found = src[begin..bound].iter().position(|&byte| ends(byte));
        self.searched = 0;
        if let Some(offset) = found {
            let segment = src.split_to(begin + offset);
            src.advance(1);
            Ok(Some(segment))
        } else if src.len() > self.len_max {
            self.skipping = true;
            Err(CodecError::TooLong)
        } else {
            self.searched = bound;
            Ok(None)
        }
    }

    /// The rest at EOF, after [`next`](Self::next) has found no segment.
    pub(super) fn last(&mut self, src: &mut BytesMut) -> Option<BytesMut> {
        self.searched = 0;
        // The skipped bytes are gone already.
        self.skipping = false;
        (!src.is_empty()).then(|| src.split())
    }
}
