//! Parts of JSON texts.

use std::fmt::Write;

/// The comma before all elements but the first.
pub(crate) fn separate(json: &mut String, index: usize) {
    if index > 0 {
        json.push(',');
    }
}

/// A string or `null`.
pub(crate) fn write_text_or_null(json: &mut String, text: Option<&str>) {
    match text {
        Some(text) => write_text(json, text),
        None => json.push_str("null"),
    }
}

/// A string of JSON. Names of tasks and paths have any characters.
pub(crate) fn write_text(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            control if control < ' ' => {
                let code = u32::from(control);
                write!(json, "\\u{code:04x}").expect("a string takes all writes");
            }
            other => json.push(other),
        }
    }
    json.push('"');
}
