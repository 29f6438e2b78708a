//! Direct I/O on disks of other sector sizes, and on a full disk. The disks are loop devices, which need root.

use std::{io, path::Path, process::Command};

use compio::{
    buf::Aligned,
    fs::{DirectFile, OpenOptions},
    io::AsyncWriteAtExt,
};
use tempfile::TempDir;

use crate::support::{check_kind, run};

/// A mounted disk of 16 MiB with a file system ext4.
struct Disk {
    folder: TempDir,
    device: String,
}

impl Disk {
    /// Skips the test if there is no permission or no program for it.
    fn new_or_skip(test: &str, sector: u32, block: u32) -> Option<Self> {
        let folder = tempfile::tempdir_in(".").unwrap();
        let image = folder.path().join("image");
        std::fs::File::create(&image)
            .unwrap()
            .set_len(16 << 20)
            .unwrap();
        let (sector, block) = (sector.to_string(), block.to_string());
        let disk = call("losetup", &["-f", "--show", "-b", &sector], &image).and_then(|device| {
            let device = device.trim().to_owned();
            let disk = Self { folder, device };
            let root = disk.root();
            std::fs::create_dir(&root)?;
            call("mkfs.ext4", &["-q", "-b", &block], Path::new(&disk.device))?;
            call("mount", &[&disk.device], &root)?;
            Ok(disk)
        });
        disk.map_err(|error| compio_testkit::process::skip(test, &error.to_string()))
            .ok()
    }

    fn root(&self) -> std::path::PathBuf {
        self.folder.path().join("root")
    }

    async fn create(&self, name: &str) -> DirectFile {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        let opened = options.open_direct_async(self.root().join(name)).await;
        opened.unwrap()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The mount is missing if the setup has failed.
        let _ = call("umount", &[], &self.root());
        let _ = call("losetup", &["-d"], Path::new(&self.device));
    }
}

/// The output of a program that has succeeded.
fn call(program: &str, arguments: &[&str], path: &Path) -> io::Result<String> {
    let output = Command::new(program).args(arguments).arg(path).output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{program}: {text}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn alignment_is_the_sector_size_of_the_disk() {
    for (sector, block) in [(512, 1024), (4096, 4096)] {
        let test = "alignment_is_the_sector_size_of_the_disk";
        let Some(disk) = Disk::new_or_skip(test, sector, block) else {
            return;
        };
        run(async {
            let file = disk.create("file").await;
            let unit = file.alignment().offset;
            // The block size of the file system in the place of the sector size, before Linux 6.1.
            assert!([sector, block].contains(&(unit as u32)), "{unit}");
            let (written, _) = file
                .write_at(Aligned::zeroed(unit, unit), unit as u64)
                .await;
            assert_eq!(written.unwrap(), unit);
            let less = Aligned::zeroed(sector as usize / 2, 4096);
            let (written, _) = file.as_file().write_at(less, 0).await;
            assert_eq!(written.unwrap_err().raw_os_error(), Some(libc::EINVAL));
            file.close().await.unwrap();
        });
    }
}

#[test]
fn full_disk_is_an_error_of_writes() {
    let Some(disk) = Disk::new_or_skip("full_disk_is_an_error_of_writes", 512, 4096) else {
        return;
    };
    run(async {
        let file = disk.create("file").await;
        let written = file.write_zeros_at(0, 64 << 20).await;
        check_kind(written, io::ErrorKind::StorageFull);
        // A part has been written. Overwrites of it need no space.
        assert!(file.metadata().await.unwrap().len() > 4096);
        let (written, _) = file.write_all_at(Aligned::zeroed(4096, 4096), 0).await;
        written.unwrap();
        let other = disk.create("other").await;
        let (written, buffer) = other.write_all_at(Aligned::zeroed(1 << 20, 4096), 0).await;
        check_kind(written, io::ErrorKind::StorageFull);
        assert_eq!(buffer.len(), 1 << 20);
        file.close().await.unwrap();
        other.close().await.unwrap();
    });
}
