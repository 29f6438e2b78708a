//! Moving bytes between descriptors in the kernel: splice(2).

use std::io;

use compio_driver::{
    AsFd, SharedFd,
    op::{Position, Splice},
    os_calls::{handle, outside_of_simulation},
};

use crate::runtime;

/// Moves at most `len` bytes between two descriptors, of which one must be a pipe, without a copy in
/// the program. Returns how many were moved, which may be fewer; 0 at the end of `from`. With
/// [`Position::Cursor`] a file is used at its cursor. Pipes and sockets need [`Position::Cursor`].
///
/// It starts when both ends are ready, so the pipe can be used and dropped while it waits. The modes of
/// both ends stay unchanged. To a socket in blocking mode it moves at most 64 KiB at a time, on another
/// thread.
///
/// # Platform differences
///
/// Only on Linux. If another thread or process reads from the same blocking socket, or writes to it, at
/// the same moment, the splice can block in the kernel. Other uses of the pipe then block as well.
/// `O_NONBLOCK` on the socket avoids that.
///
/// # Cancellation
///
/// Nothing, a part, or all may have been moved.
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput) if neither descriptor is a pipe. EMFILE if no
/// descriptor is left: both are duplicated, since they must stay open until the kernel has completed
/// the splice. Other OS errors of splice(2).
///
/// ```
/// use compio::{
///     fs::File,
///     io::AsyncReadExt,
///     op::Position,
///     pipe::{pipe, splice},
/// };
///
/// fn main() -> std::io::Result<()> {
///     compio::task::block_on(async {
///         let file = File::open("Cargo.toml")?;
///         let (mut reader, writer) = pipe()?;
///         let moved = splice(&file, Position::At(1), &writer, Position::Cursor, 7).await?;
///         assert_eq!(moved, 7);
///         let (result, bytes) = reader.read_exact([0; 7]).await;
///         result?;
///         assert_eq!(&bytes, b"package");
///         Ok(())
///     })
/// }
/// ```
pub async fn splice(
    from: &impl AsFd,
    from_position: Position,
    to: &impl AsFd,
    to_position: Position,
    len: usize,
) -> io::Result<usize> {
    outside_of_simulation("splices")?;
    let from = SharedFd::from(handle::duplicate(from.as_fd())?);
    let to = SharedFd::from(handle::duplicate(to.as_fd())?);
    runtime::submit(Splice::new(from, from_position, to, to_position, len)).await
}
