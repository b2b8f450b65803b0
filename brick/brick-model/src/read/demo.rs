//! `[demo.NAME]`.

use std::collections::BTreeMap;

use brick_core::BrickRef;

use super::brick::REPLICAS_MAX;
use super::{Item, Reader, short};
use crate::model::Demo;

/// Longest sentence that says what there is to see, in characters.
const ABOUT_MAX: usize = 200;

pub(super) fn all(reader: &mut Reader, item: &Item<'_>) -> BTreeMap<String, Demo> {
    let mut demos = BTreeMap::new();
    let Some(table) = reader.free_table(item) else {
        return demos;
    };
    for item in table.items() {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !item.name.starts_with(|c: char| c.is_ascii_lowercase()) || !item.name.bytes().all(inner) {
            let message = format!(
                "expected lower-case letters, digits and hyphens as name of a demo, found \"{}\"",
                short(item.name)
            );
            reader.problem("bad-name", &item.key, message);
        }
        if let Some(demo) = demo(reader, &item) {
            demos.insert(item.name.to_owned(), demo);
        }
    }
    demos
}

fn demo(reader: &mut Reader, item: &Item<'_>) -> Option<Demo> {
    let table = reader.table(item, &["about", "scale"])?;
    let mut demo = Demo::default();
    match table.get("about") {
        Some(item) => {
            let about = reader.text(&item).unwrap_or_default();
            let length = about.chars().count();
            if !(1..=ABOUT_MAX).contains(&length) || about.contains(char::is_control) {
                let why = format!(
                    "expected one sentence of 1 to {ABOUT_MAX} characters, found {length} characters: \"{}\"",
                    short(about)
                );
                reader.bad_value(&item, why);
            }
            about.clone_into(&mut demo.about);
        }
        None => reader.missing(
            &table,
            "about",
            "add about = \"…\": what there is to see, in one sentence",
        ),
    }
    match table.get("scale") {
        Some(item) => demo.scale = scale(reader, &item),
        None => reader.missing(&table, "scale", "add scale = { \"payment@v2\" = 1 }"),
    }
    Some(demo)
}

fn scale(reader: &mut Reader, item: &Item<'_>) -> BTreeMap<BrickRef, u32> {
    let mut scale = BTreeMap::new();
    let Some(table) = reader.free_table(item) else {
        return scale;
    };
    if table.entries.is_empty() {
        reader.bad_value(item, "expected at least one entry such as \"payment@v2\" = 1");
    }
    for item in table.items() {
        let replicas = reader.integer(&item, 0..=REPLICAS_MAX);
        match item.name.parse::<BrickRef>() {
            Ok(of) => drop(scale.insert(of, replicas.and_then(|n| u32::try_from(n).ok()).unwrap_or(0))),
            Err(error) => reader.problem("bad-name", &item.key, error.to_string()),
        }
    }
    scale
}
