//! Random sequences of calls, and the same with std: files and trees must be equal after each call.

use std::{
    collections::BTreeMap,
    fs as stds, io,
    path::{Path, PathBuf},
};

use compio::fs::{self, File};
use proptest::{collection::vec, prelude::*};

use crate::support::{check_same, has_links, link_to_file, run, scratch, std_link_to_file};

#[derive(Debug, Clone)]
enum Step {
    Write(u64, Vec<u8>),
    WriteVectored(u64, Vec<u8>, Vec<u8>),
    Read(u64, usize),
    SetLen(u64),
    Append(Vec<u8>),
    Sync,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let place = 0..20_000_u64;
    let bytes = || vec(any::<u8>(), 0..5_000);
    let step = prop_oneof![
        4 => (place.clone(), bytes()).prop_map(|(at, bytes)| Step::Write(at, bytes)),
        1 => (place.clone(), bytes(), bytes()).prop_map(|(at, a, b)| Step::WriteVectored(at, a, b)),
        4 => (place.clone(), 0..9_000_usize).prop_map(|(at, len)| Step::Read(at, len)),
        2 => place.prop_map(Step::SetLen),
        1 => bytes().prop_map(Step::Append),
        1 => Just(Step::Sync),
    ];
    vec(step, 1..20)
}

fn write_over(model: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let end = at as usize + bytes.len();
    if !bytes.is_empty() && model.len() < end {
        model.resize(end, 0);
    }
    if !bytes.is_empty() {
        model[at as usize..end].copy_from_slice(bytes);
    }
}

async fn step_file(path: &Path, file: &File, model: &mut Vec<u8>, step: Step) {
    match step {
        Step::Write(at, bytes) => {
            let (written, bytes) = file.write_at(bytes, at).await;
            write_over(model, at, &bytes[..written.unwrap()]);
        }
        Step::WriteVectored(at, one, other) => {
            let (written, (one, other)) = file.write_vectored_at((one, other), at).await;
            let both = [one, other].concat();
            write_over(model, at, &both[..written.unwrap()]);
        }
        Step::Read(at, len) => {
            let (read, buffer) = file.read_at(Vec::with_capacity(len), at).await;
            let end = model.len().min(at as usize + buffer.capacity());
            let expected = model.get(at as usize..end).unwrap_or_default();
            assert_eq!(read.unwrap(), expected.len());
            assert!(buffer == expected);
        }
        Step::SetLen(len) => {
            file.set_len(len).await.unwrap();
            model.resize(len as usize, 0);
        }
        Step::Append(bytes) => {
            let (appended, bytes) = fs::append(path, bytes).await;
            appended.unwrap();
            model.extend(bytes);
        }
        Step::Sync => file.sync_data().await.unwrap(),
    }
}

/// There are few paths, so that they coincide.
#[derive(Debug, Clone)]
enum Change {
    CreateDir(PathBuf),
    CreateDirAll(PathBuf),
    Write(PathBuf, Vec<u8>),
    Rename(PathBuf, PathBuf),
    Copy(PathBuf, PathBuf),
    HardLink(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    RemoveFile(PathBuf),
    RemoveDir(PathBuf),
    RemoveDirAll(PathBuf),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let path = || {
        vec(prop_oneof![Just("a"), Just("b"), Just("c")], 1..4)
            .prop_map(|names| names.into_iter().collect::<PathBuf>())
    };
    let two = || (path(), path());
    let change = prop_oneof![
        3 => path().prop_map(Change::CreateDir),
        2 => path().prop_map(Change::CreateDirAll),
        4 => (path(), vec(any::<u8>(), 0..20)).prop_map(|(path, bytes)| Change::Write(path, bytes)),
        3 => two().prop_map(|(from, to)| Change::Rename(from, to)),
        1 => two().prop_map(|(from, to)| Change::Copy(from, to)),
        1 => two().prop_map(|(from, to)| Change::HardLink(from, to)),
        2 => two().prop_map(|(to, link)| Change::Link(to, link)),
        2 => path().prop_map(Change::RemoveFile),
        2 => path().prop_map(Change::RemoveDir),
        1 => path().prop_map(Change::RemoveDirAll),
    ];
    vec(change, 1..25)
}

async fn ours(root: &Path, change: &Change) -> io::Result<u64> {
    let at = |path: &PathBuf| root.join(path);
    match change {
        Change::CreateDir(path) => fs::create_dir(at(path)).await.map(|()| 0),
        Change::CreateDirAll(path) => fs::create_dir_all(at(path)).await.map(|()| 0),
        Change::Write(path, bytes) => fs::write(at(path), bytes.clone()).await.0.map(|()| 0),
        Change::Rename(from, to) => fs::rename(at(from), at(to)).await.map(|()| 0),
        Change::Copy(from, to) => fs::copy(at(from), at(to)).await,
        Change::HardLink(from, to) => fs::hard_link(at(from), at(to)).await.map(|()| 0),
        Change::Link(to, link) => link_to_file(to, &at(link)).await.map(|()| 0),
        Change::RemoveFile(path) => fs::remove_file(at(path)).await.map(|()| 0),
        Change::RemoveDir(path) => fs::remove_dir(at(path)).await.map(|()| 0),
        Change::RemoveDirAll(path) => fs::remove_dir_all(at(path)).await.map(|()| 0),
    }
}

fn theirs(root: &Path, change: &Change) -> io::Result<u64> {
    let at = |path: &PathBuf| root.join(path);
    match change {
        Change::CreateDir(path) => stds::create_dir(at(path)).map(|()| 0),
        Change::CreateDirAll(path) => stds::create_dir_all(at(path)).map(|()| 0),
        Change::Write(path, bytes) => stds::write(at(path), bytes).map(|()| 0),
        Change::Rename(from, to) => stds::rename(at(from), at(to)).map(|()| 0),
        Change::Copy(from, to) => stds::copy(at(from), at(to)),
        Change::HardLink(from, to) => stds::hard_link(at(from), at(to)).map(|()| 0),
        Change::Link(to, link) => std_link_to_file(to, &at(link)).map(|()| 0),
        Change::RemoveFile(path) => stds::remove_file(at(path)).map(|()| 0),
        Change::RemoveDir(path) => stds::remove_dir(at(path)).map(|()| 0),
        Change::RemoveDirAll(path) => stds::remove_dir_all(at(path)).map(|()| 0),
    }
}

/// The content of a tree: for each path its kind, and its content or target.
type Tree = BTreeMap<PathBuf, (char, Vec<u8>)>;

async fn our_tree(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut pending = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        let mut entries = fs::read_dir(&dir).await.unwrap();
        while let Some(entry) = entries.next_entry().await.unwrap() {
            let (path, kind) = (entry.path(), entry.file_type().await.unwrap());
            let found = if kind.is_dir() {
                pending.push(path.clone());
                ('d', Vec::new())
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).await.unwrap();
                ('l', target.into_os_string().into_encoded_bytes())
            } else {
                ('f', fs::read(&path).await.unwrap())
            };
            tree.insert(path.strip_prefix(root).unwrap().to_owned(), found);
        }
    }
    tree
}

fn their_tree(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut pending = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in stds::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let found = if kind.is_dir() {
                pending.push(path.clone());
                ('d', Vec::new())
            } else if kind.is_symlink() {
                let target = stds::read_link(&path).unwrap();
                ('l', target.into_os_string().into_encoded_bytes())
            } else {
                ('f', stds::read(&path).unwrap())
            };
            tree.insert(path.strip_prefix(root).unwrap().to_owned(), found);
        }
    }
    tree
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(windows) { 30 } else { 100 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_file_has_the_written_content(steps in steps()) {
        let dir = scratch();
        let path = dir.path().join("file");
        run(async {
            let file = File::create_new(&path).unwrap();
            let mut model = Vec::new();
            for step in steps {
                step_file(&path, &file, &mut model, step).await;
                assert_eq!(file.metadata().await.unwrap().len(), model.len() as u64);
            }
            assert!(fs::read(&path).await.unwrap() == model);
            assert!(stds::read(&path).unwrap() == model);
        });
    }

    #[test]
    fn a_tree_is_the_same_as_with_std(changes in changes()) {
        let linked = has_links();
        let (our_dir, their_dir) = (scratch(), scratch());
        run(async {
            for change in changes {
                if !linked && matches!(change, Change::Link(..)) {
                    continue;
                }
                let ours = ours(our_dir.path(), &change).await;
                check_same(ours, theirs(their_dir.path(), &change));
            }
            let tree = our_tree(our_dir.path()).await;
            assert_eq!(tree, their_tree(our_dir.path()));
            assert_eq!(tree, their_tree(their_dir.path()));
        });
    }
}
