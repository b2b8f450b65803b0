//! `cargo xtask arch`: the dependency rules of ARCHITECTURE.md, read from cargo's own metadata.
//!
//! Crates may import leftwards only; the platform's roles never import each other; systems stand on the facade; heavy
//! crates live in one place; members add no features, and every part asks for the same ones of what the SDK stands on,
//! so that no crate is compiled twice.

mod features;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// The shelves of `brick/`, leftmost first; crates of one shelf do not import each other.
const ORDER: [&[&str]; 8] = [
    &["brick-core", "brick-flags"],
    &["brick-wire"],
    &["brick-bus", "brick-model"],
    &["brick-telemetry"],
    &["brick-state", "brick-discovery", "brick-auth"],
    &["brick-config", "brick-resilience"],
    &["brick-http"],
    &["brickwork"],
];

/// Outside crates that only these of ours may use directly.
const HEAVY: [(&str, &[&str]); 8] = [
    ("rusqlite", &["brick-state"]),
    ("tokio-postgres", &["brick-state"]),
    (
        "opentelemetry-proto",
        &["brick-telemetry", "mortar-telemetry", "mortar-agent"],
    ),
    ("prost", &["brick-telemetry", "mortar-telemetry", "mortar-agent"]),
    ("jsonwebtoken", &["brick-auth", "mortar-identity", "brick-test"]),
    ("argon2", &["shop"]),
    ("rust-embed", &["mortar-console", "brick-cli"]),
    ("clap", &["brick-cli", "xtask"]),
];

/// One dependency of one of our crates.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Edge {
    from: String,
    to: String,
    dev: bool,
    /// Whether it says more than that the workspace has it.
    own: bool,
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
    findings.extend(features::run(root)?);
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
        let text = std::fs::read_to_string(&package.manifest_path)
            .with_context(|| format!("cannot read {}", package.manifest_path))?;
        let manifest: toml::Table = text
            .parse()
            .with_context(|| format!("cannot parse {}", package.manifest_path))?;
        let path = package
            .manifest_path
            .strip_prefix(root)
            .unwrap_or(&package.manifest_path);
        for name in not_inherited(&manifest) {
            edges.push(Edge {
                from: path.to_string(),
                to: name,
                dev: false,
                own: true,
            });
        }
        for dependency in &package.dependencies {
            edges.push(Edge {
                from: package.name.to_string(),
                to: dependency.name.clone(),
                dev: dependency.kind == DependencyKind::Development,
                own: false,
            });
        }
    }
    Ok(edges)
}

/// Dependencies, of any kind and target, that say more than `workspace = true`.
fn not_inherited(manifest: &toml::Table) -> Vec<String> {
    let mut tables = vec![manifest];
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    tables.extend(
        targets
            .into_iter()
            .flat_map(|targets| targets.values().filter_map(toml::Value::as_table)),
    );
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let dependencies = tables
        .iter()
        .flat_map(|table| kinds.iter().filter_map(|kind| table.get(*kind)?.as_table()))
        .flatten();
    let inherits = |value: &toml::Value| {
        let table = value.as_table();
        table.is_some_and(|table| {
            table.len() == 1 && table.get("workspace").and_then(toml::Value::as_bool) == Some(true)
        })
    };
    dependencies
        .filter(|(_, value)| !inherits(value))
        .map(|(name, _)| name.clone())
        .collect()
}

/// What breaks a rule, one line each.
fn check(edges: &[Edge], ours: &BTreeSet<String>) -> Vec<String> {
    let mut findings = Vec::new();
    for edge in edges {
        let Edge { from, to, .. } = edge;
        if edge.own {
            findings.push(format!("{from}: write `{to}.workspace = true` and nothing else; versions and features stand in the workspace"));
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
    if to == "private-postgres" {
        return (!edge.dev && !test_crate).then_some("a server of the test's own is for tests");
    }
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
            let plane = ["mortar-gateway", "mortar-host"].contains(&from) && to == "mortar-proxy";
            (to.starts_with("mortar-") && !plane)
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
            "mortar-host",
        ];
        let ours = ours
            .into_iter()
            .chain(["mortar-proxy", "mortar-control", "brick-cli", "shop"]);
        let edge = Edge {
            from: from.to_owned(),
            to: to.to_owned(),
            dev,
            own: false,
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
        assert_eq!(findings("mortar-host", "mortar-proxy", false), 0);
        assert_eq!(findings("mortar-host", "mortar-gateway", false), 1);
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
    fn what_is_not_inherited_is_seen_in_every_kind_of_table() {
        let manifest = r#"
            [package]
            version = "0.1.0"
            [features]
            fast = ["dep:serde"]
            [dependencies]
            anyhow.workspace = true
            serde = { workspace = true, features = ["derive"] }
            toml = "1"
            bytes = { path = "../bytes" }
            [dev-dependencies]
            rand = { version = "0.10" }
            [dependencies.clap]
            workspace = true
            optional = true
            [target.'cfg(unix)'.build-dependencies]
            rustix = "1"
            tokio = { workspace = true }
        "#;
        let found = not_inherited(&manifest.parse().unwrap());
        let mut found: Vec<&str> = found.iter().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, ["bytes", "clap", "rand", "rustix", "serde", "toml"]);
    }
}
