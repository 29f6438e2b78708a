//! Checks that programs, libraries and sources for Windows use only documented calls: their imports
//! from ntdll, names of its functions, and the name of the socket device. It only reads.

use std::{collections::BTreeSet, fs, path::Path};

use object::{
    File, NameOrOrdinal, Object, ObjectSection, ObjectSymbol, SectionKind,
    read::archive::{ArchiveFile, ArchiveMember},
};

use crate::run::Outcome;

/// The prefixes of ntdll's functions.
const PREFIXES: [&[u8]; 3] = [b"Nt", b"Zw", b"Rtl"];

/// The minimum length after the prefix. Shorter matches occur by chance.
const LETTERS_MIN: usize = 3;

/// The device that Winsock uses internally.
const AFD: &[u8] = br"\device\afd";

type Names = BTreeSet<String>;

/// The imports of every program that std causes. std is one object: using a part of it imports the
/// same functions as using all of it.
pub(super) struct Rule {
    stds: Names,
}

impl Rule {
    /// Derives the rule from a program that uses only std.
    pub(super) fn learn(std_alone: &Path) -> Outcome<Self> {
        let stds = taken(&read(std_alone)?);
        let stds = stds.map_err(|error| named(std_alone, &error.to_string()))?;
        Ok(Self { stds })
    }

    pub(super) fn stds(&self) -> String {
        list(self.stds.iter())
    }

    /// Rejects an executable with imports from ntdll beyond std's, or with the device's name.
    pub(super) fn program(&self, path: &Path) -> Outcome {
        let program = read(path)?;
        let failed = |error: object::Error| named(path, &error.to_string());
        let taken = taken(&program).map_err(failed)?;
        refuse(path, taken.difference(&self.stds))?;
        if knows_afd(&program).map_err(failed)? {
            return Err(named(path, r"it names \Device\Afd"));
        }
        Ok(())
    }

    /// Rejects a library whose own code imports from ntdll. Here it can be distinguished from std's
    /// code, which is in std's library.
    pub(super) fn library(path: &Path) -> Outcome {
        let library = read(path)?;
        let failed = |error: object::Error| named(path, &error.to_string());
        let archive = ArchiveFile::parse(&*library).map_err(failed)?;
        let mut taken = Names::new();
        for member in archive.members() {
            taken.extend(wanted(&library, &member.map_err(failed)?).map_err(failed)?);
        }
        refuse(path, taken.iter())
    }

    /// Rejects a source that names a function of ntdll outside comments. Generic code is compiled
    /// into its users' programs, and there it cannot be distinguished from std's.
    pub(super) fn source(path: &Path) -> Outcome {
        let source = String::from_utf8_lossy(&read(path)?).into_owned();
        refuse(path, names_in_source(&source).iter())
    }
}

/// An executable's imports from ntdll, and the names that it could look up there.
fn taken(program: &[u8]) -> object::Result<Names> {
    let file = File::parse(program)?;
    let mut taken = named_in_data(&file, |_| true)?;
    for import in file.imports()? {
        let import = import?;
        if import.library().eq_ignore_ascii_case(b"ntdll.dll") {
            taken.insert(match import.name() {
                NameOrOrdinal::Name(name) => String::from_utf8_lossy(name).into_owned(),
                NameOrOrdinal::Ordinal(number) => format!("number {number}"),
            });
        }
    }
    Ok(taken)
}

/// An object's undefined symbols, and the names that it could look up.
fn wanted(library: &[u8], member: &ArchiveMember<'_>) -> object::Result<Names> {
    // Members that are no objects are rustc's metadata.
    let Ok(file) = File::parse(member.data(library)?) else {
        return Ok(Names::new());
    };
    let undefined = file.symbols().filter(ObjectSymbol::is_undefined);
    let mut wanted = Names::new();
    for symbol in undefined {
        let name = symbol.name_bytes()?;
        let name = name.strip_prefix(b"__imp_").unwrap_or(name);
        wanted.extend(name_at_end(name).filter(|found| found.len() == name.len()));
    }
    // `.idata`: import libraries are in the library of the crate that declares the functions. A
    // declaration is no call.
    wanted.extend(named_in_data(&file, |section| {
        !section.starts_with(b".idata")
    })?);
    Ok(wanted)
}

/// The strings in data that could be names of ntdll's functions.
fn named_in_data(file: &File<'_>, counts: impl Fn(&[u8]) -> bool) -> object::Result<Names> {
    let mut found = Names::new();
    for section in file.sections().filter(is_data) {
        if counts(section.name_bytes()?) {
            let strings = section.data()?.split_inclusive(|byte| *byte == 0);
            found.extend(strings.filter_map(|s| name_at_end(s.strip_suffix(&[0])?)));
        }
    }
    Ok(found)
}

/// Debug information does not count: it names types and functions of all kinds.
fn is_data<'data>(section: &impl ObjectSection<'data>) -> bool {
    let kind = section.kind();
    kind == SectionKind::Data || kind == SectionKind::ReadOnlyData
}

/// The name at the end of a string. The bytes before it may belong to another string: in Rust's data
/// only strings for Windows end with a zero.
fn name_at_end(string: &[u8]) -> Option<String> {
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let start = string.iter().rposition(|b| !letter(b)).map_or(0, |i| i + 1);
    let word = &string[start..];
    let begins_name = |rest: &[u8]| {
        let name = PREFIXES
            .iter()
            .find_map(|prefix| rest.strip_prefix(*prefix));
        name.is_some_and(|n| n.len() >= LETTERS_MIN && n[0].is_ascii_uppercase())
    };
    let start = (0..word.len()).find(|start| begins_name(&word[*start..]))?;
    Some(String::from_utf8_lossy(&word[start..]).into_owned())
}

/// All such names outside comments.
fn names_in_source(source: &str) -> Names {
    let code = source
        .lines()
        .map(|line| line.split("//").next().unwrap_or(line));
    let words = code.flat_map(|code| code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    words
        .filter_map(|word| name_at_end(word.as_bytes()).filter(|name| name == word))
        .collect()
}

/// Whether an executable's data contains the device's name.
fn knows_afd(program: &[u8]) -> object::Result<bool> {
    for section in File::parse(program)?.sections().filter(is_data) {
        if names_afd(section.data()?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// With one byte per letter, or with two as in the OS's own functions.
fn names_afd(data: &[u8]) -> bool {
    let wide: Vec<u8> = AFD.iter().flat_map(|byte| [*byte, 0]).collect();
    let starts = data.iter().enumerate().filter(|(_, byte)| **byte == AFD[0]);
    starts.map(|(start, _)| &data[start..]).any(|rest| {
        let begins = |text: &[u8]| {
            let place = rest.get(..text.len());
            place.is_some_and(|place| place.eq_ignore_ascii_case(text))
        };
        begins(AFD) || begins(&wide)
    })
}

fn refuse<'a>(path: &Path, taken: impl Iterator<Item = &'a String>) -> Outcome {
    let names = list(taken);
    if names.is_empty() {
        return Ok(());
    }
    let text = format!("it uses undocumented calls of ntdll: {names}");
    Err(named(path, &text))
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    names.join(", ")
}

fn named(path: &Path, what: &str) -> String {
    format!("{}: {what}", path.display())
}

fn read(path: &Path) -> Outcome<Vec<u8>> {
    fs::read(path).map_err(|error| named(path, &error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::{name_at_end, names_afd, names_in_source};

    #[test]
    fn names_of_ntdll_are_found_at_the_end_of_strings() {
        let check = |string: &str, expected: Option<&str>| {
            assert_eq!(name_at_end(string.as_bytes()).as_deref(), expected);
        };
        check("NtReadFile", Some("NtReadFile"));
        check("RtlNtStatusToDosError", Some("RtlNtStatusToDosError"));
        // An import's number before the name, and the end of another text.
        check("\u{1}ZwClose", Some("ZwClose"));
        check("the endNtReadFile", Some("NtReadFile"));
        check("NtReadFile is no string by itself", None);
        check("ReadFile", None);
        check("Ntfs", None);
        check("NtAB", None);
    }

    #[test]
    fn names_of_ntdll_are_found_in_sources_but_not_in_comments() {
        let source = "// NtClose\nlet x = ffi::NtReadFile(1); // ZwClose\nHeapNtThing();";
        let names: Vec<_> = names_in_source(source).into_iter().collect();
        assert_eq!(names, ["NtReadFile"]);
    }

    #[test]
    fn the_sockets_device_is_found_in_both_encodings() {
        let wide: Vec<u8> = r"x\Device\Afd\x"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert!(names_afd(&wide));
        assert!(names_afd(br"x\DEVICE\AFD"));
        assert!(!names_afd(br"\Device\Null"));
    }
}
