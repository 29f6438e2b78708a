//! Child processes of a test, and the report of a skipped one.

use std::{
    env,
    fs::OpenOptions,
    io::Write,
    process::{Command, Stdio},
    thread,
};

use crate::sys::on_wine;

/// This program, which will run this one test, even if it is ignored elsewhere.
pub fn this_test(test: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args(["--include-ignored", "--exact", "--nocapture", test]);
    command
}

/// Reports that a test is skipped, and why: to the file that `COMPIO_SKIPS` names, so that the test does
/// not count as passed.
pub fn skip(test: &str, why: &str) {
    eprintln!("not tested here: {test}: {why}");
    if let Some(path) = env::var_os("COMPIO_SKIPS") {
        let skips = OpenOptions::new().append(true).create(true).open(path);
        skips
            .and_then(|mut skips| skips.write_all(format!("{test}: {why}\n").as_bytes()))
            .expect("a line more");
    }
}

/// Whether a foreign program is installed: it succeeds with this argument. If not, the test is reported as skipped.
pub fn has(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg(argument)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let is_there = command.status().is_ok_and(|status| status.success());
    if !is_there {
        skip(
            thread::current().name().unwrap_or("a test"),
            &format!("there is no {program}"),
        );
    }
    is_there
}

/// Whether this is Wine, and cannot run this test, or the rest of it. Then it is reported as skipped.
pub fn is_skipped_on_wine(why: &str) -> bool {
    if on_wine() {
        skip(thread::current().name().unwrap_or("a test"), why);
        return true;
    }
    false
}
