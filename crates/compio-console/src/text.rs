//! Text of a peer, escaped when it is read.
//!
//! Every string of the protocol is a [`Text`], so no screen, message or overview can write a raw control character.

use std::{borrow::Borrow, fmt};

use serde::{Deserialize, Deserializer, de::Visitor};

/// Longest text in characters. The rest is replaced by `...`.
const MAX_CHARS: usize = 512;

/// Text that a terminal can show: without control characters, and of limited length.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(String);

impl Text {
    /// Escapes `raw`.
    pub fn new(raw: &str) -> Self {
        Self(escape(raw))
    }

    /// The escaped text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Escape;

        impl Visitor<'_> for Escape {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, raw: &str) -> Result<Text, E> {
                Ok(Text::new(raw))
            }
        }

        deserializer.deserialize_str(Escape)
    }
}

/// Replaces control characters, formatting characters (also of the direction of text), combining marks at any place and
/// unassigned characters by `\u{…}`, tabs and newlines by `\t` and `\n`.
pub fn escape(raw: &str) -> String {
    let mut escaped = String::with_capacity(raw.len().min(MAX_CHARS));
    for (index, character) in raw.chars().enumerate() {
        if index == MAX_CHARS {
            escaped.push_str("...");
            break;
        }
        match character {
            ' '..='~' => escaped.push(character),
            _ => escaped.extend(character.escape_debug()),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(escape("a\x1b[31m\x07b"), "a\\u{1b}[31m\\u{7}b");
        assert_eq!(escape("line\nbreak\ttab\r"), "line\\nbreak\\ttab\\r");
        assert_eq!(escape("\u{9b}2J\u{7f}"), "\\u{9b}2J\\u{7f}");
        assert_eq!(
            escape("\u{202e}\u{200b}\u{2028}"),
            "\\u{202e}\\u{200b}\\u{2028}"
        );
    }

    #[test]
    fn printable_text_is_kept() {
        assert_eq!(
            escape("src/main.rs:20:9 \"größe\" \\ 水"),
            "src/main.rs:20:9 \"größe\" \\ 水"
        );
    }

    #[test]
    fn long_text_is_cut() {
        let text = escape(&"x".repeat(100_000));
        assert_eq!(text.len(), MAX_CHARS + 3);
        assert!(text.ends_with("..."));
    }

    #[test]
    fn json_string_is_escaped_when_it_is_read() {
        let text: Text = serde_json::from_str(r#""\u001b]0;title\u0007""#).unwrap();
        assert_eq!(text.as_str(), "\\u{1b}]0;title\\u{7}");
    }
}
