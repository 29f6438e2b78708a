//! The copy example: a big file, an empty one, a missing one, and a full disk. `cmp` compares the
//! copy, and Python's zlib the checksum.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use super::{LIMIT, example, peer};
use crate::run::{Outcome, Run};

/// Enough for a thousand chunks, and no multiple of a chunk or block.
const BIG: usize = 200 * 1024 * 1024 + 12_345;

/// The exit code of a program that panicked.
const PANICKED: i32 = 101;

pub(crate) fn run(run: &mut Run) -> Outcome {
    let scratch = run.scratch("copy")?;
    let source = scratch.join("source");
    let target = scratch.join("target");
    for len in [BIG, 0, 1] {
        println!("{len} pseudo-random bytes");
        write_noise(&source, len).map_err(|e| format!("{}: {e}", source.display()))?;
        copies(run, &source, &target)?;
    }
    fails(run, &scratch.join("missing"), &target, "No such file")?;
    // A real device, which only Linux has.
    let full = Path::new("/dev/full");
    if run.require(
        full.exists(),
        "copy to a full disk",
        "there is no /dev/full",
    )? {
        fails(run, &source, full, "No space left")?;
    }
    // Twice 200 MB.
    fs::remove_dir_all(&scratch).map_err(|e| format!("{}: {e}", scratch.display()))
}

/// The target must equal the source, even if it was longer before, and the checksum must be right.
fn copies(run: &mut Run, source: &Path, target: &Path) -> Outcome {
    let printed = example(run, "copy")
        .path(source)
        .path(target)
        .print_within(LIMIT)?;
    print!("{}", printed.stdout);
    if !printed.status.success() {
        return Err(format!("{}\n{}", printed.status, printed.stderr));
    }
    run.program("cmp").path(source).path(target).run()?;

    let Some(crc32) = peer(run, "crc32", "the checksum of copy")? else {
        return Ok(());
    };
    let theirs = crc32.path(target).print_within(LIMIT)?.stdout;
    let ours = printed.stdout.lines().last().unwrap_or_default();
    if ours.trim_end() == theirs.trim_end() {
        Ok(())
    } else {
        Err(format!("zlib says\n    {theirs}and copy\n    {ours}"))
    }
}

/// The example must exit with an error that names the cause, not with a panic.
fn fails(run: &Run, source: &Path, target: &Path, reason: &str) -> Outcome {
    let printed = example(run, "copy")
        .path(source)
        .path(target)
        .print_within(LIMIT)?;
    print!("{}", printed.stderr);
    let code = printed.status.code();
    let decent = code.is_some_and(|code| code != 0 && code != PANICKED);
    if decent && printed.stderr.contains(reason) {
        Ok(())
    } else {
        Err(format!(
            "{}, and not `{reason}` but: {}",
            printed.status, printed.stderr
        ))
    }
}

/// Bytes that differ between all chunks, the same each time (xorshift64).
fn write_noise(path: &Path, len: usize) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut left = len;
    while left > 0 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let bytes = state.to_le_bytes();
        let part = left.min(bytes.len());
        file.write_all(&bytes[..part])?;
        left -= part;
    }
    file.flush()
}
