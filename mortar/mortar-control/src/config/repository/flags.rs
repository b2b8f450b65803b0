//! Flags that stand in the configuration repository: files of flagd, `flags.json`, and above it for each profile
//! `flags-PROFILE.json`; YAML is read as well. A file that cannot be read leaves the old flags of all.

use std::collections::BTreeMap;

use brick_flags::{Definition, FLAGS_MAX};
use serde_json::{Value, json};

use super::git::{self, File, Git};
use super::{layer, yaml};
use crate::audit::By;
use crate::flags::{REPOSITORY, Said, of_repository};
use crate::service::Handle;
use crate::state::Action;

/// What the files begin with, and what they end in.
const STEM: &str = "flags";
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// The flags by key, each with its file.
type Found = BTreeMap<String, (String, Definition)>;

/// What the files of a revision say, with the revision that brought each flag; or why they say nothing.
pub(super) async fn read(
    git: &Git,
    sha: &str,
    folder: &str,
    profiles: &[String],
    held: &BTreeMap<String, Said>,
) -> Result<Result<BTreeMap<String, Said>, String>, git::Error> {
    let wanted = names(profiles);
    let files = git.files(sha, folder).await?;
    let rank = |file: &File| wanted.iter().position(|name| *name == file.path);
    let mut files: Vec<&File> = files.iter().filter(|file| rank(file).is_some()).collect();
    files.sort_by_key(|file| rank(file));
    if let Some(large) = files.iter().find(|file| file.bytes > git::FILE_BYTES_MAX) {
        let why = format!(
            "{}: expected at most {} KiB",
            large.path,
            git::FILE_BYTES_MAX >> 10
        );
        return Ok(Err(why));
    }
    let contents = git.read(&files).await?;
    let found = match merged(files.iter().map(|file| file.path.as_str()).zip(&contents)) {
        Ok(found) => found,
        Err(why) => return Ok(Err(why)),
    };
    let (mut all, mut revisions) = (BTreeMap::new(), BTreeMap::new());
    for (key, (path, definition)) in found {
        let same = held
            .get(&key)
            .filter(|held| held.definition == definition && held.origin.contains(&format!(" {path}@")));
        let origin = match same {
            Some(held) => held.origin.clone(),
            None => {
                if !revisions.contains_key(&path) {
                    let whole = match folder {
                        "" => path.clone(),
                        folder => format!("{folder}/{path}"),
                    };
                    revisions.insert(path.clone(), git.changed(sha, &whole).await?);
                }
                layer::origin(&path, revisions.get(&path).map_or("", String::as_str))
            }
        };
        all.insert(key, Said { definition, origin });
    }
    Ok(Ok(all))
}

/// Names of the files, those that count more last.
fn names(profiles: &[String]) -> Vec<String> {
    let own = profiles.iter().map(|profile| format!("{STEM}-{profile}"));
    let stems = std::iter::once(STEM.to_owned()).chain(own);
    stems
        .flat_map(|stem| ENDINGS.map(|ending| format!("{stem}.{ending}")))
        .collect()
}

/// The flags of all files, those of later ones in the place of earlier.
fn merged<'f>(files: impl Iterator<Item = (&'f str, &'f Vec<u8>)>) -> Result<Found, String> {
    let mut all = Found::new();
    for (path, content) in files {
        let document = document(path, content).map_err(|why| format!("{path}: {why}"))?;
        let flags = brick_flags::read(&document).map_err(|error| format!("{path}: {error}"))?;
        all.extend(
            flags
                .into_iter()
                .map(|(key, flag)| (key, (path.to_owned(), flag))),
        );
    }
    match all.len() > FLAGS_MAX {
        true => Err(format!("expected at most {FLAGS_MAX} flags, found {}", all.len())),
        false => Ok(all),
    }
}

fn document(path: &str, content: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(content).map_err(|error| error.to_string())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if path.ends_with(".json") {
        return serde_json::from_str(text).map_err(|error| error.to_string());
    }
    match <[Value; 1]>::try_from(yaml::documents(text)?) {
        Ok([document]) => Ok(document),
        Err(all) => Err(format!("expected one document, found {}", all.len())),
    }
}

/// Puts what was found in the place of what was held.
pub(super) async fn apply(handle: &Handle, found: BTreeMap<String, Said>, why: &str) -> Result<(), String> {
    let held = of_repository(&handle.state());
    let gone = held.keys().filter(|key| !found.contains_key(*key));
    let mut stored: Vec<(String, Option<Value>)> =
        gone.map(|key| (format!("{REPOSITORY}{key}"), None)).collect();
    let (mut before, mut after) = (json!({}), json!({}));
    for (key, said) in &found {
        if held.get(key) != Some(said) {
            let value = serde_json::to_value(said).map_err(|error| error.to_string())?;
            after[key] = value["definition"].clone();
            stored.push((format!("{REPOSITORY}{key}"), Some(value)));
        }
    }
    if stored.is_empty() {
        return Ok(());
    }
    for (key, said) in held.iter().filter(|(key, said)| found.get(*key) != Some(said)) {
        before[key] = serde_json::to_value(&said.definition).map_err(|error| error.to_string())?;
    }
    let by = By {
        who: "repository".to_owned(),
        why: Some(why.to_owned()),
        trace_id: None,
    };
    let entry = by.did("flags.repository", "flags").turning(before, after);
    let changed = handle.change(Action::SetAll(stored), entry).await;
    changed
        .map(drop)
        .map_err(|error| brick_core::chain(&error).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"flags":{"a":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on"},
        "b":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on"}}}"#;
    const YAML: &str = "flags:\n  a:\n    state: ENABLED\n    variants:\n      'on': true\n      'off': false\n    defaultVariant: 'off'\n";

    #[test]
    fn a_profile_counts_before_none() {
        let profiles = ["eu".to_owned()];
        let names = names(&profiles);
        let place = |name: &str| names.iter().position(|one| one == name);
        assert!(place("flags.json") < place("flags-eu.yaml"));
        let (json, yaml) = (JSON.as_bytes().to_vec(), YAML.as_bytes().to_vec());
        let all = merged([("flags.json", &json), ("flags-eu.yaml", &yaml)].into_iter()).unwrap();
        let of = |key: &str| (all[key].0.as_str(), all[key].1.default_variant.as_str());
        assert_eq!(
            (of("a"), of("b")),
            (("flags-eu.yaml", "off"), ("flags.json", "on"))
        );
    }

    #[test]
    fn what_cannot_be_read_says_which_file_and_why() {
        for (path, text, why) in [
            ("flags.json", "{", "flags.json: EOF"),
            (
                "flags.json",
                "{\"flags\":{\"a\":{}}}",
                "flags.json: flags.a: missing field",
            ),
            ("flags.yaml", "a: [", "flags.yaml: "),
            (
                "flags.yaml",
                "flags: {}\n---\nflags: {}\n",
                "flags.yaml: expected one document, found 2",
            ),
        ] {
            let text = text.as_bytes().to_vec();
            let found = merged([(path, &text)].into_iter()).unwrap_err();
            assert!(found.starts_with(why), "{found}");
        }
    }
}
