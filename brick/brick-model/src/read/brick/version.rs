//! `brick.NAME.version`: a label, or a table of concurrent versions with the label of the base under `base`.

use brick_core::Version;
use toml::de::DeValue;

use super::super::{Item, Reader};
use super::{REPLICAS_MAX, check_command, variables};
use crate::model::{BASE, Concurrent, Versions};

const KEYS: [&str; 4] = ["run", "build", "env", "replicas"];

pub(super) fn read(reader: &mut Reader, item: &Item<'_>) -> Versions {
    if matches!(item.value.get_ref(), DeValue::String(_)) {
        return reader.parsed(item).map(Version::into).unwrap_or_default();
    }
    let mut versions = Versions::default();
    if !matches!(item.value.get_ref(), DeValue::Table(_)) {
        let expected = "a label such as \"v1\", or a table of versions by label";
        reader.wrong_type::<()>(item, expected);
        return versions;
    }
    let Some(table) = reader.free_table(item) else {
        return versions;
    };
    for item in table.items() {
        if item.name == BASE && !matches!(item.value.get_ref(), DeValue::Table(_)) {
            versions.base = reader.parsed(&item).unwrap_or_default();
            continue;
        }
        let own = concurrent(reader, &item);
        match (Version::new(item.name), own) {
            (Ok(label), Some(own)) => drop(versions.concurrent.insert(label, own)),
            (Ok(_), None) => {}
            (Err(error), _) => reader.problem("bad-name", &item.key, format!("label of a version: {error}")),
        }
    }
    versions
}

fn concurrent(reader: &mut Reader, item: &Item<'_>) -> Option<Concurrent> {
    let table = reader.table(item, &KEYS)?;
    let mut own = Concurrent::default();
    for key in ["run", "build"] {
        if let Some(item) = table.get(key)
            && let Some(text) = reader.text(&item)
        {
            check_command(reader, &item, text);
            match key {
                "run" => text.clone_into(&mut own.run),
                _ => own.build = Some(text.to_owned()),
            }
        }
    }
    if table.get("run").is_none() {
        reader.missing(
            &table,
            "run",
            "add run = \"…\", the command that starts this version",
        );
    }
    if let Some(item) = table.get("env") {
        own.env = variables(reader, &item);
    }
    if let Some(item) = table.get("replicas")
        && let Some(replicas) = reader.integer(&item, 0..=REPLICAS_MAX)
    {
        own.replicas = u32::try_from(replicas).unwrap_or(0);
    }
    Some(own)
}
