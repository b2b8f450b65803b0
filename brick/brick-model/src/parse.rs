//! From text to a valid model, or to everything that is wrong with it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::Level;
use toml::de::DeTable;

use crate::diagnostic::{self, Diagnostic, Invalid, Problem};
use crate::model::Model;
use crate::{check, read};

/// Name of the manifest in a system's folder.
pub const FILE: &str = "brick.toml";

/// Largest manifest that is read.
pub const BYTES_MAX: usize = 256 << 10;

/// Longest dotted key that is read, in names.
const NAMES_MAX: usize = 16;

/// A valid model and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The model.
    pub model: Model,
    /// The manifest's path.
    pub path: PathBuf,
    /// The folder that paths in the manifest are relative to.
    pub dir: PathBuf,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Diagnostic>,
    text: String,
}

impl Loaded {
    /// All warnings with a picture of each line, for people; empty without warnings.
    pub fn render_warnings(&self, color: bool) -> String {
        let origin = self.path.display().to_string();
        diagnostic::render(&origin, &self.text, &self.warnings, Level::WARNING, color)
    }
}

impl Model {
    /// Reads and validates the manifest at `path`, a file or a folder with a `brick.toml`. Folders that bricks name
    /// must exist.
    pub fn load(path: &Path) -> Result<Loaded, Invalid> {
        let path = if path.is_dir() {
            path.join(FILE)
        } else {
            path.to_owned()
        };
        let origin = path.display().to_string();
        let text = std::fs::read(&path).map_err(|error| {
            let hint = "name the folder of a system, one that has a brick.toml";
            Invalid::unreadable(&origin, format!("cannot read the manifest: {error}"), hint)
        })?;
        let text = String::from_utf8(text).map_err(|error| {
            let message = format!(
                "the manifest is not UTF-8 from byte {} on",
                error.utf8_error().valid_up_to()
            );
            Invalid::unreadable(&origin, message, "save the file as UTF-8")
        })?;
        let dir = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let (model, warnings) = parse_in(&text, &origin, Some(&dir))?;
        Ok(Loaded {
            model,
            path,
            dir,
            warnings,
            text,
        })
    }
}

/// Parses and validates a manifest's text; `origin` is how messages name it. Looks at no file.
pub fn parse(text: &str, origin: &str) -> Result<Model, Invalid> {
    parse_in(text, origin, None).map(|(model, _)| model)
}

/// As [`parse`], with what is allowed but probably not meant.
pub fn parse_with_warnings(text: &str, origin: &str) -> Result<(Model, Vec<Diagnostic>), Invalid> {
    parse_in(text, origin, None)
}

fn parse_in(text: &str, origin: &str, dir: Option<&Path>) -> Result<(Model, Vec<Diagnostic>), Invalid> {
    if let Some(problem) = outsized(text) {
        return Err(Invalid::new(origin, text, vec![problem]));
    }
    let document = match DeTable::parse_recoverable(text) {
        (document, errors) if errors.is_empty() => document,
        (_, errors) => {
            let problems = errors.iter().map(|error| syntax(text, error)).collect();
            return Err(Invalid::new(origin, text, problems));
        }
    };
    let manifest = read::manifest(document.get_ref());
    if manifest.newer {
        return Err(Invalid::new(origin, text, manifest.problems));
    }
    let mut problems = manifest.problems;
    problems.extend(check::errors(&manifest.model, &manifest.places, dir));
    if !problems.is_empty() {
        return Err(Invalid::new(origin, text, problems));
    }
    let warnings = diagnostic::locate(text, check::warnings(&manifest.model, &manifest.places));
    Ok((manifest.model, warnings))
}

fn outsized(text: &str) -> Option<Problem> {
    if text.len() > BYTES_MAX {
        let message = format!(
            "the manifest is {} bytes long, at most {BYTES_MAX} are read",
            text.len()
        );
        return Some(Problem::new("too-large", &(0..0), message));
    }
    deep_key(text).map(|span| {
        let message = format!("a dotted key has at most {NAMES_MAX} names");
        Problem::new("too-deep", &span, message)
    })
}

/// The first dotted key with more than [`NAMES_MAX`] names. The TOML parser nests a table per name and recurses
/// over them, so this is looked at before it runs. Strings and comments are skipped.
fn deep_key(text: &str) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let (mut at, mut start, mut dots) = (0, 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'') => {
                at = string_end(bytes, at, quote);
                continue;
            }
            b'#' => {
                at += bytes[at..].iter().take_while(|b| **b != b'\n').count();
                (start, dots) = (at, 0);
                continue;
            }
            b'.' => dots += 1,
            b' ' | b'\t' | b'_' | b'-' => {}
            b if b.is_ascii_alphanumeric() => {}
            _ => (start, dots) = (at + 1, 0),
        }
        if dots >= NAMES_MAX {
            return Some(start..at);
        }
        at += 1;
    }
    None
}

/// Where the string that opens at `at` ends; a string on one line ends with the line at the latest.
fn string_end(bytes: &[u8], at: usize, quote: u8) -> usize {
    let many = bytes[at..].starts_with(&[quote; 3]);
    let mut end = at + if many { 3 } else { 1 };
    while end < bytes.len() {
        match bytes[end] {
            b'\\' if quote == b'"' => end += 1,
            b'\n' if !many => return end,
            b if b == quote && !many => return end + 1,
            b if b == quote && bytes[end..].starts_with(&[quote; 3]) => return end + 3,
            _ => {}
        }
        end += 1;
    }
    end.min(bytes.len())
}

fn syntax(text: &str, error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or(text.len()..text.len());
    let lines: Vec<&str> = error.message().lines().collect();
    let message = lines.join(", ").replace(", expected nothing", "");
    Problem::new("syntax", &span, format!("this is not TOML: {message}"))
}
