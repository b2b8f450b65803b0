//! `cargo xtask tidy`: the style limits that a machine can check.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Longest source file, in lines.
const FILE_LINES_MAX: usize = 500;
/// Longest function, in lines.
const FUNCTION_LINES_MAX: usize = 70;

/// What is looked for by text, and what to do instead. Each is written in two halves so that this file passes.
const FORBIDDEN: [(&str, &str, &str); 8] = [
    ("TO", "DO", "finish it or leave it out"),
    ("FIX", "ME", "fix it"),
    ("XX", "X:", "finish it or leave it out"),
    ("dbg", "!(", "remove it"),
    ("todo", "!(", "write it"),
    ("unimplemented", "!(", "write it"),
    ("#[ign", "ore", "a test runs or is deleted"),
    ("allow(dead", "_code)", "delete what is not used"),
];

/// Prints what breaks a limit; whether nothing does.
pub(crate) fn run(root: &Path) -> Result<bool> {
    let files = tracked(root)?;
    let mut findings = Vec::new();
    for file in &files {
        let name = file.to_string_lossy().replace('\\', "/");
        let Ok(text) = std::fs::read_to_string(root.join(file)) else {
            continue;
        };
        if name.ends_with(".rs") {
            findings.extend(rust(&name, &text));
        } else if name.ends_with(".md") && !name.contains("/templates/") {
            // What a template links to is there once a system was made of it.
            findings.extend(links(root, file, &text));
        }
    }
    for finding in &findings {
        println!("tidy: {finding}");
    }
    if findings.is_empty() {
        println!("tidy: {} files, every limit holds", files.len());
    }
    Ok(findings.is_empty())
}

fn tracked(root: &Path) -> Result<Vec<PathBuf>> {
    let listed = Command::new("git")
        .args(["ls-files", "-co", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("cannot run git; `tidy` checks the files that git knows")?;
    if !listed.status.success() {
        bail!(
            "git ls-files failed: {}",
            String::from_utf8_lossy(&listed.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&listed.stdout)
        .lines()
        .map(PathBuf::from)
        .collect())
}

fn is_test(name: &str) -> bool {
    name.starts_with("tests/")
        || name.contains("/tests/")
        || name.ends_with("/tests.rs")
        || name.contains("/generated/")
}

/// Findings in one Rust file.
fn rust(name: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let code = text.split("#[cfg(test)]").next().unwrap_or(text);
    if name.ends_with("/mod.rs") {
        findings.push(format!("{name}: use foo.rs and foo/ instead of mod.rs"));
    }
    if !is_test(name) && text.lines().count() > FILE_LINES_MAX {
        findings.push(format!(
            "{name}: {} lines, at most {FILE_LINES_MAX}",
            text.lines().count()
        ));
    }
    if !name.ends_with("/tests.rs") && !text.trim_start().starts_with("//!") {
        findings.push(format!(
            "{name}: begin with a `//!` that says what the file is for"
        ));
    }
    if !is_test(name) {
        findings.extend(long_functions(name, code));
    }
    findings.extend(sleeps(name, text));
    for (number, line) in text.lines().enumerate() {
        for (head, tail, instead) in FORBIDDEN {
            if line.contains(&format!("{head}{tail}")) {
                findings.push(format!("{name}:{}: {head}{tail}: {instead}", number + 1));
            }
        }
        if line.ends_with(' ') || line.ends_with('\t') {
            findings.push(format!(
                "{name}:{}: white space at the end of the line",
                number + 1
            ));
        }
    }
    findings
}

/// Sleeps in tests: they make tests slow or flaky. A harness (`tests/*/src`) may, to poll until a deadline; so may a file
/// of tests that all run on a paused clock, where a sleep takes no time.
fn sleeps(name: &str, text: &str) -> Vec<String> {
    let harness = name.starts_with("tests/") && name.contains("/src/");
    let from = match text.find("#[cfg(test)]") {
        _ if is_test(name) && !harness => 0,
        Some(at) if !harness => text[..at].lines().count(),
        _ => return Vec::new(),
    };
    let calls = [("thread::", "sleep("), ("time::", "sleep(")].map(|(head, tail)| format!("{head}{tail}"));
    let paused = text.contains("start_paused = true") && !text.contains("#[tokio::test]");
    let calls = if paused { &calls[..1] } else { &calls[..] };
    text.lines()
        .enumerate()
        .skip(from)
        .filter(|(_, line)| calls.iter().any(|call| line.contains(call)))
        .map(|(number, _)| {
            format!(
                "{name}:{}: a sleep in a test: pause the clock, or wait for the condition itself",
                number + 1
            )
        })
        .collect()
}

/// Functions over the limit, measured from their signature to the closing brace of the same indentation.
fn long_functions(name: &str, code: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let mut open: Option<(usize, usize, String)> = None;
    for (number, line) in code.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let trimmed = line.trim_start();
        if open.is_none()
            && (trimmed.starts_with("fn ") || trimmed.contains(" fn "))
            && !trimmed.starts_with("//")
        {
            let title = trimmed
                .split("fn ")
                .nth(1)
                .and_then(|rest| rest.split(['(', '<']).next())
                .unwrap_or("");
            if !trimmed.trim_end().ends_with([';', '}']) {
                open = Some((number, indent, title.to_owned()));
            }
        } else if let Some((start, depth, title)) = &open
            && indent == *depth
            && (trimmed.starts_with('}') || trimmed.ends_with(';'))
        {
            if number - start + 1 > FUNCTION_LINES_MAX {
                let lines = number - start + 1;
                findings.push(format!(
                    "{name}:{}: fn {title} has {lines} lines, at most {FUNCTION_LINES_MAX}",
                    start + 1
                ));
            }
            open = None;
        }
    }
    findings
}

/// Relative links of a page that lead nowhere.
fn links(root: &Path, file: &Path, text: &str) -> Vec<String> {
    let folder = root.join(file);
    let folder = folder.parent().unwrap_or(root);
    let mut findings = Vec::new();
    for piece in text.split("](").skip(1) {
        let Some((target, _)) = piece.split_once(')') else {
            continue;
        };
        let path = target.split('#').next().unwrap_or_default();
        let outside =
            path.is_empty() || path.contains("://") || path.starts_with("mailto:") || path.contains(' ');
        if !outside && !folder.join(path).exists() {
            findings.push(format!("{}: the link to {target} leads nowhere", file.display()));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_file_passes() {
        assert_eq!(
            rust("a/src/lib.rs", "//! Says.\nfn f() {\n}\n"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn each_limit_is_seen() {
        let long = format!("//! Says.\n{}", "// x\n".repeat(FILE_LINES_MAX));
        assert_eq!(rust("a/src/lib.rs", &long).len(), 1);
        assert_eq!(rust("a/tests/lib.rs", &long).len(), 0);
        assert_eq!(rust("a/src/b/mod.rs", "//! Says.\n").len(), 1);
        assert_eq!(rust("a/src/b.rs", "fn f() {}\n").len(), 1);
        assert_eq!(
            rust("a/src/b.rs", &format!("//! Says.\n// {}{}\n", "TO", "DO")).len(),
            1
        );
        let sleep = format!("//! Says.\n    thread::{}1);\n", "sleep(");
        assert_eq!(rust("a/src/b.rs", &sleep).len(), 0);
        assert_eq!(rust("tests/a/src/lib.rs", &sleep).len(), 0);
        let paused = format!(
            "//! Says.\n#[tokio::test(start_paused = true)]\n    tokio::time::{}1);\n",
            "sleep("
        );
        assert_eq!(rust("tests/a/tests/b.rs", &paused).len(), 0);
        assert_eq!(
            rust("tests/a/tests/b.rs", &paused.replace("(start_paused = true)", "")).len(),
            1
        );
        assert_eq!(rust("tests/a/tests/b.rs", &sleep).len(), 1);
        let late = format!(
            "//! Says.\n#[cfg(test)]\nmod tests {{\n{}}}\n",
            sleep.lines().last().unwrap_or_default()
        );
        assert_eq!(rust("a/src/b.rs", &late).len(), 1);
        let body = "    x();\n".repeat(FUNCTION_LINES_MAX);
        assert_eq!(
            rust("a/src/b.rs", &format!("//! Says.\nfn f() {{\n{body}}}\n")).len(),
            1
        );
    }
}
