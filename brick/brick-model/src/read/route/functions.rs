//! What a route does with requests besides leading them somewhere.

use std::collections::BTreeMap;

use brick_core::Version;
use brick_core::duration::Span;
use toml::de::DeValue;

use super::super::{Item, Reader, Table, config, short};
use super::conditions::{is_token, methods};
use crate::model::{Cache, Cors, Mirror, PerSecond, Rate, RateBy, Rewrite, Route, Setting, Share};
use crate::size::Bytes;

const DAY: Span = Span::from_secs(86_400);
const LIST_MAX: usize = 64;

pub(super) fn read(reader: &mut Reader, table: &Table<'_>, route: &mut Route) {
    route.rewrite = table.get("rewrite").and_then(|item| rewrite(reader, &item));
    route.cors = table.get("cors").and_then(|item| setting(reader, &item, cors));
    route.rate = table.get("rate").and_then(|item| rate(reader, &item));
    route.cache = table.get("cache").and_then(|item| setting(reader, &item, cache));
    let compress = table.get("compress");
    route.compress = compress
        .and_then(|item| reader.boolean(&item))
        .unwrap_or_default();
    route.mirror = table.get("mirror").and_then(|item| mirror(reader, &item));
    if let Some(item) = table.get("weights") {
        route.weights = weights(reader, &item);
    }
}

/// `true`, `false`, or a table of its own.
fn setting<T>(
    reader: &mut Reader,
    item: &Item<'_>,
    own: impl Fn(&mut Reader, &Item<'_>) -> Option<T>,
) -> Option<Setting<T>> {
    match item.value.get_ref() {
        DeValue::Boolean(_) => reader.boolean(item).map(Setting::Switch),
        _ => own(reader, item).map(Setting::Own),
    }
}

fn rewrite(reader: &mut Reader, item: &Item<'_>) -> Option<Rewrite> {
    let table = reader.table(item, &["prefix", "path"])?;
    let (prefix, path) = (table.get("prefix"), table.get("path"));
    if prefix.is_some() == path.is_some() {
        reader.bad_value(item, "expected either prefix = \"/…\" or path = \"/…\"");
    }
    let item = prefix.as_ref().or(path.as_ref())?;
    let text = reader.text(item)?;
    let whole = path.is_some();
    // Query and fragment begin elsewhere; dot segments would be refused by the next hop.
    let plain = |c: char| c.is_ascii_graphic() && !"?#\\\"<>^`{|}".contains(c);
    let dots = text.split('/').any(|segment| matches!(segment, "." | ".."));
    let rooted = text.starts_with('/') || (text.is_empty() && !whole);
    if !rooted || !text.chars().all(plain) || dots || (!whole && text.ends_with('/')) {
        let end = if whole { "" } else { " without a slash at its end" };
        let why = format!("expected a path such as \"/v1\"{end}, found \"{}\"", short(text));
        reader.bad_value(item, why);
    }
    let text = text.to_owned();
    Some(if whole {
        Rewrite::Path(text)
    } else {
        Rewrite::Prefix(text)
    })
}

pub(in super::super) fn cors(reader: &mut Reader, item: &Item<'_>) -> Option<Cors> {
    const KEYS: [&str; 6] = [
        "origins",
        "methods",
        "headers",
        "expose",
        "credentials",
        "max_age",
    ];
    let table = reader.table(item, &KEYS)?;
    let mut cors = Cors::default();
    match table.get("origins") {
        Some(item) => {
            cors.origins = texts(
                reader,
                &item,
                "an origin such as \"https://shop.test\"",
                is_origin,
            );
        }
        None => reader.missing(
            &table,
            "origins",
            "add origins = [\"https://…\"], the pages that may call",
        ),
    }
    if let Some(item) = table.get("methods") {
        cors.methods = methods(reader, &item);
    }
    if let Some(item) = table.get("headers") {
        cors.headers = texts(reader, &item, "the name of a field", is_token);
    }
    if let Some(item) = table.get("expose") {
        cors.expose = texts(reader, &item, "the name of a field", is_token);
    }
    if let Some(item) = table.get("credentials") {
        cors.credentials = reader.boolean(&item).unwrap_or_default();
        if cors.credentials && cors.origins.iter().any(|origin| origin == "*") {
            reader.bad_value(
                &item,
                "every page of the web could act for a signed-in user; name the origins instead of \"*\"",
            );
        }
    }
    if let Some(item) = table.get("max_age")
        && let Some(age) = reader.within(&item, Span::default()..=DAY)
    {
        cors.max_age = age;
    }
    Some(cors)
}

fn is_origin(text: &str) -> bool {
    if text == "*" || text == "null" {
        return text == "*";
    }
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let host = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-:[]".contains(c);
    rest.is_some_and(|rest| {
        let rest = rest.strip_prefix("*.").unwrap_or(rest);
        !rest.is_empty() && rest.chars().all(host)
    })
}

/// A list of texts, each of them good.
pub(in super::super) fn texts(
    reader: &mut Reader,
    item: &Item<'_>,
    what: &str,
    good: fn(&str) -> bool,
) -> Vec<String> {
    let items = reader.list(item, &format!("a list, each entry {what}"));
    if items.len() > LIST_MAX {
        let why = format!("expected at most {LIST_MAX} entries, found {}", items.len());
        reader.bad_value(item, why);
    }
    let mut texts = Vec::new();
    for item in items.iter().take(LIST_MAX) {
        let Some(text) = reader.text(item) else { continue };
        if !good(text) {
            reader.bad_value(item, format!("expected {what}, found \"{}\"", short(text)));
        }
        texts.push(text.to_owned());
    }
    texts
}

pub(in super::super) fn rate(reader: &mut Reader, item: &Item<'_>) -> Option<Rate> {
    let table = reader.table(item, &["per_second", "burst", "by"])?;
    let per_second = match table.get("per_second") {
        Some(item) => number(reader, &item, "from 0.001 to 1000000", PerSecond::new),
        None => {
            reader.missing(&table, "per_second", "add per_second = 100");
            None
        }
    };
    let burst = table
        .get("burst")
        .and_then(|item| reader.integer(&item, 1..=1_000_000))
        .and_then(|burst| u32::try_from(burst).ok());
    let by = table.get("by").and_then(|item| match reader.text(&item)? {
        "client" => Some(RateBy::Client),
        "route" => Some(RateBy::Route),
        "token" => Some(RateBy::Token),
        other => {
            let why = format!(
                "expected \"client\", \"route\" or \"token\", found \"{}\"",
                short(other)
            );
            reader.bad_value(&item, why);
            None
        }
    });
    Some(Rate {
        per_second: per_second?,
        burst,
        by: by.unwrap_or_default(),
    })
}

/// A number with or without a fraction.
fn number<T>(reader: &mut Reader, item: &Item<'_>, range: &str, new: fn(f64) -> Option<T>) -> Option<T> {
    reader.note(item);
    let found = config::value(reader, item);
    let value = found.as_ref().and_then(serde_json::Value::as_f64).and_then(new);
    if value.is_none() {
        reader.bad_value(item, format!("expected a number {range}"));
    }
    value
}

fn cache(reader: &mut Reader, item: &Item<'_>) -> Option<Cache> {
    const KEYS: [&str; 4] = [
        "bytes_max",
        "default_ttl",
        "stale_while_revalidate",
        "stale_if_error",
    ];
    let table = reader.table(item, &KEYS)?;
    let mut cache = Cache::default();
    if let Some(item) = table.get("bytes_max")
        && let Some(bytes) = reader.within(&item, Bytes(1)..=Bytes(64 << 20))
    {
        cache.bytes_max = bytes;
    }
    let Cache {
        default_ttl,
        stale_while_revalidate,
        stale_if_error,
        ..
    } = &mut cache;
    let spans = [
        ("default_ttl", default_ttl),
        ("stale_while_revalidate", stale_while_revalidate),
        ("stale_if_error", stale_if_error),
    ];
    for (key, span) in spans {
        if let Some(item) = table.get(key)
            && let Some(found) = reader.within(&item, Span::default()..=DAY)
        {
            *span = found;
        }
    }
    Some(cache)
}

fn mirror(reader: &mut Reader, item: &Item<'_>) -> Option<Mirror> {
    let table = reader.table(item, &["to", "share"])?;
    let to = match table.get("to") {
        Some(item) => reader.parsed(&item),
        None => {
            reader.missing(&table, "to", "add to = \"…\", the brick that gets the copies");
            None
        }
    };
    let mut mirror = Mirror::new(to?);
    if let Some(item) = table.get("share")
        && let Some(share) = number(reader, &item, "from 0 to 1", Share::new)
    {
        mirror.share = share;
    }
    Some(mirror)
}

fn weights(reader: &mut Reader, item: &Item<'_>) -> BTreeMap<Version, u32> {
    let mut weights = BTreeMap::new();
    let Some(table) = reader.free_table(item) else {
        return weights;
    };
    for item in table.items() {
        let weight = reader.integer(&item, 0..=1_000_000);
        match Version::new(item.name) {
            Ok(label) => drop(weights.insert(label, weight.and_then(|n| u32::try_from(n).ok()).unwrap_or(0))),
            Err(error) => reader.problem("bad-name", &item.key, format!("label of a version: {error}")),
        }
    }
    if weights.values().all(|weight| *weight == 0) {
        reader.bad_value(item, "expected at least one version with a weight above 0");
    }
    weights
}
