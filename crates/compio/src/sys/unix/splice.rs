//! Moving bytes without a look at them.

use std::io;

use compio_driver::{
    AsFd, SharedFd,
    op::{Position, Splice},
};

use crate::runtime;

/// Moves at most `len` bytes between two descriptors, of which one must be a pipe, without a copy in
/// the program. Returns how many were moved, which may be less; 0 at the end of `from`. What has
/// [`Position::Cursor`] is moved where it stands, and so are pipes and sockets.
///
/// It starts when both ends are ready, so that the pipe can be used and dropped while it waits. The modes of
/// both ends stay. To a socket in blocking mode it moves at most 64 KiB at a time, on another thread.
///
/// # Platform differences
///
/// Only on Linux. If another thread or process reads from the same blocking socket, or writes to it, at the same
/// moment, the kernel can make the splice wait, and uses of the pipe with it. `O_NONBLOCK` on the socket
/// avoids that.
///
/// # Cancellation
///
/// Nothing, a part, or all may have been moved.
///
/// # Errors
///
/// The system's: [`InvalidInput`](io::ErrorKind::InvalidInput), if there is no pipe. Both descriptors
/// are duplicated for the time that it takes, since they must stay open until the kernel is through
/// with them: there may be none left.
///
/// ```
/// use compio::{
///     fs::File,
///     io::AsyncReadExt,
///     op::Position,
///     pipe::{pipe, splice},
/// };
///
/// # fn main() -> std::io::Result<()> {
/// compio::task::block_on(async {
///     let file = File::open("Cargo.toml")?;
///     let (mut reader, writer) = pipe()?;
///     let moved = splice(&file, Position::At(1), &writer, Position::Cursor, 7).await?;
///     assert_eq!(moved, 7);
///     let (result, bytes) = reader.read_exact([0; 7]).await;
///     result?;
///     assert_eq!(&bytes, b"package");
///     # Ok(())
/// })
/// # }
/// ```
pub async fn splice(
    from: &impl AsFd,
    from_position: Position,
    to: &impl AsFd,
    to_position: Position,
    len: usize,
) -> io::Result<usize> {
    let from = SharedFd::from(from.as_fd().try_clone_to_owned()?);
    let to = SharedFd::from(to.as_fd().try_clone_to_owned()?);
    runtime::submit(Splice::new(from, from_position, to, to_position, len)).await
}
