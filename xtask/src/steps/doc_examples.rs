//! The examples on the pages of `compio`, compiled as a user copies them: without the hidden lines, in a
//! crate outside of the workspace. The doctests run the same examples, with the hidden lines.
//!
//! The front page of `compio` states the rule: an example with a `fn main` is a program, any other is the
//! body of an async function. It also names the `CRATES` that examples may use besides `compio`.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use super::document;
use crate::run::{Outcome, Run};

/// The crates on the front page of `compio`, with their features in the examples.
const CRATES: &str = r#"
bytes = "1"
futures-util = { version = "0.3", features = ["io", "sink"] }
tempfile = "3"
tokio = { version = "1", features = ["io-util", "macros", "rt"] }
"#;

/// Crates whose items users import from `compio`.
const PARTS: [&str; 3] = ["compio_executor::", "compio_io::", "compio_macros::"];

/// The same, but `compio::driver` is a link to the pages of this crate.
const LINKED: &str = "compio_driver::";

/// Pages of items of std and `io-uring`, whose examples are tested there.
const FOREIGN: [&str; 3] = [
    "os/linux/io_uring",
    "os/linux/struct.RawEntry.html",
    "time/struct.Duration.html",
];

/// The sections of a page in this order: the methods of a `Deref` target, which may be a type of std, and
/// the next section.
const DEREF: [&str; 2] = [
    "<h2 id=\"deref-methods-",
    "<h2 id=\"trait-implementations\"",
];

pub(crate) fn run(run: &mut Run) -> Outcome {
    let pages = run.workspace().target().join("doc/compio");
    document(run, "")?;
    let front = pages.join("index.html");
    if !text(&read(&front)?).contains(CRATES.trim()) {
        return Err(format!("{} does not list:{CRATES}", front.display()));
    }
    let mut examples = Examples::default();
    for page in html_files(&pages)? {
        let name = page.strip_prefix(&pages).unwrap_or(&page);
        if !FOREIGN.iter().any(|foreign| name.starts_with(foreign)) {
            examples.add(&name.to_string_lossy(), &read(&page)?)?;
        }
    }
    let folder = run.scratch("doc-examples")?;
    examples.write(run, &folder)?;
    println!(
        "{} examples on {} pages",
        examples.modules.len(),
        examples.pages
    );
    // Most dependencies are built already.
    run.cargo("check --manifest-path")
        .path(&folder.join("Cargo.toml"))
        .words("--target-dir")
        .path(run.workspace().target())
        .run()
}

/// The different examples of all pages.
#[derive(Default)]
struct Examples {
    /// The number of pages that contain examples.
    pages: usize,
    /// The names of the modules, by the code.
    modules: BTreeMap<String, String>,
}

impl Examples {
    fn add(&mut self, page: &str, html: &str) -> Outcome {
        let text = text(html);
        // Titles of links are not in the text.
        let names =
            |part: &&&str| text.contains(**part) || html.contains(**part) && **part != LINKED;
        if let Some(part) = PARTS.iter().chain([&LINKED]).find(names) {
            return Err(format!(
                "the page compio/{page} contains `{part}`: users import from `compio`"
            ));
        }
        let [before, after] = DEREF.map(|section| html.find(section).unwrap_or(html.len()));
        let mut examples = rust_blocks(&html[..before]);
        examples.extend(rust_blocks(&html[after.max(before)..]));
        self.pages += usize::from(!examples.is_empty());
        for (index, code) in examples.into_iter().enumerate() {
            let module = format!("{}_{index}", identifier(page));
            self.modules.entry(code).or_insert(module);
        }
        Ok(())
    }

    /// Writes a crate with one module for each example.
    fn write(&self, run: &Run, folder: &Path) -> Outcome {
        let root = run.workspace().root();
        let manifest = format!(
            "[package]\nname = \"doc-examples\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\
             {CRATES}compio = {{ path = {:?}, features = {:?} }}\n",
            root.join("crates/compio"),
            run.workspace().features("compio")
        );
        let sources = folder.join("src");
        fs::create_dir(&sources).map_err(|error| format!("{}: {error}", sources.display()))?;
        write(&folder.join("Cargo.toml"), &manifest)?;
        // The same versions of all dependencies.
        write(&folder.join("Cargo.lock"), &read(&root.join("Cargo.lock"))?)?;
        let mut list =
            "#![allow(warnings, reason = \"an example need not use its values\")]\n".to_owned();
        for (code, module) in &self.modules {
            let _ = writeln!(list, "mod {module};");
            write(&sources.join(module).with_extension("rs"), &program(code))?;
        }
        write(&sources.join("lib.rs"), &list)
    }
}

/// The examples that a user can copy: Rust code without a mark such as `compile_fail` or `ignore`. An example
/// that panics compiles.
fn rust_blocks(html: &str) -> Vec<String> {
    let blocks = html.split("<div class=\"example-wrap").skip(1);
    let code = blocks.filter_map(|block| {
        let (marks, block) = block.split_once("\">")?;
        let (pre, code) = block.split_once("<code>")?;
        let is_rust = pre.contains("<pre class=\"rust ");
        let is_whole = ["", "should_panic"].contains(&marks.trim());
        (is_rust && is_whole).then(|| code.split_once("</code>").map_or(code, |(code, _)| code))
    });
    code.map(text).collect()
}

/// The text of a piece of HTML.
fn text(html: &str) -> String {
    let mut pieces = html.split('<');
    let first = pieces.next().unwrap_or_default();
    let behind_tags = pieces.map(|piece| piece.split_once('>').map_or("", |(_, text)| text));
    let text = behind_tags.fold(first.to_owned(), |text, piece| text + piece);
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

/// A whole program, or the body of an async function.
fn program(example: &str) -> String {
    if example.contains("fn main(") {
        return format!("{example}\n");
    }
    format!("async fn example() -> std::io::Result<()> {{\n{example}\n;Ok(())\n}}\n")
}

/// The name of a page as a module: `io/trait.AsyncRead.html` is `io_trait_asyncread`.
fn identifier(page: &str) -> String {
    let name = page.trim_end_matches(".html").to_lowercase();
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

/// The pages in a folder and below, sorted.
fn html_files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let failed = |error| format!("{}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            found.extend(html_files(&path)?);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "html")
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, content: &str) -> Outcome {
    fs::write(path, content).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r##"<pre class="rust item-decl"><code>pub fn f()</code></pre>
<div class="example-wrap"><pre class="rust rust-example-rendered"><code><span class="kw">let </span>a: Vec&lt;u8&gt; = <span class="string">&quot;&amp;lt;&quot;</span>.into();

a.len();</code></pre></div>
<div class="example-wrap"><pre class="language-text"><code>no Rust</code></pre></div>
<div class="example-wrap compile_fail"><a href="#" class="tooltip" title="fails">ⓘ</a><pre class="rust rust-example-rendered"><code>no_code</code></pre></div>
<div class="example-wrap ignore"><a href="#" class="tooltip" title="ignored">ⓘ</a><pre class="rust rust-example-rendered"><code>no_test</code></pre></div>
<div class="example-wrap should_panic"><a href="#" class="tooltip" title="panics">ⓘ</a><pre class="rust rust-example-rendered"><code><span class="macro">panic!</span>()</code></pre></div>"##;

    #[test]
    fn examples_of_a_page_are_its_unmarked_rust_blocks_and_panics() {
        let expected = ["let a: Vec<u8> = \"&lt;\".into();\n\na.len();", "panic!()"];
        assert_eq!(rust_blocks(PAGE), expected);
    }

    #[test]
    fn example_on_two_pages_is_one_module() {
        let mut found = Examples::default();
        found.add("io/trait.AsyncRead.html", PAGE).unwrap();
        found.add("index.html", PAGE).unwrap();
        assert_eq!(found.pages, 2);
        let modules: Vec<_> = found.modules.values().collect();
        assert_eq!(modules, ["io_trait_asyncread_0", "io_trait_asyncread_1"]);
    }

    #[test]
    fn path_of_a_part_on_a_page_is_an_error() {
        for page in [
            "use <b>compio_io</b>::io::copy;",
            "<a title=\"fn compio_io::io::copy\">copy</a>",
        ] {
            assert!(Examples::default().add("index.html", page).is_err());
        }
    }

    #[test]
    fn example_without_main_becomes_the_body_of_an_async_function() {
        assert_eq!(program("fn main() {}"), "fn main() {}\n");
        assert!(program("f().await?").starts_with("async fn example()"));
    }
}
