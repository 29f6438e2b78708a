//! The log file: term, vote and entries, as records at its end.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use compio::{
    fs::{self, File},
    io::AsyncWriteAtExt,
};

use crate::{
    bug::Bug,
    frame::{self, Frame},
    message::{Entry, NodeId, Record},
};

/// The state that survives a restart.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    pub(crate) term: u64,
    pub(crate) voted_for: Option<NodeId>,
    pub(crate) entries: Vec<Entry>,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Log {
    file: File,
    len: u64,
}

impl Log {
    /// Reads the log of a directory, and the number of bytes at its end that are no records: a torn write.
    ///
    /// The records are written to a new file. So all that was read is durable, even if it had only been in the page cache: after a
    /// crash before the sync, or after a failed sync, whose pages the kernel treats as clean.
    pub(crate) async fn open(directory: &Path, bug: Bug) -> io::Result<(Self, Saved, usize)> {
        let path = directory.join("log");
        let bytes = match fs::read(&path).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        let (saved, torn) = recover(&bytes, bug);
        let log = Self::rewrite(directory, path, &saved).await?;
        Ok((log, saved, torn))
    }

    async fn rewrite(directory: &Path, path: PathBuf, saved: &Saved) -> io::Result<Self> {
        let new = directory.join("log.new");
        let file = File::create_async(&new).await?;
        let mut log = Self { file, len: 0 };
        let Saved {
            term, voted_for, ..
        } = *saved;
        let mut records = vec![Record::Vote { term, voted_for }];
        for (index, entry) in (1..).zip(&saved.entries) {
            records.push(Record::Entry {
                index,
                entry: entry.clone(),
            });
        }
        log.append(&records).await?;
        fs::rename(new, path).await?;
        File::open_async(directory).await?.sync_all().await?;
        Ok(log)
    }

    /// Appends records, and makes them durable. After an error the file is in an unknown state: the node has to end.
    pub(crate) async fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let bytes: Vec<u8> = records.iter().flat_map(frame::encode).collect();
        let len = bytes.len() as u64;
        if len == 0 {
            return Ok(());
        }
        self.file.write_all_at(bytes, self.len).await.0?;
        self.file.sync_data().await?;
        self.len += len;
        Ok(())
    }
}

/// The state of all records before the first invalid one, and the number of bytes from there on.
fn recover(mut bytes: &[u8], bug: Bug) -> (Saved, usize) {
    let mut saved = Saved::default();
    while let Some(frame) = Frame::split(bytes) {
        let is_last = frame.rest.is_empty();
        let is_trusted = bug.is(Bug::TrustsLastRecord) && is_last;
        if !frame.has_valid_checksum && !is_trusted {
            break;
        }
        match postcard::from_bytes(frame.content) {
            Ok(Record::Vote { term, voted_for }) => {
                (saved.term, saved.voted_for) = (term, voted_for)
            }
            Ok(Record::Entry { index, entry }) => {
                saved.entries.truncate(index as usize - 1);
                saved.entries.push(entry);
            }
            Err(_) => break,
        }
        bytes = frame.rest;
    }
    (saved, bytes.len())
}
