//! `cargo xtask fuzz [TARGET] [--for 30s]`: the targets of `fuzz/`, each for a while.
//!
//! They need cargo-fuzz and a nightly compiler, which nothing else here does; where one is missing it is said how to
//! get it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::setup;

/// What to fuzz and how long.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// One target of `fuzz/fuzz_targets`, instead of all
    target: Option<String>,
    /// How long each runs: `30s`, `5m`
    #[arg(long = "for", value_name = "DURATION", default_value = "30s", value_parser = seconds)]
    seconds: u64,
}

/// Runs the targets; whether none found anything.
pub(crate) fn run(root: &Path, options: &Options) -> Result<bool> {
    let known = targets(root)?;
    let wanted: Vec<&String> = match &options.target {
        None => known.iter().collect(),
        Some(one) => match known.iter().find(|name| *name == one) {
            Some(name) => vec![name],
            None => bail!("expected one of {}, found \"{one}\"", known.join(", ")),
        },
    };
    if !setup::present("cargo-fuzz") {
        bail!("cargo-fuzz is not installed; `cargo install cargo-fuzz --locked` brings it");
    }
    let toolchain = toolchain()?;
    let mut found = Vec::new();
    for target in wanted {
        println!("── {target}, {} s", options.seconds);
        let begin = Instant::now();
        let status = Command::new("cargo")
            .args(toolchain)
            .args(["fuzz", "run", target, "--"])
            .args([
                format!("-max_total_time={}", options.seconds),
                "-max_len=8192".to_owned(),
            ])
            .current_dir(root)
            .stdin(Stdio::null())
            .status()
            .context("cannot run cargo")?;
        if !status.success() {
            println!("{target} failed after {} s", begin.elapsed().as_secs());
            found.push(target.as_str());
        }
    }
    match found.is_empty() {
        true => println!("fuzz: nothing found"),
        false => println!(
            "fuzz: {} found something; the input is in fuzz/artifacts",
            found.join(", ")
        ),
    }
    Ok(found.is_empty())
}

/// Names of the targets.
fn targets(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("fuzz/fuzz_targets");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .flatten()
        .filter_map(|entry| Some(entry.path().file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// What tells cargo to use a compiler with the sanitizers: none where this one is told to be nightly.
fn toolchain() -> Result<&'static [&'static str]> {
    if std::env::var_os("RUSTC_BOOTSTRAP").is_some_and(|value| value == "1") {
        return Ok(&[]);
    }
    let nightly = Command::new("rustc").args(["+nightly", "--version"]).output();
    if nightly.is_ok_and(|output| output.status.success()) {
        return Ok(&["+nightly"]);
    }
    bail!("fuzzing needs a nightly compiler: `rustup toolchain install nightly`, or set RUSTC_BOOTSTRAP=1")
}

/// `30s`, `5m`, `1h`: seconds.
fn seconds(text: &str) -> Result<u64, String> {
    let expected = || format!("expected a duration such as 30s or 5m, found \"{text}\"");
    let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(expected)?;
    let (number, unit) = text.split_at(at);
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(expected()),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    number
        .checked_mul(factor)
        .filter(|seconds| *seconds > 0)
        .ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, expect) in [
            ("30s", Some(30)),
            ("5m", Some(300)),
            ("1h", Some(3600)),
            ("30", None),
            ("s", None),
            ("0s", None),
            ("1d", None),
        ] {
            assert_eq!(seconds(text).ok(), expect, "{text}");
        }
    }

    #[test]
    fn every_target_is_declared() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let manifest = std::fs::read_to_string(root.join("fuzz/Cargo.toml")).unwrap();
        for name in targets(&root).unwrap() {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        }
    }
}
