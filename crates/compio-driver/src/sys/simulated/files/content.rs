//! The content of a file: pages in the cache, and the durable ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

const PAGE: usize = 4096;

type Page = [u8; PAGE];

/// A page that is missing has only zeros.
#[derive(Debug, Default)]
pub(super) struct Content {
    cache: Image,
    durable: Image,
    /// The pages in which the images may differ.
    dirty: BTreeSet<u64>,
}

/// Pages by their numbers. Both images share the pages in which they are equal.
#[derive(Debug, Default)]
struct Image {
    pages: BTreeMap<u64, Rc<Page>>,
    len: u64,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.cache.len
    }

    /// At most `max` bytes from the offset on.
    pub(super) fn read(&self, offset: u64, max: usize) -> Vec<u8> {
        let left = self.cache.len.saturating_sub(offset);
        let len = left.min(max as u64) as usize;
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let (page, start, part) = place(offset + bytes.len() as u64, len - bytes.len());
            match self.cache.pages.get(&page) {
                Some(page) => bytes.extend_from_slice(&page[start..start + part]),
                None => bytes.resize(bytes.len() + part, 0),
            }
        }
        bytes
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        let mut rest = bytes;
        let mut at = offset;
        while !rest.is_empty() {
            let (page, start, part) = place(at, rest.len());
            let (now, later) = rest.split_at(part);
            self.page(page)[start..start + part].copy_from_slice(now);
            at += part as u64;
            rest = later;
        }
        self.cache.len = self.cache.len.max(at);
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.cache.len {
            let first_gone = len.div_ceil(PAGE as u64);
            let gone = self.cache.pages.split_off(&first_gone);
            self.dirty.extend(gone.into_keys());
            let start = (len % PAGE as u64) as usize;
            let last = len / PAGE as u64;
            if start > 0 && self.cache.pages.contains_key(&last) {
                self.page(last)[start..].fill(0);
            }
        }
        self.cache.len = len;
    }

    /// A page of the cache, to be changed.
    fn page(&mut self, number: u64) -> &mut Page {
        self.dirty.insert(number);
        let page = self.cache.pages.entry(number);
        Rc::make_mut(page.or_insert_with(|| Rc::new([0; PAGE])))
    }

    pub(super) fn sync(&mut self) {
        for number in std::mem::take(&mut self.dirty) {
            match self.cache.pages.get(&number) {
                Some(page) => self.durable.pages.insert(number, Rc::clone(page)),
                None => self.durable.pages.remove(&number),
            };
        }
        self.durable.len = self.cache.len;
    }

    pub(super) fn lose_unsynced(&mut self) {
        for number in std::mem::take(&mut self.dirty) {
            match self.durable.pages.get(&number) {
                Some(page) => self.cache.pages.insert(number, Rc::clone(page)),
                None => self.cache.pages.remove(&number),
            };
        }
        self.cache.len = self.durable.len;
    }
}

/// The page of an offset, the place inside of it, and the part of `len` bytes that is inside.
fn place(offset: u64, len: usize) -> (u64, usize, usize) {
    let start = (offset % PAGE as u64) as usize;
    (offset / PAGE as u64, start, len.min(PAGE - start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_across_pages_is_read_back() {
        let mut content = Content::default();
        let bytes: Vec<u8> = (0..3 * PAGE).map(|at| (at / 7) as u8).collect();
        content.write(100, &bytes);
        assert_eq!(content.len(), 100 + bytes.len() as u64);
        assert_eq!(content.read(0, 100), [0; 100]);
        assert_eq!(content.read(100, usize::MAX), bytes);
    }

    #[test]
    fn extension_after_a_truncation_has_zeros() {
        let mut content = Content::default();
        content.write(0, &[7; 2 * PAGE]);
        content.set_len(10);
        content.set_len(2 * PAGE as u64);
        let mut expected = vec![0; 2 * PAGE];
        expected[..10].fill(7);
        assert_eq!(content.read(0, usize::MAX), expected);
    }

    #[test]
    fn unsynced_changes_are_lost() {
        let mut content = Content::default();
        content.write(0, b"durable");
        content.sync();
        content.write(0, b"changed, and longer");
        content.write(5 * PAGE as u64, b"far");
        content.lose_unsynced();
        assert_eq!(content.read(0, usize::MAX), b"durable");
        content.set_len(3);
        content.sync();
        content.lose_unsynced();
        assert_eq!(content.read(0, usize::MAX), b"dur");
    }
}
