//! The file system of a host.

use std::{io::ErrorKind, path::Path};

use compio::{
    fs::{self, File, OpenOptions},
    io::{AsyncReadAtExt, AsyncWriteAtExt},
};
use compio_testkit::check::check_kind;

use super::{both::run_both, run_one, run_pair};

#[test]
fn file_is_read_back() {
    run_one(async {
        fs::write("/tmp/greeting", "hello").await.0?;
        fs::append("/tmp/greeting", ", world").await.0?;
        assert_eq!(fs::read_to_string("/tmp/greeting").await?, "hello, world");
        let file = File::open("/tmp/greeting")?;
        let (read, bytes) = file.read_exact_at([0; 5], 7).await;
        read?;
        assert_eq!(&bytes, b"world");
        let error = file.write_all_at("x", 0).await.0.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc_ebadf()));
        Ok(())
    });
}

/// EBADF of Linux.
fn libc_ebadf() -> i32 {
    9
}

#[test]
fn each_host_has_its_own_files() {
    run_pair(
        || async {
            fs::write("/data", "server").await.0?;
            std::future::pending().await
        },
        async {
            compio::time::sleep(std::time::Duration::from_secs(1)).await;
            assert!(!fs::try_exists("/data").await?);
            Ok(())
        },
    );
}

#[test]
fn handles_share_a_file() {
    run_one(async {
        let mut options = OpenOptions::new();
        let first = options.read(true).write(true).create(true).open("/data")?;
        let second = File::open_async("/data").await?;
        let third = first.try_clone()?;
        first.write_all_at("shared", 0).await.0?;
        assert_eq!(&second.read_exact_at([0; 6], 0).await.1, b"shared");
        fs::remove_file("/data").await?;
        third.set_len(3).await?;
        drop(first);
        assert_eq!(second.metadata().await?.len(), 3);
        assert_eq!(third.metadata().await?.len(), 3);
        assert_eq!(File::open("/data").unwrap_err().kind(), ErrorKind::NotFound);
        third.close().await?;
        second.close().await
    });
}

#[test]
fn directories_are_made_listed_renamed_and_removed() {
    run_one(async {
        fs::create_dir_all("/a/b/c").await?;
        fs::write("/a/b/file", "content").await.0?;
        let error = fs::create_dir("/a").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        let error = fs::remove_dir("/a").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DirectoryNotEmpty);
        let mut names = Vec::new();
        let mut entries = fs::read_dir("/a/b").await?;
        while let Some(entry) = entries.next_entry().await? {
            let is_dir = entry.file_type().await?.is_dir();
            names.push((entry.path(), is_dir));
        }
        let expected = [("/a/b/c", true), ("/a/b/file", false)];
        assert_eq!(names, expected.map(|(path, is_dir)| (path.into(), is_dir)));
        fs::rename("/a/b", "/moved").await?;
        assert!(fs::metadata("/moved/c").await?.is_dir());
        assert_eq!(
            fs::canonicalize("moved/../moved/c").await?,
            Path::new("/moved/c")
        );
        fs::remove_dir_all("/moved").await?;
        fs::remove_dir("/a").await?;
        assert!(!fs::try_exists("/moved/file").await?);
        Ok(())
    });
}

#[test]
fn links_name_one_file() {
    run_one(async {
        fs::write("/one", "content").await.0?;
        fs::hard_link("/one", "/two").await?;
        fs::symlink("one", "/three").await?;
        assert_eq!(fs::read_link("/three").await?, Path::new("one"));
        assert!(fs::symlink_metadata("/three").await?.is_symlink());
        fs::write("/three", "changed").await.0?;
        assert_eq!(fs::read("/two").await?, b"changed");
        assert_eq!(fs::copy("/two", "/four").await?, 7);
        fs::remove_file("/one").await?;
        assert_eq!(
            fs::read("/three").await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(fs::read("/two").await?, b"changed");
        Ok(())
    });
}

#[test]
fn options_of_an_open_have_the_meaning_of_std() {
    run_one(async {
        let file = File::create_new("/new")?;
        let (written, _) = file.write_all_at("long content", 0).await;
        written?;
        let error = File::create_new("/new").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        let error = OpenOptions::new().open("/new").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        File::create("/new")?;
        assert_eq!(fs::metadata("/new").await?.len(), 0);
        let error = File::create("/tmp").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IsADirectory);
        file.sync_all().await?;
        Ok(())
    });
}

#[test]
fn times_of_files_are_virtual() {
    run_one(async {
        fs::write("/a", "").await.0?;
        let first = fs::metadata("/a").await?.modified()?;
        compio::time::sleep(std::time::Duration::from_secs(90)).await;
        fs::write("/a", "b").await.0?;
        let second = fs::metadata("/a").await?.modified()?;
        let between = second.duration_since(first).expect("a later time");
        assert_eq!(between.as_secs(), 90);
        Ok(())
    });
}

#[test]
fn invalid_names_and_offsets_are_refused() {
    run_both(|dir| async move {
        let invalid = dir.join("a\0b");
        check_kind(File::create(&invalid).map(drop), ErrorKind::InvalidInput);
        check_kind(
            fs::read_dir(&invalid).await.map(drop),
            ErrorKind::InvalidInput,
        );
        check_kind(fs::create_dir_all(&invalid).await, ErrorKind::InvalidInput);
        let file = File::create(dir.join("file"))?;
        for offset in [u64::MAX, 1 << 63, i64::MAX as u64] {
            let (written, _) = file.write_at("content", offset).await;
            check_kind(written, ErrorKind::InvalidInput);
        }
        assert_eq!(file.metadata().await?.len(), 0);
        Ok(())
    });
}
