//! `cargo xtask test`: every test, one count at the end.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::setup;

/// What to run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Install nothing
    #[arg(long)]
    no_setup: bool,
    /// Only Rust tests whose name holds this
    filter: Option<String>,
}

/// How many tests did what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Count {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// Runs the tests; whether all passed (and, in CI, none was skipped).
pub(crate) fn run(root: &Path, options: &Options) -> Result<bool> {
    let missing = if options.no_setup {
        Vec::new()
    } else {
        setup::run(root)?
    };
    let mut count = Count::default();
    let mut good = true;

    step("building");
    let mut build = Command::new("cargo");
    build.args(["test", "--release", "--workspace", "--no-run", "--quiet"]);
    let mut binaries = Command::new("cargo");
    binaries.args(["build", "--release", "--quiet", "-p", "brick-cli", "-p", "shop"]);
    for command in [&mut build, &mut binaries] {
        good &= command
            .current_dir(root)
            .status()
            .context("cannot run cargo")?
            .success();
    }

    step("Rust tests");
    let mut rust = Command::new("cargo");
    rust.args(["test", "--release", "--workspace", "--no-fail-fast"])
        .current_dir(root);
    rust.args(options.filter.iter());
    good &= stream(&mut rust, &mut count, rust_line)?;

    let browser = root.join("tests/browser");
    if options.filter.is_none() && browser.join("package.json").exists() {
        step("browser tests");
        if setup::present("node") && setup::present("chromium") && browser.join("node_modules").exists() {
            let mut node = Command::new("node");
            node.args(["--test", "--test-reporter=tap", "--test-concurrency=1"])
                .current_dir(&browser);
            good &= stream(&mut node, &mut count, node_line)?;
        } else {
            println!("SKIPPED: the browser tests need node, chromium and the packages of tests/browser");
            count.skipped += 1;
        }
    }
    for line in &missing {
        println!("missing: {line}");
    }
    let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    if ci && count.skipped > 0 {
        println!("in CI a skipped test is a failure");
        good = false;
    }
    println!(
        "{} passed, {} failed, {} skipped",
        count.passed, count.failed, count.skipped
    );
    Ok(good && count.failed == 0 && count.passed > 0)
}

fn step(what: &str) {
    println!("── {what}");
}

/// Runs a command, shows its output as it comes and lets `read` count.
fn stream(command: &mut Command, count: &mut Count, read: fn(&str, &mut Count)) -> Result<bool> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run the tests")?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line.context("cannot read the tests' output")?;
            println!("{line}");
            read(&line, count);
        }
    }
    Ok(child.wait().context("cannot wait for the tests")?.success())
}

/// `test result: ok. 12 passed; 0 failed; 1 ignored; …`
fn rust_line(line: &str, count: &mut Count) {
    let Some(rest) = line.strip_prefix("test result: ") else {
        return;
    };
    let number = |word: &str| {
        let before = rest.split(word).next()?.trim_end();
        before.rsplit([' ', '.']).next()?.parse::<u64>().ok()
    };
    count.passed += number(" passed").unwrap_or(0);
    count.failed += number(" failed").unwrap_or(0);
    count.skipped += number(" ignored").unwrap_or(0);
}

/// `# pass 12`, the closing lines of node's TAP reporter.
fn node_line(line: &str, count: &mut Count) {
    let number = |prefix: &str| {
        line.strip_prefix(prefix)
            .and_then(|rest| rest.trim().parse::<u64>().ok())
    };
    count.passed += number("# pass ").unwrap_or(0);
    count.failed += number("# fail ").unwrap_or(0) + number("# cancelled ").unwrap_or(0);
    count.skipped += number("# skipped ").unwrap_or(0) + number("# todo ").unwrap_or(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runners_closing_lines_are_counted() {
        let mut count = Count::default();
        rust_line(
            "test result: FAILED. 12 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out",
            &mut count,
        );
        node_line("# pass 3", &mut count);
        node_line("# fail 1", &mut count);
        rust_line("running 3 tests", &mut count);
        assert_eq!(
            count,
            Count {
                passed: 15,
                failed: 3,
                skipped: 1
            }
        );
    }
}
