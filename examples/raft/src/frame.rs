//! Frames with a length and a checksum: the records of the log file, and the messages of connections.

use std::io::{self, ErrorKind};

use compio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use serde::{Serialize, de::DeserializeOwned};

/// The length of the content and its checksum, both as 32 bits in little endian.
const HEADER: usize = 8;
/// A longer content is no frame.
const CONTENT_MAX: usize = 16 << 20;

pub(crate) fn encode<T: Serialize>(content: &T) -> Vec<u8> {
    let mut frame = vec![0; HEADER];
    frame =
        postcard::to_extend(content, frame).expect("vectors have room, and the types are plain");
    let (header, content) = frame.split_at_mut(HEADER);
    header[..4].copy_from_slice(&(content.len() as u32).to_le_bytes());
    header[4..].copy_from_slice(&crc32fast::hash(content).to_le_bytes());
    frame
}

/// A frame at the begin of bytes.
pub(crate) struct Frame<'a> {
    pub(crate) content: &'a [u8],
    pub(crate) has_valid_checksum: bool,
    /// The bytes after it.
    pub(crate) rest: &'a [u8],
}

impl<'a> Frame<'a> {
    /// `None` if the bytes end before the frame does, or have no header.
    pub(crate) fn split(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(HEADER)?;
        let (len, checksum) = parse(header.try_into().expect("of this length"));
        // An empty content is a hole of zeros: no type here has one.
        let (content, rest) = rest.split_at_checked(len).filter(|_| len > 0)?;
        let has_valid_checksum = crc32fast::hash(content) == checksum;
        Some(Self {
            content,
            has_valid_checksum,
            rest,
        })
    }
}

fn parse(header: [u8; HEADER]) -> (usize, u32) {
    let [a, b, c, d, e, f, g, h] = header;
    (
        u32::from_le_bytes([a, b, c, d]) as usize,
        u32::from_le_bytes([e, f, g, h]),
    )
}

/// Reads a frame from a connection.
pub(crate) async fn read<T: DeserializeOwned>(stream: &mut TcpStream) -> io::Result<T> {
    let (read, header) = stream.read_exact([0; HEADER]).await;
    read?;
    let (len, checksum) = parse(header);
    if len > CONTENT_MAX {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            "a frame is too long",
        ));
    }
    let (read, content) = stream.read_exact(vec![0; len]).await;
    read?;
    if crc32fast::hash(&content) != checksum {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            "the checksum of a frame is wrong",
        ));
    }
    postcard::from_bytes(&content).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

/// Writes a frame to a connection.
pub(crate) async fn write<T: Serialize>(stream: &mut TcpStream, content: &T) -> io::Result<()> {
    stream.write_all(encode(content)).await.0
}
