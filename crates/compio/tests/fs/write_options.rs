//! Writes with options of their own.

use std::io;

use compio::{
    buf::Aligned,
    fs::{File, OpenOptions, WriteOptions},
};

use crate::support::{check_kind, run};

#[test]
fn durable_write_writes_as_a_plain_one() {
    run(async {
        let dir = tempfile::tempdir_in(".").unwrap();
        let path = dir.path().join("file");
        let file = File::create_new(&path).unwrap();
        for options in [WriteOptions::new(), WriteOptions::new().data_sync(true)] {
            let (written, buffer) = file.write_at_with("hello", 3, options).await;
            assert_eq!((written.unwrap(), buffer), (5, "hello"));
            assert_eq!(std::fs::read(&path).unwrap(), b"\0\0\0hello");
            file.set_len(0).await.unwrap();
        }
        let reader = File::open(&path).unwrap();
        let durable = WriteOptions::new().data_sync(true);
        let (written, buffer) = reader.write_at_with("hello", 0, durable).await;
        assert_eq!(written.unwrap_err().raw_os_error(), Some(libc::EBADF));
        assert_eq!(buffer, "hello");
        for offset in [u64::MAX, u64::MAX - 1, 1 << 63] {
            let (written, _) = file.write_at_with("hello", offset, durable).await;
            check_kind(written, io::ErrorKind::InvalidInput);
        }
    });
}

#[test]
fn option_without_support_is_named() {
    run(async {
        let dir = tempfile::tempdir_in(".").unwrap();
        let file = File::create_new(dir.path().join("file")).unwrap();
        // A write to the page cache is never atomic.
        let atomic = WriteOptions::new().atomic(true);
        let (written, _) = file.write_at_with(vec![0; 4096], 0, atomic).await;
        let error = written.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(
            error.to_string().starts_with("atomic writes are not"),
            "{error}"
        );
        assert_eq!(file.metadata().await.unwrap().len(), 0);
    });
}

#[test]
fn direct_writes_have_options() {
    run(async {
        let dir = tempfile::tempdir_in(".").unwrap();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        let file = match options.open_direct_async(dir.path().join("file")).await {
            Ok(file) => file,
            Err(error) => {
                return compio_testkit::process::skip(
                    "direct_writes_have_options",
                    &error.to_string(),
                );
            }
        };
        let unit = file.alignment().unit();
        let durable = WriteOptions::new().data_sync(true);
        let block = || Aligned::zeroed(unit, unit);
        let (written, _) = file.write_at_with(block(), 0, durable).await;
        assert_eq!(written.unwrap(), unit);
        let (written, _) = file.write_at_with(block(), 1, durable).await;
        check_kind(written, io::ErrorKind::InvalidInput);
        let atomic = durable.atomic(true);
        let (written, _) = file.write_at_with(block(), 0, atomic).await;
        let Some(limits) = file.atomic_write_unit() else {
            return check_kind(written, io::ErrorKind::Unsupported);
        };
        let block = || Aligned::zeroed(limits.min, unit);
        let (written, _) = file.write_at_with(block(), 0, atomic).await;
        assert_eq!(written.unwrap(), limits.min);
        let whole = 2 * limits.max;
        let (written, _) = file
            .write_at_with(Aligned::zeroed(whole, unit), 0, atomic)
            .await;
        check_kind(written, io::ErrorKind::InvalidInput);
    });
}
