//! Syncs of files.

use crate::request::RawResult;

/// The full sync, or the plain one if the file system does not have it.
pub(super) fn full_or_plain(
    full: impl FnOnce() -> RawResult,
    plain: impl FnOnce() -> RawResult,
) -> RawResult {
    match full() {
        // The errors of file systems without the request: EINVAL and ENOTTY of devices, ENOTSUP of networks.
        Err(libc::EINVAL | libc::ENOTTY | libc::ENOTSUP) => plain(),
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_sync_replaces_only_missing_full_sync() {
        for code in [libc::EINVAL, libc::ENOTTY, libc::ENOTSUP] {
            assert_eq!(full_or_plain(|| Err(code), || Ok(7)), Ok(7));
            assert_eq!(
                full_or_plain(|| Err(code), || Err(libc::EIO)),
                Err(libc::EIO)
            );
        }
        let no_plain = || panic!("the full sync has reported its result");
        assert_eq!(full_or_plain(|| Ok(0), no_plain), Ok(0));
        assert_eq!(full_or_plain(|| Err(libc::EIO), no_plain), Err(libc::EIO));
        assert_eq!(
            full_or_plain(|| Err(libc::ENOSPC), no_plain),
            Err(libc::ENOSPC)
        );
    }
}
