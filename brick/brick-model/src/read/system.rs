//! The root of the manifest: `[system]` and `[mortar]`, and which tables there are.

use brick_core::BrickName;
use brick_core::duration::Span;

use super::{
    Item, Reader, Table, brick, canary, config, demo, limit, listener, load, repository, route, suite,
};
use crate::model::control::wrong_store;
use crate::model::{CONTROLS_MAX, Control, Edge, FORMAT, Model, Mortar, System};
use crate::size::Bytes;

const TABLES: [&str; 16] = [
    "brickwork",
    "system",
    "mortar",
    "edge",
    "brick",
    "route",
    "limits",
    "serve",
    "canary",
    "config",
    "config_repository",
    "flag",
    "load",
    "test",
    "env",
    "demo",
];

/// A model that says nothing, for what comes before the first table.
pub(super) fn empty() -> Model {
    Model {
        brickwork: FORMAT,
        system: System::new(unnamed()),
        mortar: Mortar::default(),
        edge: Edge::default(),
        bricks: Default::default(),
        routes: Default::default(),
        limits: Default::default(),
        serves: Default::default(),
        canaries: Default::default(),
        config: Default::default(),
        repository: None,
        flags: Default::default(),
        loads: Default::default(),
        tests: Default::default(),
        environments: Default::default(),
        demos: Default::default(),
    }
}

/// Stands in for a name that could not be read; the problem is noted, so nobody sees it.
pub(super) fn unnamed() -> BrickName {
    BrickName::new("unnamed").unwrap_or_else(|_| unreachable!("a constant and a valid name"))
}

pub(super) fn model(reader: &mut Reader, root: &Table<'_>) -> Model {
    reader.only(root, &TABLES);
    let mut model = empty();
    match root.get("system") {
        Some(item) => system(reader, &item, &mut model.system),
        None => reader.missing(root, "system", "add [system] with name = \"…\""),
    }
    if let Some(item) = root.get("mortar") {
        mortar(reader, &item, &mut model.mortar);
    }
    if let Some(item) = root.get("edge") {
        listener::edge(reader, &item, &mut model.edge);
    }
    match root.get("brick") {
        Some(item) => model.bricks = brick::all(reader, &item),
        None => reader.missing(
            root,
            "brick",
            "add [brick.NAME] with run = \"…\": a system has at least one brick",
        ),
    }
    if let Some(item) = root.get("route") {
        model.routes = route::all(reader, &item);
    }
    if let Some(item) = root.get("limits") {
        model.limits = limit::all(reader, &item);
    }
    if let Some(item) = root.get("serve") {
        model.serves = limit::serves(reader, &item);
    }
    if let Some(item) = root.get("canary") {
        model.canaries = canary::all(reader, &item);
    }
    if let Some(item) = root.get("config") {
        model.config = config::all(reader, &item);
    }
    if let Some(item) = root.get("config_repository") {
        model.repository = repository::repository(reader, &item);
    }
    if let Some(item) = root.get("flag") {
        model.flags = config::flags(reader, &item);
    }
    if let Some(item) = root.get("load") {
        model.loads = load::all(reader, &item);
    }
    if let Some(item) = root.get("test") {
        model.tests = suite::all(reader, &item);
    }
    if let Some(item) = root.get("env") {
        model.environments = suite::environments(reader, &item);
    }
    if let Some(item) = root.get("demo") {
        model.demos = demo::all(reader, &item);
    }
    model
}

fn system(reader: &mut Reader, item: &Item<'_>, system: &mut System) {
    let Some(table) = reader.table(item, &["name", "console"]) else {
        return;
    };
    match table.get("name") {
        Some(item) => {
            if let Some(name) = reader.parsed(&item) {
                system.name = name;
            }
        }
        None => reader.missing(&table, "name", "add name = \"…\", the name of the system"),
    }
    if let Some(item) = table.get("console")
        && let Some(port) = reader.integer(&item, 0..=65_535)
    {
        system.console = u16::try_from(port).unwrap_or(0);
    }
}

fn mortar(reader: &mut Reader, item: &Item<'_>, mortar: &mut Mortar) {
    let Some(table) = reader.table(item, &["control", "identity", "telemetry"]) else {
        return;
    };
    if let Some(item) = table.get("control") {
        control(reader, &item, &mut mortar.control);
    }
    if let Some(item) = table.get("identity")
        && let Some(table) = reader.table(&item, &["token_ttl"])
        && let Some(item) = table.get("token_ttl")
        && let Some(ttl) = reader.within(&item, Span::from_secs(1)..=Span::from_secs(86_400))
    {
        mortar.identity.token_ttl = ttl;
    }
    if let Some(item) = table.get("telemetry")
        && let Some(table) = reader.table(&item, &["bytes_max"])
        && let Some(item) = table.get("bytes_max")
        && let Some(bytes) = reader.within(&item, Bytes(1 << 20)..=Bytes(64 << 30))
    {
        mortar.telemetry.bytes_max = bytes;
    }
}

fn control(reader: &mut Reader, item: &Item<'_>, control: &mut Control) {
    let Some(table) = reader.table(item, &["store", "replicas"]) else {
        return;
    };
    if let Some(item) = table.get("store")
        && let Some(url) = reader.text(&item)
    {
        match wrong_store(url, "CONTROL_STORE_PASSWORD") {
            Some(why) => reader.bad_value(&item, why),
            None => control.store = Some(url.to_owned()),
        }
    }
    if let Some(item) = table.get("replicas")
        && let Some(replicas) = reader.integer(&item, 1..=i64::from(CONTROLS_MAX))
    {
        control.replicas = u32::try_from(replicas).unwrap_or(1);
        if control.replicas > 1 && table.get("store").is_none() {
            reader.bad_value(
                &item,
                "several processes need a store that they share: add store = \"postgres://USER@HOST:PORT/DATABASE\"",
            );
        }
    }
}
