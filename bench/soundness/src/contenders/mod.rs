//! The contenders: one file each. An adapter follows the runtime's own documentation. It returns
//! `None` for a missing API.

mod compio;
mod glommio;
mod monoio;
mod registry_compio;
mod tokio;
mod tokio_uring;

pub use self::{
    compio::{Poll, Uring},
    glommio::Glommio,
    monoio::Monoio,
    registry_compio::RegistryCompio,
    tokio::Tokio,
    tokio_uring::TokioUring,
};
