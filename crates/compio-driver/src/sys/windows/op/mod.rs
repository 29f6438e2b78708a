//! Operations that only Windows has, in the backend's own words: see
//! [`Request::Raw`](crate::request::Request::Raw).

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
