//! Recordings: the lines of the program, as received.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::{protocol::Hello, text::escape};

/// A file that is written. Each line is complete when [`write`](Self::write) returns.
#[derive(Debug)]
pub(crate) struct Recorder {
    file: File,
    path: PathBuf,
}

impl Recorder {
    /// Creates a file. An existing file is an error: it may be another recording.
    pub(crate) fn create(path: &Path) -> Result<Self, String> {
        let file = File::create_new(path)
            .map_err(|error| format!("{}: {error}", escape(&path.to_string_lossy())))?;
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// Creates a file with a new name in a folder.
    pub(crate) fn create_in(folder: &Path, hello: Option<&Hello>) -> Result<Self, String> {
        let process = hello.map_or(0, |hello| hello.process);
        let program = hello.map_or("program", |hello| hello.program.as_str());
        let is_plain = |character: &char| character.is_ascii_alphanumeric() || *character == '-';
        let program: String = program.chars().filter(is_plain).take(40).collect();
        let mut last = String::new();
        for number in 1..1000 {
            let name = format!("console-{program}-{process}-{number}.jsonl");
            let path = folder.join(name);
            match File::create_new(&path) {
                Ok(file) => return Ok(Self { file, path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    last = error.to_string();
                }
                Err(error) => {
                    return Err(format!("{}: {error}", escape(&path.to_string_lossy())));
                }
            }
        }
        Err(last)
    }

    /// Appends a line.
    pub(crate) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        // One write, so that a reader or the end of this process finds whole lines.
        let mut bytes = Vec::with_capacity(line.len() + 1);
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
        self.file.write_all(&bytes)
    }

    /// The name of the file, printable.
    pub(crate) fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        escape(&name.to_string_lossy())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::text::Text;

    #[test]
    fn existing_file_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        fs::write(&path, "old").unwrap();
        assert!(Recorder::create(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn names_are_new_and_plain() {
        let folder = tempfile::tempdir().unwrap();
        let hello = Hello {
            protocol: 1,
            version: Text::default(),
            program: Text::new("../../\x1betc/key value"),
            process: 7,
        };
        for number in 1..=3 {
            let mut recorder = Recorder::create_in(folder.path(), Some(&hello)).unwrap();
            recorder.write(b"{}").unwrap();
            let name = format!("console-u1betckeyvalue-7-{number}.jsonl");
            assert_eq!(recorder.name(), name);
            assert_eq!(fs::read(folder.path().join(name)).unwrap(), b"{}\n");
        }
    }
}
