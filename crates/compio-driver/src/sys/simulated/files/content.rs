//! The content of a file: pages in the cache, the durable ones, and a mixture.
//!
//! The fate of each write at the next loss of power is drawn at the write. So no log of writes is necessary: the third
//! image has the sectors and the length that survive. A sector that survives has the content of the cache at that
//! write, as a page cache writes whole sectors: earlier writes to the sector survive with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    rc::Rc,
};

use super::faults::{Fate, Survivor};
use crate::sys::simulated::{injector::listed, rng::Rng};

pub(super) const PAGE: usize = 4096;

/// The unit that a disk writes as a whole.
pub(in crate::sys::simulated) const SECTOR: u64 = 512;

type Page = [u8; PAGE];

/// A page that is missing has only zeros.
#[derive(Debug, Default)]
pub(super) struct Content {
    cache: Image,
    durable: Image,
    /// The image that a loss of power leaves if it keeps a part of the unsynced changes.
    mixed: Image,
    /// The changed pages of the cache.
    dirty: BTreeSet<u64>,
    /// Pages of the cache that a failed sync has lost, and that are clean.
    lost: BTreeSet<u64>,
    /// The shortest length since `mixed` had the length of the cache, if a truncation came after.
    shortest: Option<u64>,
    /// The bad sectors.
    bad: BTreeSet<u64>,
}

/// Pages by their numbers. The images share the pages in which they are equal.
#[derive(Debug, Default, Clone)]
struct Image {
    pages: BTreeMap<u64, Rc<Page>>,
    len: u64,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.cache.len
    }

    /// The number of pages with content.
    pub(super) fn pages(&self) -> u64 {
        self.cache.pages.len() as u64
    }

    /// The number of bytes that can be written with this number of new pages.
    pub(super) fn fitting(&self, offset: u64, len: usize, free: u64) -> usize {
        let (mut fitting, mut free) = (0, free);
        while fitting < len {
            let (page, _, part) = place(offset + fitting as u64, len - fitting);
            if !self.cache.pages.contains_key(&page) {
                if free == 0 {
                    break;
                }
                free -= 1;
            }
            fitting += part;
        }
        fitting
    }

    /// At most `max` bytes from the offset on.
    pub(super) fn read(&self, offset: u64, max: usize) -> Vec<u8> {
        self.cache.read(offset, max)
    }

    /// Writes to the cache. The stream draws the fate of the write at the next loss of power.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8], rng: &mut Rng) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len() as u64;
        self.cache.write(offset, bytes);
        self.dirty
            .extend(offset / PAGE as u64..end.div_ceil(PAGE as u64));
        let sectors = offset / SECTOR..end.div_ceil(SECTOR);
        if !self.bad.is_empty() {
            self.bad.retain(|sector| !sectors.contains(sector));
        }
        let fate = rng.fate();
        if fate == Fate::Dropped {
            return;
        }
        self.keep_truncation();
        if fate == Fate::Torn {
            for sector in sectors.filter(|_| rng.coin()) {
                self.mixed.copy_sector(&self.cache, sector);
            }
            let parts = self.mixed.len / SECTOR + 1..end.div_ceil(SECTOR);
            if rng.coin() {
                self.mixed.len = self.cache.len;
            } else if !parts.is_empty() && rng.coin() {
                // An append of which the first sectors have their length.
                self.mixed.len = SECTOR * (parts.start + rng.below(parts.end - parts.start));
            }
            return;
        }
        // Whole pages are shared.
        let pages = offset.div_ceil(PAGE as u64)..end / PAGE as u64;
        for page in pages.clone() {
            self.mixed.copy_page(&self.cache, page);
        }
        for sector in sectors.filter(|sector| !pages.contains(&(sector * SECTOR / PAGE as u64))) {
            self.mixed.copy_sector(&self.cache, sector);
        }
        self.mixed.len = self.cache.len;
    }

    pub(super) fn set_len(&mut self, len: u64, rng: &mut Rng) {
        if len < self.cache.len {
            self.bad.split_off(&len.div_ceil(SECTOR));
            self.shortest = Some(self.shortest.map_or(len, |shortest| shortest.min(len)));
            self.dirty.extend(self.cache.trim(len));
        }
        self.cache.len = len;
        if rng.coin() {
            self.keep_truncation();
            self.mixed.len = len;
        }
    }

    /// A write after a truncation reaches the disk only with it: old content never appears behind it.
    fn keep_truncation(&mut self) {
        if let Some(shortest) = self.shortest.take() {
            self.mixed.trim(shortest);
            self.mixed.len = self.mixed.len.min(shortest);
        }
    }

    pub(super) fn sync(&mut self) {
        for number in mem::take(&mut self.dirty) {
            self.durable.copy_page(&self.cache, number);
            self.mixed.copy_page(&self.cache, number);
            self.lost.remove(&number);
        }
        self.shortest = None;
        for image in [&mut self.durable, &mut self.mixed] {
            if image.len > self.cache.len {
                image.trim(self.cache.len);
            }
            image.len = self.cache.len;
        }
    }

    /// A sync that fails: its pages are clean and not written. The cache has their old content again if `reverts`. The length is not
    /// lost: a later sync makes it durable.
    pub(super) fn fail_sync(&mut self, reverts: bool) {
        for number in mem::take(&mut self.dirty) {
            self.mixed.copy_page(&self.durable, number);
            if reverts {
                self.cache.copy_page(&self.durable, number);
                self.lost.remove(&number);
            } else {
                self.lost.insert(number);
            }
        }
        self.cache.trim(self.cache.len);
    }

    /// Loses unsynced changes of the file with this path, if `permits` returns true for a text about them. Returns whether one is lost.
    pub(super) fn lose_power(
        &mut self,
        survivor: Survivor,
        path: &str,
        permits: impl FnOnce(String) -> bool,
    ) -> bool {
        let mut image = self.image_after(survivor);
        let whole = self.image_after(Survivor::Cache);
        let sectors = self.lost_sectors(&image, &whole);
        let mut losses = Vec::new();
        if !sectors.is_empty() {
            losses.push(format!("sectors {}", listed(&sectors)));
        }
        if image.len != whole.len {
            losses.push(format!("length {} instead of {}", image.len, whole.len));
        }
        let text = || format!("loss of unsynced changes of {path}: {}", losses.join("; "));
        if !losses.is_empty() && !permits(text()) {
            image = whole;
        }
        let mut changed = self.dirty.iter().chain(&self.lost);
        let is_lossy = image.len != self.cache.len
            || changed.any(|page| image.pages.get(page) != self.cache.pages.get(page));
        self.dirty.clear();
        self.lost.clear();
        self.shortest = None;
        self.cache = image.clone();
        self.durable = image.clone();
        self.mixed = image;
        is_lossy
    }

    /// The content after a loss of power.
    fn image_after(&self, survivor: Survivor) -> Image {
        let mut image = match survivor {
            Survivor::Durable => self.durable.clone(),
            Survivor::Mixed => self.mixed.clone(),
            Survivor::Cache => self.cache.clone(),
        };
        for number in self.lost.difference(&self.dirty) {
            image.copy_page(&self.durable, *number);
        }
        image.trim(image.len);
        image
    }

    /// The sectors in which the images differ.
    fn lost_sectors(&self, image: &Image, whole: &Image) -> Vec<u64> {
        let sectors = self.dirty.union(&self.lost).flat_map(|page| {
            let first = page * PAGE as u64 / SECTOR;
            first..first + PAGE as u64 / SECTOR
        });
        let differ = |sector: &u64| {
            let [one, other] = [image, whole].map(|image| image.sector(*sector));
            one != other
        };
        sectors.filter(differ).collect()
    }

    /// Makes the sector of this offset a bad one.
    pub(super) fn spoil(&mut self, at: u64) {
        self.bad.insert(at / SECTOR);
    }

    /// Whether a write needs the rest of a bad sector.
    pub(super) fn needs_bad(&self, offset: u64, len: usize) -> bool {
        let end = offset + len as u64;
        let mut ends = [offset, end].into_iter();
        len > 0 && ends.any(|at| at % SECTOR != 0 && self.bad.contains(&(at / SECTOR)))
    }

    /// Whether a part of the range is in a bad sector.
    pub(super) fn is_bad(&self, offset: u64, len: usize) -> bool {
        let end = offset + len as u64;
        let mut bad = self.bad.range(offset / SECTOR..end.div_ceil(SECTOR));
        len > 0 && bad.next().is_some()
    }

    /// Flips bits of the byte at this offset, unless its page has been changed or is empty.
    pub(super) fn flip(&mut self, at: u64, bits: u8) -> bool {
        let (page, start, _) = place(at, 1);
        if self.is_changed(at) || !self.cache.pages.contains_key(&page) {
            return false;
        }
        for image in [&mut self.cache, &mut self.durable, &mut self.mixed] {
            if let Some(page) = image.pages.get_mut(&page) {
                Rc::make_mut(page)[start] ^= bits;
            }
        }
        true
    }

    /// Whether the page of this offset has unsynced changes: it is in memory, and is not read from the disk.
    pub(super) fn is_changed(&self, at: u64) -> bool {
        let page = at / PAGE as u64;
        self.dirty.contains(&page) || self.lost.contains(&page)
    }
}

impl Image {
    fn read(&self, offset: u64, max: usize) -> Vec<u8> {
        let left = self.len.saturating_sub(offset);
        let len = left.min(max as u64) as usize;
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let (page, start, part) = place(offset + bytes.len() as u64, len - bytes.len());
            match self.pages.get(&page) {
                Some(page) => bytes.extend_from_slice(&page[start..start + part]),
                None => bytes.resize(bytes.len() + part, 0),
            }
        }
        bytes
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let mut rest = bytes;
        let mut at = offset;
        while !rest.is_empty() {
            let (page, start, part) = place(at, rest.len());
            let (now, later) = rest.split_at(part);
            self.page(page)[start..start + part].copy_from_slice(now);
            at += part as u64;
            rest = later;
        }
        self.len = self.len.max(at);
    }

    /// A page, to be changed.
    fn page(&mut self, number: u64) -> &mut Page {
        let page = self.pages.entry(number);
        Rc::make_mut(page.or_insert_with(|| Rc::new([0; PAGE])))
    }

    /// Removes all content from this offset on. Returns the numbers of the changed pages.
    fn trim(&mut self, len: u64) -> Vec<u64> {
        let first_gone = len.div_ceil(PAGE as u64);
        let gone = self.pages.split_off(&first_gone);
        let mut changed: Vec<u64> = gone.into_keys().collect();
        let (last, start, _) = place(len, 0);
        let tail = self.pages.get(&last).map(|page| &page[start..]);
        if start > 0 && tail.is_some_and(|tail| tail.iter().any(|byte| *byte != 0)) {
            self.page(last)[start..].fill(0);
            changed.push(last);
        }
        changed
    }

    fn copy_page(&mut self, from: &Self, number: u64) {
        match from.pages.get(&number) {
            Some(page) => self.pages.insert(number, Rc::clone(page)),
            None => self.pages.remove(&number),
        };
    }

    fn sector(&self, sector: u64) -> &[u8] {
        let (page, start, part) = place(sector * SECTOR, SECTOR as usize);
        let page = self.pages.get(&page).map_or(&[0; PAGE], |page| &**page);
        &page[start..start + part]
    }

    fn copy_sector(&mut self, from: &Self, sector: u64) {
        let (page, start, part) = place(sector * SECTOR, SECTOR as usize);
        if let Some(from) = from.pages.get(&page) {
            let range = start..start + part;
            self.page(page)[range.clone()].copy_from_slice(&from[range]);
        }
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
    use crate::sys::simulated::rng::Clock;

    fn rng(seed: u64) -> Rng {
        Rng::of_name(seed, "disk", &Clock::default())
    }

    #[test]
    fn content_across_pages_is_read_back() {
        let mut content = Content::default();
        let bytes: Vec<u8> = (0..3 * PAGE).map(|at| (at / 7) as u8).collect();
        content.write(100, &bytes, &mut rng(0));
        assert_eq!(content.len(), 100 + bytes.len() as u64);
        assert_eq!(content.read(0, 100), [0; 100]);
        assert_eq!(content.read(100, usize::MAX), bytes);
    }

    #[test]
    fn extension_after_a_truncation_has_zeros() {
        let mut content = Content::default();
        let mut rng = rng(0);
        content.write(0, &[7; 2 * PAGE], &mut rng);
        content.set_len(10, &mut rng);
        content.set_len(2 * PAGE as u64, &mut rng);
        let mut expected = vec![0; 2 * PAGE];
        expected[..10].fill(7);
        assert_eq!(content.read(0, usize::MAX), expected);
    }

    #[test]
    fn unsynced_changes_are_lost() {
        let mut content = Content::default();
        let mut rng = rng(0);
        content.write(0, b"durable", &mut rng);
        content.sync();
        content.write(0, b"changed, and longer", &mut rng);
        content.write(5 * PAGE as u64, b"far", &mut rng);
        content.lose_power(Survivor::Durable, "", |_| true);
        assert_eq!(content.read(0, usize::MAX), b"durable");
        content.set_len(3, &mut rng);
        content.sync();
        content.lose_power(Survivor::Mixed, "", |_| true);
        assert_eq!(content.read(0, usize::MAX), b"dur");
    }

    #[test]
    fn torn_write_leaves_any_subset_of_its_sectors() {
        let mut subsets = BTreeSet::new();
        for seed in 0..1000 {
            let (mut content, mut rng) = (Content::default(), rng(seed));
            content.write(0, &[1; 4 * 512], &mut rng);
            content.sync();
            content.write(0, &[2; 4 * 512], &mut rng);
            content.lose_power(Survivor::Mixed, "", |_| true);
            let bytes = content.read(0, usize::MAX);
            let sectors: Vec<&[u8]> = bytes.chunks(512).collect();
            assert!(
                sectors
                    .iter()
                    .all(|sector| **sector == [1; 512] || **sector == [2; 512])
            );
            subsets.insert(sectors.iter().map(|sector| sector[0]).collect::<Vec<_>>());
        }
        assert_eq!(subsets.len(), 16);
    }

    #[test]
    fn torn_append_leaves_the_length_of_any_of_its_sectors() {
        let mut lengths = BTreeSet::new();
        for seed in 0..1000 {
            let (mut content, mut rng) = (Content::default(), rng(seed));
            content.write(0, &[1; 100], &mut rng);
            content.sync();
            content.write(100, &[2; 1200], &mut rng);
            content.lose_power(Survivor::Mixed, "", |_| true);
            lengths.insert(content.len());
        }
        assert_eq!(lengths, BTreeSet::from([100, 512, 1024, 1300]));
    }

    #[test]
    fn kept_write_keeps_earlier_writes_to_its_sector() {
        for seed in 0..200 {
            let (mut content, mut rng) = (Content::default(), rng(seed));
            content.write(0, b"first ", &mut rng);
            content.write(6, b"second", &mut rng);
            content.lose_power(Survivor::Mixed, "", |_| true);
            let bytes = content.read(0, usize::MAX);
            let whole = b"first second";
            let zeros = vec![0; bytes.len()];
            let first_only = [b"first ".as_slice(), &[0; 6]].concat();
            assert!(
                whole.starts_with(&bytes) || bytes == zeros || bytes == first_only,
                "seed {seed}: {bytes:?}"
            );
        }
    }

    #[test]
    fn old_content_never_follows_a_truncation() {
        for seed in 0..500 {
            let (mut content, mut rng) = (Content::default(), rng(seed));
            content.write(0, &[1; 2 * PAGE], &mut rng);
            content.sync();
            content.set_len(0, &mut rng);
            content.write(0, &[2; 2 * PAGE], &mut rng);
            content.lose_power(Survivor::Mixed, "", |_| true);
            let bytes = content.read(0, usize::MAX);
            let (old, new) = (bytes.contains(&1), bytes.contains(&2));
            assert!(!(old && new), "seed {seed}");
        }
    }

    #[test]
    fn failed_sync_loses_its_pages_for_ever() {
        for reverts in [false, true] {
            let (mut content, mut rng) = (Content::default(), rng(1));
            content.write(0, b"old", &mut rng);
            content.sync();
            content.write(0, b"new", &mut rng);
            content.fail_sync(reverts);
            let expected = if reverts { b"old" } else { b"new" };
            assert_eq!(content.read(0, 3), expected);
            content.sync();
            content.lose_power(Survivor::Cache, "", |_| true);
            assert_eq!(content.read(0, 3), b"old");
        }
    }
}
