//! Operations of Windows only, each built on a [`Request::Raw`](crate::request::Request::Raw).

mod connect;
mod control;
mod directory;
mod disconnect;

pub use connect::ConnectNamedPipe;
pub use control::DeviceIoControl;
pub use directory::{
    Change, ChangeKind, Changes, DirectoryChanges, ReadDirectoryChanges, open_directory,
};
pub use disconnect::DisconnectEx;
