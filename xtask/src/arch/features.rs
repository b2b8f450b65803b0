//! One build for all: whichever part is built, the crates under the SDK have the same features.
//!
//! `brick up` builds a brick alone, `cargo run` the binary alone, `cargo test` the whole workspace. Where cargo resolves
//! different features for them, a newcomer compiles everything above that crate anew each time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// What a newcomer builds alone, one after the other.
const PARTS: [&str; 2] = ["brick-cli", "shop"];
/// What they share.
const SHARED: &str = "brickwork";

/// The features of each crate, `serde v1.0.0` to `default,derive`; macros may have the same crate with others.
type Features = BTreeMap<String, BTreeSet<String>>;

/// What is built differently, one line each.
pub(super) fn run(root: &Path) -> Result<Vec<String>> {
    // What build scripts use is built for the host, with features of its own.
    let shared = tree(root, &["--package", SHARED, "--edges", "normal"])?;
    let whole = tree(root, &["--workspace", "--edges", "normal,dev"])?;
    let mut findings = Vec::new();
    for part in PARTS {
        let alone = tree(root, &["--package", part, "--edges", "normal"])?;
        findings.extend(differences(part, &alone, &whole, &shared));
    }
    Ok(findings)
}

fn tree(root: &Path, arguments: &[&str]) -> Result<Features> {
    let asked = Command::new("cargo")
        .args(["tree", "--prefix", "none", "--format", "{p}|{f}"])
        .args(arguments)
        .current_dir(root)
        .output()
        .context("cannot run `cargo tree`")?;
    if !asked.status.success() {
        bail!(
            "`cargo tree` failed: {}",
            String::from_utf8_lossy(&asked.stderr).trim()
        );
    }
    Ok(read(&String::from_utf8_lossy(&asked.stdout)))
}

/// Lines such as `serde v1.0.0|default,derive (*)`.
fn read(text: &str) -> Features {
    let mut features = Features::new();
    for line in text.lines() {
        let Some((package, asked)) = line.split_once('|') else {
            continue;
        };
        let name = package.split(" (").next().unwrap_or(package).to_owned();
        let asked = asked.trim_end_matches("(*)").trim().to_owned();
        features.entry(name).or_default().insert(asked);
    }
    features
}

fn differences(part: &str, alone: &Features, whole: &Features, shared: &Features) -> Vec<String> {
    let mut findings = Vec::new();
    for (package, sets) in alone.iter().filter(|(package, _)| shared.contains_key(*package)) {
        let known = whole.get(package).cloned().unwrap_or_default();
        for set in sets.difference(&known) {
            findings.push(format!(
                "{package} has features [{set}] when {part} is built alone and [{}] with the workspace; say the union \
                 in the workspace's Cargo.toml, or everything above it is compiled twice",
                known.iter().cloned().collect::<Vec<_>>().join("] or [")
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_under_the_sdk_that_is_built_in_two_ways_is_named() {
        let whole = read("serde_json v1.0.0|default,raw_value\nserde v1.0.0|derive\nblake v1.0.0|mac\n");
        let shared = read("serde_json v1.0.0|default\nserde v1.0.0|derive (*)\n");
        let alone = read("serde_json v1.0.0|default\nserde v1.0.0|derive\nblake v1.0.0|\n");
        let found = differences("shop", &alone, &whole, &shared);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("serde_json") && found[0].contains("raw_value") && found[0].contains("shop")
        );
        assert!(differences("shop", &whole, &whole, &shared).is_empty());
    }
}
