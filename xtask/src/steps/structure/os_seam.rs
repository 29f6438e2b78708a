//! The `Os` seam (invariant 11): outside of it no system calls on handles and paths, and no readings of
//! the clock, by the text of the sources.

/// Files with such calls, with the reason.
pub(super) const EXCEPTIONS: [(&str, &str); 10] = [
    (
        "crates/compio-console/src/",
        "a program without the runtime, which uses std",
    ),
    ("crates/compio-driver/src/os_calls/", "the seam"),
    (
        "crates/compio-hickory/src/provider.rs",
        "a non-blocking socket of std, for polls of hickory",
    ),
    (
        "crates/compio-driver/src/sys/",
        "the backends, and the calls that the seam makes",
    ),
    (
        "crates/compio/src/sys/unix/exit_",
        "the ends of child processes",
    ),
    (
        "crates/compio/src/sys/unix/process.rs",
        "the IDs of child processes",
    ),
    (
        "crates/compio/src/sys/unix/self_pipe_",
        "signals, whose handler must not use a simulated handle",
    ),
    ("crates/compio/src/sys/unix/signal.rs", "signals"),
    ("crates/compio/src/sys/windows/signal.rs", "console events"),
    (
        "tests.rs",
        "unit tests, which use the system as a user does",
    ),
];

/// Modules of which only these names may be imported: plain data, and types of conversions.
const DATA: [(&str, &[&str]); 4] = [
    (
        "std::fs",
        &[
            "File",
            "FileTimes",
            "FileType",
            "Metadata",
            "Permissions",
            "TryLockError",
        ],
    ),
    (
        "std::os::unix::fs",
        &["FileTypeExt", "MetadataExt", "PermissionsExt"],
    ),
    ("std::os::windows::fs", &["FileTypeExt", "MetadataExt"]),
    (
        "socket2",
        &[
            "Domain",
            "Protocol",
            "SockAddr",
            "SockAddrStorage",
            "TcpKeepalive",
            "Type",
        ],
    ),
];

/// Calls by name.
const CALLS: [&str; 11] = [
    "Instant::now",
    "SystemTime::now",
    ".elapsed()",
    ".to_socket_addrs(",
    ".try_clone_to_owned(",
    ".set_nonblocking(",
    "io::pipe(",
    "path::absolute(",
    "socket2::Socket::",
    "socket2::SockRef::",
    "rustix::",
];

/// Modules in paths of calls: a path that continues with the name of a function is a fault.
const MODULES: [&str; 4] = ["libc::", "std::fs::", "os::unix::fs::", "os::windows::fs::"];

/// The faults of one file, whose code has no comments.
pub(super) fn check(name: &str, code: &str) -> Vec<String> {
    if EXCEPTIONS.iter().any(|(place, _)| name.contains(place)) {
        return Vec::new();
    }
    // The unit tests of a file are at its end.
    let code = code
        .split_once("#[cfg(test)]\nmod tests {")
        .map_or(code, |(code, _)| code);
    let imports = imports(code);
    let imported = imports.iter().filter(|path| !is_data(path)).cloned();
    let called = CALLS.iter().filter(|call| code.contains(**call));
    let called = called.map(|call| call.to_string());
    let by_path = MODULES.iter().flat_map(|module| functions(code, module));
    // A file of std is converted only.
    let files = imports.iter().filter_map(|path| {
        match path.strip_prefix("std::fs::File")? {
            "" => Some("File::".to_owned()),
            // `FileTimes` has no such part.
            other => Some(other.strip_prefix(" as ")?.to_owned() + "::"),
        }
    });
    let opened = files.flat_map(|file| functions(code, &file));
    let opened = opened.filter(|function| !function.ends_with("::from"));
    imported
        .chain(called)
        .chain(by_path)
        .chain(opened)
        .map(|call| format!("{name} bypasses the seam `compio_driver::os_calls`: {call}"))
        .collect()
}

/// Whether an imported path is neither a function nor a type with calls of the system.
fn is_data(path: &str) -> bool {
    let path = path.split(" as ").next().unwrap_or(path);
    if path.starts_with("windows_sys::") {
        // Functions have lower-case letters, constants and structs have not.
        let last = path.rsplit("::").next().unwrap_or(path);
        return !last.contains(|letter: char| letter.is_lowercase());
    }
    if path == "std::net::ToSocketAddrs" {
        return false;
    }
    DATA.iter().all(|(module, names)| {
        let rest = path.strip_prefix(module);
        // Another module, whose name is longer.
        let is_inside = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        !is_inside || rest.is_some_and(|rest| names.contains(&rest.trim_start_matches("::")))
    })
}

/// Calls of functions by a path through `module`.
fn functions(code: &str, module: &str) -> Vec<String> {
    let continued = code.split(module).skip(1);
    continued
        .filter_map(|rest| {
            let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
            let (name, rest) = rest.split_at(rest.find(|letter| !is_word(letter))?);
            let is_function = name.starts_with(|letter: char| letter.is_lowercase());
            (is_function && rest.starts_with('(')).then(|| format!("{module}{name}"))
        })
        .collect()
}

/// The full paths of all imports.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in code.split_inclusive('\n') {
        let text = &code[start..];
        start += line.len();
        let line = line.trim_start();
        let is_import = line.starts_with("use ")
            || line.starts_with("pub") && line.split(' ').nth(1) == Some("use");
        if let Some((_, rest)) = text.split_once("use ").filter(|_| is_import)
            && let Some((tree, _)) = rest.split_once(';')
        {
            let tree: Vec<&str> = tree.split_whitespace().collect();
            expand("", &tree.join(" "), &mut found);
        }
    }
    found
}

/// The paths of a tree of imports.
fn expand(prefix: &str, tree: &str, found: &mut Vec<String>) {
    let Some((head, list)) = tree.split_once('{') else {
        let path = format!("{prefix}{}", tree.trim());
        found.push(path.trim_end_matches("::self").to_owned());
        return;
    };
    let prefix = format!("{prefix}{}", head.trim());
    let list = list.rsplit_once('}').map_or(list, |(list, _)| list);
    let mut depth = 0_usize;
    let parts = list.split(|letter| {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    });
    for part in parts.filter(|part| !part.trim().is_empty()) {
        expand(&prefix, part.trim(), found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOVE: &str = "crates/compio/src/fs/file.rs";

    #[test]
    fn import_with_system_calls_is_a_fault() {
        for code in [
            "use std::fs;\n",
            "use std::{\n    fs::{self, Permissions},\n    io,\n};\n",
            "pub(crate) use std::fs::read_dir;\n",
            "use socket2::{Domain, SockRef};\n",
            "use rustix::fs::flock;\n",
            "use std::net::{SocketAddr, ToSocketAddrs};\n",
            "use std::os::unix::fs::OpenOptionsExt;\n",
            "use windows_sys::Win32::{Foundation::HANDLE, Storage::FileSystem::LockFileEx};\n",
        ] {
            assert_eq!(check(ABOVE, code).len(), 1, "{code}");
            assert!(check("crates/compio-driver/src/os_calls/file.rs", code).is_empty());
        }
    }

    #[test]
    fn import_of_plain_data_is_no_fault() {
        for code in [
            "use std::{\n    fs::{File as StdFile, Permissions},\n    io,\n};\n",
            "use socket2::{Domain, Type};\n",
            "use super::ToSocketAddrs;\n",
            "use windows_sys::Win32::Storage::FileSystem::{FILE_FLAG_OVERLAPPED, OPEN_EXISTING};\n",
            "let reuse = \"use std::fs;\";\n",
        ] {
            assert_eq!(check(ABOVE, code), Vec::<String>::new(), "{code}");
        }
    }

    #[test]
    fn call_past_the_seam_is_a_fault() {
        for code in [
            "let now = Instant::now();\n",
            "began.then(SystemTime::now)\n",
            "began.elapsed() > limit\n",
            "fd.as_fd().try_clone_to_owned()?\n",
            "unsafe { libc::close(fd) };\n",
            "std::fs::read_dir(path)\n",
            "std::os::windows::fs::symlink_file(a, b)\n",
            "rustix::fs::fsync(fd)?;\n",
            "use std::fs::File;\nFile::open(path)\n",
            "use std::fs::File as StdFile;\nStdFile::create(path)\n",
        ] {
            assert_eq!(check(ABOVE, code).len(), 1, "{code}");
        }
        for code in [
            "let flags = libc::O_RDONLY as libc::mode_t;\n",
            "compio_driver::os_calls::clock::now()\n",
            "use std::fs::File;\nFile::from(fd)\n",
            "use std::fs::FileTimes;\nFile::read_at(self)\n",
            "code();\n#[cfg(test)]\nmod tests {\n    Instant::now();\n}\n",
        ] {
            assert_eq!(check(ABOVE, code), Vec::<String>::new(), "{code}");
        }
    }
}
