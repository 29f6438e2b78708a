//! The direction of imports (invariant 1), the places of platform cfg (invariant 7) and of system calls
//! (invariant 11), and the dispatch of these calls to the simulated system, by the text of the sources.

mod dispatch;
mod os_seam;

use std::fs;

use crate::run::{Outcome, Run};

/// Modules of the driver above the backends.
const ABOVE: [&str; 12] = [
    "accept",
    "arena",
    "buffers",
    "cancel",
    "driver",
    "multishot",
    "op",
    "orphan",
    "os_calls",
    "recv",
    "stream",
    "submit",
];

/// Modules below the operations, which meet them in `Request` only.
const BACKENDS: [&str; 5] = ["iocp", "platform", "readiness", "selector", "uring"];

/// Parts of `sys/` that may import from above, with the reason.
const TESTS: [(&str, &str); 3] = [
    (
        "/programs",
        "random programs, which use the driver as a user does",
    ),
    (
        "sys/sim/",
        "the simulated kernel, which is built for unit tests only",
    ),
    (
        "tests.rs",
        "unit tests, which use the driver as a user does",
    ),
];

/// Files outside `sys/` with a platform cfg, with the reason.
const PLATFORM: [(&str, &str); 2] = [
    (
        "crates/compio-driver/src/per_process.rs",
        "only unix has processes that share values by fork",
    ),
    (
        "crates/compio-driver/src/op/mod.rs",
        "its example is a raw entry of io_uring",
    ),
];

/// Files outside `sys/` that choose modules by the platform, with the reason. There a platform cfg stands
/// on `mod` and `use` lines only.
const SWITCHES: [(&str, &str); 4] = [
    (
        "crates/compio/src/compat/tokio/mod.rs",
        "tokio watches descriptors on unix only",
    ),
    (
        "crates/compio/src/fs/mod.rs",
        "only unix has handles of directories",
    ),
    (
        "crates/compio/src/lib.rs",
        "only unix has children that inherit listeners by their numbers",
    ),
    (
        "crates/compio/src/net/windows/mod.rs",
        "only Windows has these named pipes",
    ),
];

const CFG: [&str; 4] = ["unix", "windows", "target_os", "target_family"];

pub(crate) fn run(run: &mut Run) -> Outcome {
    let mut faults = Vec::new();
    for package in run.workspace().crates() {
        for path in package.sources()? {
            let source = fs::read_to_string(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            let name = path.strip_prefix(run.workspace().root()).unwrap_or(&path);
            let name = name.to_string_lossy().replace('\\', "/");
            faults.extend(check(&name, &code(&source)));
        }
    }
    for (place, reason) in TESTS
        .iter()
        .chain(&PLATFORM)
        .chain(&SWITCHES)
        .chain(&os_seam::EXCEPTIONS)
    {
        println!("exception: {place}: {reason}");
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.join("\n    "))
    }
}

/// The faults of one file.
fn check(name: &str, code: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let is_sys = name.contains("/src/sys/");
    let is_excepted =
        |exceptions: &[(&str, &str)]| exceptions.iter().any(|(place, _)| name.contains(place));
    let imported = imports(code);
    if name.starts_with("crates/compio-driver/") && is_sys && !is_excepted(&TESTS) {
        for module in ABOVE
            .iter()
            .filter(|module| imported.iter().any(|name| name == *module))
        {
            faults.push(format!(
                "{name} imports `{module}`, which is above the backends"
            ));
        }
    }
    if name.starts_with("crates/compio-driver/src/op/") {
        for module in BACKENDS
            .iter()
            .filter(|module| code.contains(&format!("sys::{module}::")))
        {
            faults.push(format!("{name} imports the backend module `sys::{module}`"));
        }
    }
    if !is_sys && !is_excepted(&PLATFORM) {
        let has_cfg = |line: &&str| {
            (line.contains("cfg(") || line.contains("cfg!(") || line.contains("cfg_attr("))
                && CFG.iter().any(|name| line.contains(name))
        };
        let is_switch = SWITCHES.iter().any(|(place, _)| name == *place);
        let following = code.lines().skip(1).chain([""]);
        for (line, next) in code.lines().zip(following) {
            if has_cfg(&line) && !(is_switch && is_module_or_import(next)) {
                faults.push(format!("{name} has a platform cfg: {}", line.trim()));
            }
        }
    }
    faults.extend(os_seam::check(name, code));
    faults.extend(dispatch::check(name, code));
    faults
}

/// Whether the line begins a `mod` or `use` item.
fn is_module_or_import(line: &str) -> bool {
    let line = line.trim_start();
    let item = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ").map_or("", |(_, item)| item),
        Some(rest) => rest.trim_start(),
        None => line,
    };
    item.starts_with("mod ") || item.starts_with("use ")
}

/// The source without comments.
fn code(source: &str) -> String {
    let lines = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.fold(String::new(), |code, line| code + line + "\n")
}

/// The modules of the crate that a file names, in `use crate::{…}` or in a path.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let Some(list) = rest.strip_prefix('{') else {
            found.push(first_word(rest));
            continue;
        };
        let mut depth = 0_usize;
        let mut starts = true;
        for (index, character) in list.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => starts = true,
                _ if starts && !character.is_whitespace() => {
                    found.push(first_word(&list[index..]));
                    starts = false;
                }
                _ => {}
            }
        }
    }
    found
}

fn first_word(text: &str) -> String {
    let is_word = |character: &char| character.is_alphanumeric() || *character == '_';
    text.chars().take_while(is_word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn import_from_above_is_a_fault() {
        let name = "crates/compio-driver/src/sys/uring/mod.rs";
        for code in [
            "use crate::driver::Inner;",
            "use crate::{\n    key::Key,\n    driver::{A, B},\n};",
        ] {
            assert_eq!(check(name, code).len(), 1, "{code}");
        }
        assert!(check(name, "use crate::{key::Key, request::{driver, op}};").is_empty());
        assert!(
            check(
                "crates/compio-driver/src/sys/uring/tests.rs",
                "use crate::op::Nop;"
            )
            .is_empty()
        );
        assert_eq!(
            check(
                "crates/compio-driver/src/op/nop.rs",
                "use crate::sys::uring::Uring;"
            )
            .len(),
            1
        );
    }

    #[test]
    fn platform_cfg_outside_of_sys_is_a_fault() {
        let name = "crates/compio/src/net/tcp.rs";
        for code in [
            "#[cfg(unix)]",
            "if cfg!(windows) {",
            "#[cfg(any(target_os = \"linux\"))]",
        ] {
            assert_eq!(check(name, code).len(), 1, "{code}");
            assert!(check("crates/compio/src/sys/mod.rs", code).is_empty());
        }
        assert!(check(name, &code("    /// # #[cfg(unix)]\n")).is_empty());
    }

    #[test]
    fn platform_cfg_of_a_switch_stands_on_modules_and_imports() {
        let name = "crates/compio/src/fs/mod.rs";
        for item in ["mod dir;", "pub mod dir;", "pub(crate) use dir::Dir;"] {
            let code = format!("#[cfg(unix)]\n{item}\n");
            assert!(check(name, &code).is_empty(), "{item}");
            assert_eq!(check("crates/compio/src/net/tcp.rs", &code).len(), 1);
        }
        assert_eq!(check(name, "#[cfg(unix)]\npub struct Dir;\n").len(), 1);
    }
}
