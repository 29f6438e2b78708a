//! The functions of the `Os` seam pass their calls to the simulated system (feature `sim`): each contains the macro
//! `in_simulation`. Without it, a call of a simulated host would reach the real system.

/// Files of the seam that no simulated host uses, with the reason.
const FILES: [(&str, &str); 2] = [
    ("os_calls/windows.rs", "only Linux has the simulated system"),
    (
        "os_calls/cpu.rs",
        "CPUs of threads, for workers and the watchdog",
    ),
];

/// Functions that make no call, or that the seam calls after its dispatch.
const FUNCTIONS: [&str; 22] = [
    "adopt",
    "apply_system",
    "borrow",
    "close",
    "declare_append_only",
    "declare_end",
    "declare_opened",
    "describe",
    "describe_number",
    "descriptor_value",
    "value",
    "duplicate",
    "flags",
    "name_of_address",
    "native",
    "new",
    "number",
    "own_end",
    "set_mode",
    "share_end",
    "try_lock",
    "unlock",
];

/// The faults of one file, whose code has no comments.
pub(super) fn check(name: &str, code: &str) -> Vec<String> {
    let is_seam = name.starts_with("crates/compio-driver/src/os_calls/");
    if !is_seam || FILES.iter().any(|(file, _)| name.ends_with(file)) {
        return Vec::new();
    }
    // The unit tests of a file are at its end.
    let code = code
        .split_once("#[cfg(test)]\nmod tests {")
        .map_or(code, |(code, _)| code);
    let mut faults = Vec::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let Some(function) = public_function(line) else {
            continue;
        };
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = format!("{indent}}}");
        let body = lines.by_ref().take_while(|line| *line != end);
        // The whole body is consumed.
        let dispatches = body.filter(|line| line.contains("in_simulation!")).count() > 0;
        if !dispatches && !FUNCTIONS.contains(&function) {
            faults.push(format!(
                "{name}: `{function}` has no `in_simulation`: a simulated host would use the real system"
            ));
        }
    }
    faults
}

/// The name of a public function that begins in this line.
fn public_function(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub")?;
    let rest = rest.strip_prefix("(crate)").unwrap_or(rest).trim_start();
    let rest = rest.strip_prefix("unsafe ").unwrap_or(rest);
    let rest = rest.strip_prefix("fn ")?;
    let end = rest.find(|letter: char| !letter.is_alphanumeric() && !"_$".contains(letter))?;
    Some(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "crates/compio-driver/src/os_calls/file.rs";

    #[test]
    fn function_without_dispatch_is_a_fault() {
        let code = "pub fn sync() -> u8 {\n    call()\n}\n";
        assert_eq!(check(FILE, code).len(), 1);
        assert!(check("crates/compio-driver/src/os_calls/windows.rs", code).is_empty());
        assert!(check("crates/compio/src/fs/file.rs", code).is_empty());
        let code = "impl A {\n    pub(crate) unsafe fn sync(\n        a: u8,\n    ) -> u8 {\n        call()\n    }\n}\n";
        assert_eq!(check(FILE, code).len(), 1);
    }

    #[test]
    fn function_with_dispatch_is_no_fault() {
        let code = "pub fn sync() -> u8 {\n    in_simulation!(sync());\n    call()\n}\nfn private() {\n}\n";
        assert!(check(FILE, code).is_empty());
        let later =
            "pub fn first() {\n    in_simulation!(a());\n}\npub fn second() {\n    call()\n}\n";
        assert_eq!(check(FILE, later).len(), 1);
    }
}
