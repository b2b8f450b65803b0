//! `cargo xtask arch`: the dependency rules of ARCHITECTURE.md, read from cargo's own metadata.
//!
//! Crates may import leftwards only; the platform's roles never import each other; systems stand on the facade; heavy
//! crates live in one place; members add no features, so that no crate is compiled twice.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// The shelves of `brick/`, leftmost first; crates of one shelf do not import each other.
const ORDER: [&[&str]; 8] = [
    &["brick-core"],
    &["brick-wire"],
    &["brick-bus", "brick-model"],
    &["brick-telemetry"],
    &["brick-state", "brick-discovery", "brick-auth"],
    &["brick-config"],
    &["brick-http"],
    &["brickwork"],
];

/// Outside crates that only these of ours may use directly.
const HEAVY: [(&str, &[&str]); 7] = [
    ("rusqlite", &["brick-state"]),
    (
        "opentelemetry-proto",
        &["brick-telemetry", "mortar-telemetry", "mortar-agent"],
    ),
    ("prost", &["brick-telemetry", "mortar-telemetry", "mortar-agent"]),
    ("jsonwebtoken", &["brick-auth", "mortar-identity", "brick-test"]),
    ("argon2", &["shop"]),
    ("rust-embed", &["mortar-console"]),
    ("clap", &["brick-cli", "xtask"]),
];

/// One dependency of one of our crates.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Edge {
    from: String,
    to: String,
    dev: bool,
    features: Vec<String>,
}

/// Reads the workspace and prints what breaks a rule; whether nothing does.
pub(crate) fn run(root: &Path) -> Result<bool> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("cannot read cargo's metadata")?;
    let mut findings = folders(&metadata);
    let edges = edges(root, &metadata)?;
    findings.extend(check(&edges, &names(&metadata)));
    for finding in &findings {
        println!("arch: {finding}");
    }
    if findings.is_empty() {
        println!(
            "arch: {} crates, {} dependencies, every rule holds",
            metadata.packages.len(),
            edges.len()
        );
    }
    Ok(findings.is_empty())
}

fn names(metadata: &Metadata) -> BTreeSet<String> {
    metadata
        .packages
        .iter()
        .map(|package| package.name.to_string())
        .collect()
}

/// Folder name = crate name; the two test crates say in their name whose tests they are.
fn folders(metadata: &Metadata) -> Vec<String> {
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let folder = package
            .manifest_path
            .parent()
            .and_then(|parent| parent.file_name())
            .unwrap_or_default();
        let name = package.name.to_string();
        if folder != name && format!("{folder}-tests") != name {
            findings.push(format!(
                "crate {name} lives in a folder called {folder}; the names must be equal"
            ));
        }
    }
    findings
}

fn edges(root: &Path, metadata: &Metadata) -> Result<Vec<Edge>> {
    let mut edges = Vec::new();
    for package in &metadata.packages {
        let manifest = std::fs::read_to_string(&package.manifest_path)
            .with_context(|| format!("cannot read {}", package.manifest_path))?;
        let own_features = manifest
            .lines()
            .any(|line| line.contains("features") && line.contains("workspace"));
        let inherits = !manifest.lines().any(|line| {
            let line = line.trim();
            line.contains("version = \"") && line.contains('{') || own_version(line)
        });
        if own_features || !inherits {
            let path = package
                .manifest_path
                .strip_prefix(root)
                .unwrap_or(&package.manifest_path);
            edges.push(Edge {
                from: package.name.to_string(),
                to: path.to_string(),
                dev: false,
                features: vec!["own".to_owned()],
            });
        }
        for dependency in &package.dependencies {
            edges.push(Edge {
                from: package.name.to_string(),
                to: dependency.name.clone(),
                dev: dependency.kind == DependencyKind::Development,
                features: Vec::new(),
            });
        }
    }
    Ok(edges)
}

/// A dependency line with a version of its own, `serde = "1"`.
fn own_version(line: &str) -> bool {
    let Some((key, value)) = line.split_once('=') else {
        return false;
    };
    let value = value.trim().trim_start_matches('"');
    !matches!(
        key.trim(),
        "name" | "description" | "path" | "edition" | "license" | "version" | "harness"
    ) && value.starts_with(|c: char| c.is_ascii_digit())
}

/// What breaks a rule, one line each.
fn check(edges: &[Edge], ours: &BTreeSet<String>) -> Vec<String> {
    let mut findings = Vec::new();
    for edge in edges {
        let Edge { from, to, .. } = edge;
        if !edge.features.is_empty() {
            findings.push(format!("{to}: write `x.workspace = true` and nothing else; versions and features stand in the workspace"));
        } else if ours.contains(to) {
            findings.extend(forbidden(edge).map(|why| format!("{from} must not depend on {to}: {why}")));
        } else if let Some((_, allowed)) = HEAVY.iter().find(|(name, _)| name == to)
            && !edge.dev
            && !allowed.contains(&from.as_str())
        {
            findings.push(format!(
                "{from} must not depend on {to}: only {} may",
                allowed.join(", ")
            ));
        }
    }
    findings
}

fn place(name: &str) -> Option<usize> {
    ORDER.iter().position(|shelf| shelf.contains(&name))
}

/// Why one of our crates may not depend on another, if it may not.
fn forbidden(edge: &Edge) -> Option<&'static str> {
    let (from, to) = (edge.from.as_str(), edge.to.as_str());
    let test_crate = from.ends_with("-tests");
    if to == "brick-test" {
        return (!edge.dev).then_some("the test kit is for tests");
    }
    if to == "brick-cli" || to == "xtask" {
        return Some("nothing depends on a binary");
    }
    if test_crate || from == "xtask" || from == "brick-cli" {
        return None;
    }
    match (place(from), place(to)) {
        (Some(left), Some(right)) => (right >= left).then_some("crates import leftwards only"),
        (Some(_), None) => Some("the SDK never imports the platform"),
        (None, _) if from == "brick-test" => to
            .starts_with("mortar-")
            .then_some("the SDK never imports the platform"),
        (None, _) if from.starts_with("mortar-") => {
            let gateway = from == "mortar-gateway" && to == "mortar-proxy";
            (to.starts_with("mortar-") && !gateway)
                .then_some("roles talk over the bus and HTTP, not by imports")
        }
        (None, _) => (to != "brickwork").then_some("a system imports the facade alone"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(from: &str, to: &str, dev: bool) -> usize {
        let ours = [
            "brick-core",
            "brick-http",
            "brick-state",
            "brickwork",
            "brick-test",
            "mortar-gateway",
        ];
        let ours = ours
            .into_iter()
            .chain(["mortar-proxy", "mortar-control", "brick-cli", "shop"]);
        let edge = Edge {
            from: from.to_owned(),
            to: to.to_owned(),
            dev,
            features: Vec::new(),
        };
        check(&[edge], &ours.map(ToOwned::to_owned).collect()).len()
    }

    #[test]
    fn imports_point_leftwards() {
        assert_eq!(findings("brick-http", "brick-core", false), 0);
        assert_eq!(findings("brick-core", "brick-http", false), 1);
        assert_eq!(findings("brick-http", "mortar-proxy", false), 1);
    }

    #[test]
    fn roles_do_not_import_each_other() {
        assert_eq!(findings("mortar-gateway", "mortar-proxy", false), 0);
        assert_eq!(findings("mortar-control", "mortar-gateway", false), 1);
        assert_eq!(findings("brick-cli", "mortar-control", false), 0);
    }

    #[test]
    fn a_system_stands_on_the_facade_alone() {
        assert_eq!(findings("shop", "brickwork", false), 0);
        assert_eq!(findings("shop", "brick-test", true), 0);
        assert_eq!(findings("shop", "brick-test", false), 1);
        assert_eq!(findings("shop", "brick-state", false), 1);
    }

    #[test]
    fn heavy_crates_live_in_one_place() {
        assert_eq!(findings("brick-state", "rusqlite", false), 0);
        assert_eq!(findings("mortar-control", "rusqlite", false), 1);
        assert_eq!(findings("mortar-control", "rusqlite", true), 0);
    }

    #[test]
    fn a_version_of_ones_own_is_seen() {
        assert!(own_version("serde = \"1.0\""));
        assert!(!own_version("serde.workspace = true"));
        assert!(!own_version("name = \"brick-core\""));
    }
}
