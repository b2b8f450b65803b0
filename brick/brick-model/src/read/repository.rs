//! `[config_repository]`.

use brick_core::duration::Span;
use toml::de::DeValue;

use super::{Item, Reader};
use crate::model::ConfigRepository;
use crate::model::repository::{is_folder, is_label, is_profile, wrong_url};

const KEYS: [&str; 7] = [
    "url",
    "label",
    "profiles",
    "folder",
    "poll",
    "timeout",
    "webhook_secret",
];
const PROFILES_MAX: usize = 8;

pub(super) fn repository(reader: &mut Reader, item: &Item<'_>) -> Option<ConfigRepository> {
    let table = reader.table(item, &KEYS)?;
    let Some(url) = table.get("url") else {
        reader.missing(&table, "url", "add url = \"…\", a folder or an address of git");
        return None;
    };
    let text = reader.text(&url)?.to_owned();
    if let Some(why) = wrong_url(&text) {
        reader.bad_value(&url, why);
    }
    let mut repository = ConfigRepository::new(text);
    let fitting = |reader: &mut Reader, key: &str, good: fn(&str) -> bool, expected: &str| {
        let item = table.get(key)?;
        let text = reader.text(&item)?.to_owned();
        if !good(&text) {
            reader.bad_value(&item, format!("expected {expected}"));
        }
        Some(text)
    };
    if let Some(label) = fitting(reader, "label", is_label, "a branch, a tag or a revision") {
        repository.label = label;
    }
    if let Some(folder) = fitting(
        reader,
        "folder",
        is_folder,
        "a folder in the repository, such as env/eu",
    ) {
        repository.folder = folder;
    }
    if let Some(item) = table.get("profiles") {
        repository.profiles = profiles(reader, &item);
    }
    if let Some(item) = table.get("poll")
        && let Some(poll) = reader.within(&item, Span::from_secs(1)..=Span::from_secs(86_400))
    {
        repository.poll = poll;
    }
    if let Some(item) = table.get("timeout")
        && let Some(timeout) = reader.within(&item, Span::from_secs(1)..=Span::from_secs(600))
    {
        repository.timeout = timeout;
    }
    if let Some(item) = table.get("webhook_secret") {
        repository.webhook_secret = secret(reader, &item);
    }
    Some(repository)
}

fn profiles(reader: &mut Reader, item: &Item<'_>) -> Vec<String> {
    let mut profiles = Vec::new();
    for item in reader.list(item, "a list of profiles") {
        let Some(name) = reader.text(&item).map(str::to_owned) else {
            continue;
        };
        if !is_profile(&name) {
            reader.bad_value(&item, "expected letters, digits, \".\", \"_\" and \"-\"");
        }
        profiles.push(name);
    }
    if profiles.len() > PROFILES_MAX {
        reader.bad_value(item, format!("expected at most {PROFILES_MAX} profiles"));
    }
    profiles
}

/// Text, or the form of a secret: `{ value = "…", secret = true }`.
fn secret(reader: &mut Reader, item: &Item<'_>) -> Option<String> {
    let text = match item.value.get_ref() {
        DeValue::Table(_) => {
            let table = reader.table(item, &["value", "secret"])?;
            if let Some(item) = table.get("secret")
                && reader.boolean(&item) == Some(false)
            {
                reader.bad_value(&item, "it is secret always: leave it out, or say true");
            }
            let Some(item) = table.get("value") else {
                reader.missing(&table, "value", "add value = \"…\"");
                return None;
            };
            reader.text(&item)?.to_owned()
        }
        _ => reader.text(item)?.to_owned(),
    };
    if text.len() < 16 {
        reader.bad_value(
            item,
            "expected at least 16 bytes, such as `openssl rand -hex 32` makes",
        );
    }
    Some(text)
}
