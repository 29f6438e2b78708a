//! What Windows calls the options and kinds of files.

use std::{
    fs, io,
    os::windows::{
        fs::OpenOptionsExt,
        io::{AsHandle, AsRawHandle, BorrowedHandle, RawHandle},
    },
    panic,
    path::{self, Path},
};

use compio_driver::{
    AsFd,
    op::{Attributes, Blocking},
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_REPARSE_POINT, FILE_FLAG_OVERLAPPED,
};

use crate::{
    fs::{File, Metadata, OpenOptions},
    runtime,
};

/// What can be said about the opening of a file here alone.
#[derive(Debug, Clone, Default)]
pub(crate) struct SystemOptions {
    access_mode: Option<u32>,
    share_mode: Option<u32>,
    custom_flags: u32,
    attributes: u32,
}

/// On Windows.
impl OpenOptions {
    /// The `dwDesiredAccess` of `CreateFileW`, instead of the one that follows from `read`, `write`
    /// and `append`.
    pub fn access_mode(&mut self, access: u32) -> &mut Self {
        self.system.access_mode = Some(access);
        self
    }

    /// What others may do with the file meanwhile: `FILE_SHARE_` bits. All by default.
    pub fn share_mode(&mut self, share: u32) -> &mut Self {
        self.system.share_mode = Some(share);
        self
    }

    /// More of the system's `FILE_FLAG_` flags. `FILE_FLAG_OVERLAPPED` is always among them.
    pub fn custom_flags(&mut self, flags: u32) -> &mut Self {
        self.system.custom_flags = flags;
        self
    }

    /// The `FILE_ATTRIBUTE_` bits of a file that is created.
    pub fn attributes(&mut self, attributes: u32) -> &mut Self {
        self.system.attributes = attributes;
        self
    }
}

/// On Windows.
impl Metadata {
    /// The `FILE_ATTRIBUTE_` bits.
    pub fn file_attributes(&self) -> u32 {
        self.0.attributes()
    }
}

impl AsHandle for File {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.as_fd().into()
    }
}

impl AsRawHandle for File {
    fn as_raw_handle(&self) -> RawHandle {
        self.as_handle().as_raw_handle()
    }
}

/// Opens the file, on this thread and at once.
pub(crate) fn open(options: &OpenOptions, path: &Path) -> io::Result<fs::File> {
    let system = &options.system;
    let mut std = options.to_std();
    std.custom_flags(system.custom_flags | FILE_FLAG_OVERLAPPED)
        .attributes(system.attributes);
    if let Some(access) = system.access_mode {
        std.access_mode(access);
    }
    if let Some(share) = system.share_mode {
        std.share_mode(share);
    }
    std.open(path)
}

/// Opens the file on another thread: there is no call that would not block.
pub(crate) async fn open_async(options: &OpenOptions, path: &Path) -> io::Result<fs::File> {
    let options = options.clone();
    // The current directory is the process's, and may be another when a thread comes to it.
    let path = path::absolute(path)?;
    match runtime::submit(Blocking::new(move || open(&options, &path))).await? {
        Ok(opened) => opened,
        Err(panic) => panic::resume_unwind(panic),
    }
}

pub(crate) fn is_file(attributes: &Attributes) -> bool {
    !is_symlink(attributes) && !has(attributes, FILE_ATTRIBUTE_DIRECTORY)
}

pub(crate) fn is_dir(attributes: &Attributes) -> bool {
    !is_symlink(attributes) && has(attributes, FILE_ATTRIBUTE_DIRECTORY)
}

/// What stands for another file by name: symbolic links, and the mount points of directories.
pub(crate) fn is_symlink(attributes: &Attributes) -> bool {
    const NAME_SURROGATE: u32 = 0x2000_0000;
    has(attributes, FILE_ATTRIBUTE_REPARSE_POINT) && attributes.reparse_tag() & NAME_SURROGATE != 0
}

fn has(attributes: &Attributes, bit: u32) -> bool {
    attributes.attributes() & bit != 0
}
