//! The SDK as a new system gets it: the sources that this binary was made from, as one cargo workspace.
//!
//! There is no published crate yet. With its sources inside, the binary alone makes a system that builds, without a
//! network once cargo has the crates; and the lock file pins what the platform itself was tested with.

use std::collections::BTreeSet;

use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../../brick"]
struct Crates;

const WORKSPACE: &str = include_str!("../../../../../Cargo.toml");
const LOCK: &str = include_str!("../../../../../Cargo.lock");
const README: &str = "# Brickwork's SDK

The sources of the SDK that came with the `brick` which made this system. They are here because there is no published
crate yet: with them the system builds from what is in this folder, and from the crates that cargo has or fetches.
`brickwork` is the crate to use, `brick-test` the test kit; the others are theirs.

To move to a newer SDK, make a system with the newer `brick` and take its `vendor/brickwork` in place of this one.
Licence: MIT or Apache-2.0, as you like.
";

/// Where the SDK is in a new system.
const PLACE: &str = "vendor/brickwork";
/// The crates that a brick names itself.
const ROOTS: [&str; 2] = ["brickwork", "brick-test"];

/// Every file: the crates, their workspace, and the lock file of the new system.
pub(super) fn files() -> Vec<(String, String)> {
    let names = closure();
    let mut files = vec![
        ("Cargo.lock".to_owned(), LOCK.to_owned()),
        (format!("{PLACE}/README.md"), README.to_owned()),
        (format!("{PLACE}/Cargo.toml"), workspace(&names)),
    ];
    for path in Crates::iter() {
        let own = path.split('/').next().is_some_and(|name| names.contains(name));
        if own && !is_test(&path) {
            files.push((format!("{PLACE}/{path}"), text(&path)));
        }
    }
    files
}

fn text(path: &str) -> String {
    let file = Crates::get(path);
    file.map_or_else(String::new, |file| {
        String::from_utf8_lossy(&file.data).into_owned()
    })
}

/// Tests and examples of the SDK itself; without them the crates build the same.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.contains("/examples/")
}

/// The roots and all that they depend on among the SDK's crates.
fn closure() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut open: Vec<String> = ROOTS.map(str::to_owned).into();
    while let Some(name) = open.pop() {
        let manifest = text(&format!("{name}/Cargo.toml"));
        if names.insert(name) {
            open.extend(
                dependencies(&manifest)
                    .filter(|name| name.starts_with("brick"))
                    .map(str::to_owned),
            );
        }
    }
    names
}

/// Names of what a manifest takes from its workspace.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    manifest
        .lines()
        .filter_map(|line| line.strip_suffix(".workspace = true"))
}

/// The workspace's manifest with the SDK's crates alone, and only the dependencies that they have.
fn workspace(names: &BTreeSet<String>) -> String {
    let manifests: Vec<String> = names
        .iter()
        .map(|name| text(&format!("{name}/Cargo.toml")))
        .collect();
    let wanted: BTreeSet<&str> = manifests
        .iter()
        .flat_map(|manifest| dependencies(manifest))
        .collect();
    let members: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let mut out = format!(
        "# The workspace that the SDK's crates were made in, without the rest of it.\n[workspace]\nresolver = \"3\"\nmembers = [{}]\n",
        members.join(", ")
    );
    let mut section = "";
    for line in WORKSPACE.lines() {
        if line.starts_with('[') {
            section = line;
            if line.starts_with("[workspace.") {
                out.push_str(&format!("\n{line}\n"));
            }
            continue;
        }
        let Some((name, _)) = line
            .split_once(" = ")
            .filter(|_| section.starts_with("[workspace."))
        else {
            continue;
        };
        if section != "[workspace.dependencies]" {
            out.push_str(&format!("{line}\n"));
        } else if wanted.contains(name) || names.contains(name) {
            out.push_str(&format!("{}\n", line.replace("path = \"brick/", "path = \"")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdk_comes_whole_and_alone() {
        let files = files();
        let of = |path: &str| {
            files
                .iter()
                .find(|(name, _)| name == path)
                .map(|(_, text)| text.as_str())
        };
        let workspace = of("vendor/brickwork/Cargo.toml").expect("the workspace's manifest");
        assert!(
            workspace.contains("brick-http = { path = \"brick-http\" }"),
            "{workspace}"
        );
        assert!(!workspace.contains("mortar"), "{workspace}");
        assert!(
            workspace.contains("\ntokio = {") && !workspace.contains("\nclap = {"),
            "{workspace}"
        );
        assert!(of("vendor/brickwork/brickwork/src/lib.rs").is_some_and(|text| text.starts_with("//!")));
        assert!(of("vendor/brickwork/brick-test/Cargo.toml").is_some());
        assert!(of("vendor/brickwork/brick-model/Cargo.toml").is_none());
        assert!(of("Cargo.lock").is_some_and(|text| text.contains("name = \"tokio\"")));
        assert!(files.iter().all(|(path, _)| !path.ends_with("/tests.rs")));
    }
}
