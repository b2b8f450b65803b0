//! Which files count for an application, and in which order: what Spring Cloud Config does with a git repository.
//!
//! Highest first, for each profile from the last to the first: `APP-PROFILE.*`, `application-PROFILE.*`, documents of
//! `APP.*` and `application.*` that say they are for the profile; then `APP.*`, `application.*`. Of one name the
//! endings count as [`ENDINGS`] lists them, and a later document of a file before an earlier one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::files::{Document, ENDINGS};
use crate::config::layers::{Effective, Flat, is_flag, is_key};

/// The application whose files count for all.
pub(crate) const SHARED: &str = "application";
/// The profile where none is named.
pub(crate) const DEFAULT: &str = "default";

/// A document of a file, on its way into a configuration.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Source {
    /// Path of the file.
    pub(crate) path: String,
    /// Which document of it, where it has several.
    pub(crate) document: Option<usize>,
    pub(crate) values: Vec<(String, Value)>,
}

/// The files of a revision that were read, each as documents or with the reason why it cannot be.
pub(crate) type Read = BTreeMap<String, Result<Vec<Document>, String>>;

/// What the repository says of a brick, as it is stored.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Layer {
    /// Values by dotted key.
    #[serde(default)]
    pub(crate) values: Flat,
    /// File of each, with the revision that brought it: `repository order.yml@a1b2c3d`.
    #[serde(default)]
    pub(crate) origins: BTreeMap<String, String>,
}

/// Names of the files that an application's configuration may stand in, whether or not they are there.
pub(crate) fn candidates(application: &str, profiles: &[String]) -> Vec<String> {
    let mut stems = Vec::new();
    for name in names(application) {
        stems.push(name.to_owned());
        stems.extend(each(profiles).map(|profile| format!("{name}-{profile}")));
    }
    let endings = stems
        .iter()
        .flat_map(|stem| ENDINGS.map(|ending| format!("{stem}.{ending}")));
    endings.collect()
}

/// The sources of an application, highest first; the first file that counts and cannot be read ends it.
pub(crate) fn sources(read: &Read, application: &str, profiles: &[String]) -> Result<Vec<Source>, String> {
    let mut all = Vec::new();
    let profiles: Vec<&str> = each(profiles).collect();
    for profile in profiles.iter().rev() {
        for name in names(application) {
            add(&mut all, read, &format!("{name}-{profile}"), |one| {
                one.profiles
                    .as_ref()
                    .is_none_or(|own| own.iter().any(|own| own == profile))
            })?;
        }
        for name in names(application) {
            add(&mut all, read, name, |one| {
                one.profiles
                    .as_ref()
                    .is_some_and(|own| own.iter().any(|own| own == profile))
            })?;
        }
    }
    for name in names(application) {
        add(&mut all, read, name, |one| one.profiles.is_none())?;
    }
    let mut seen = BTreeSet::new();
    all.retain(|source| seen.insert((source.path.clone(), source.document)));
    Ok(all)
}

fn names(application: &str) -> impl Iterator<Item = &str> {
    std::iter::once(application)
        .filter(|name| *name != SHARED)
        .chain([SHARED])
}

fn each(profiles: &[String]) -> impl Iterator<Item = &str> {
    let none = profiles.is_empty().then_some(DEFAULT);
    profiles.iter().map(String::as_str).chain(none)
}

fn add(
    all: &mut Vec<Source>,
    read: &Read,
    stem: &str,
    counts: impl Fn(&Document) -> bool,
) -> Result<(), String> {
    for ending in ENDINGS {
        let path = format!("{stem}.{ending}");
        let documents = match read.get(&path) {
            None => continue,
            Some(Ok(documents)) => documents,
            Some(Err(why)) => return Err(format!("{path}: {why}")),
        };
        for (at, document) in documents.iter().enumerate().rev() {
            if counts(document) {
                all.push(Source {
                    path: path.clone(),
                    document: (documents.len() > 1).then_some(at),
                    values: document.values.clone(),
                });
            }
        }
    }
    Ok(())
}

impl Layer {
    /// What sources (highest first) say together, and the keys among it that no brick can have.
    pub(crate) fn of(sources: &[Source]) -> (Self, BTreeSet<String>) {
        let (mut all, mut odd) = (Effective::default(), BTreeSet::new());
        for source in sources.iter().rev() {
            let mut flat = Flat::new();
            for (key, value) in &source.values {
                match is_key(key) && !is_flag(key) {
                    true => drop(flat.insert(key.clone(), value.clone())),
                    false => drop(odd.insert(format!("{} in {}", shortened(key), source.path))),
                }
            }
            all.put(flat, &source.path);
        }
        let layer = Self {
            values: all.flat,
            origins: all.origins,
        };
        (layer, odd)
    }

    /// The files that say something else than what was held.
    pub(crate) fn changed(&self, held: &Layer) -> BTreeSet<String> {
        let changed = self.origins.iter().filter(|(key, _)| !self.same(held, key));
        changed.map(|(_, path)| path.clone()).collect()
    }

    /// Whether the key has the value that was held, from the same file.
    fn same(&self, held: &Layer, key: &str) -> bool {
        let file = held.origins.get(key).and_then(|origin| file(origin));
        held.values.get(key) == self.values.get(key) && file == self.origins.get(key).map(String::as_str)
    }

    /// With origins as they are told: the revision that brought a value stays with it for as long as it does.
    #[must_use]
    pub(crate) fn dated(mut self, held: &Layer, revisions: &BTreeMap<String, String>) -> Self {
        let origins = self.origins.iter().map(|(key, path)| {
            let origin = match self.same(held, key) {
                true => held.origins.get(key).cloned().unwrap_or_default(),
                false => origin(path, revisions.get(path).map_or("", String::as_str)),
            };
            (key.clone(), origin)
        });
        self.origins = origins.collect();
        self
    }
}

pub(super) fn origin(path: &str, sha: &str) -> String {
    let short: String = sha.chars().take(7).collect();
    format!("{} {path}@{short}", brick_bus::config::REPOSITORY)
}

/// The file of an origin.
fn file(origin: &str) -> Option<&str> {
    let rest = origin.strip_prefix(brick_bus::config::REPOSITORY)?.trim_start();
    rest.rsplit_once('@').map(|(path, _)| path)
}

fn shortened(key: &str) -> String {
    key.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(files: &[(&str, &str)]) -> Read {
        let each = files.iter();
        each.map(|(path, text)| {
            (
                (*path).to_owned(),
                super::super::files::documents(path, text.as_bytes()),
            )
        })
        .collect()
    }

    fn profiles(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_profile_counts_before_none_and_the_application_before_all() {
        let read = read(&[
            (
                "application.yml",
                "a: 1\nb: 1\nc: 1\nd: 1\ne: 1\n---\nspring.config.activate.on-profile: eu\ne: 2\n",
            ),
            ("order.yml", "b: 2\nc: 2\nd: 2\n"),
            ("application-eu.yml", "c: 3\nd: 3\n"),
            ("order-eu.properties", "d=4\n"),
            ("payment.yml", "["),
        ]);
        let paths = |application: &str, names: &[&str]| -> Vec<String> {
            let all = sources(&read, application, &profiles(names)).unwrap();
            all.into_iter().map(|source| source.path).collect()
        };
        assert_eq!(
            paths("order", &["eu"]),
            [
                "order-eu.properties",
                "application-eu.yml",
                "application.yml",
                "order.yml",
                "application.yml"
            ]
        );
        assert_eq!(paths("order", &[]), ["order.yml", "application.yml"]);
        assert_eq!(paths("application", &["us"]), ["application.yml"]);
        let (layer, odd) = Layer::of(&sources(&read, "order", &profiles(&["eu"])).unwrap());
        assert_eq!(
            json!(layer.values),
            json!({ "a": 1, "b": 2, "c": 3, "d": "4", "e": 2 })
        );
        assert_eq!(layer.origins["d"], "order-eu.properties");
        assert!(odd.is_empty());
        assert!(
            sources(&read, "payment", &[])
                .unwrap_err()
                .starts_with("payment.yml: ")
        );
    }

    #[test]
    fn a_value_keeps_the_revision_that_brought_it() {
        let of = |text: &str| Layer::of(&sources(&read(&[("order.yml", text)]), "order", &[]).unwrap()).0;
        let at = |sha: &str| BTreeMap::from([("order.yml".to_owned(), sha.to_owned())]);
        let first = of("a: 1\nb: 1\n").dated(&Layer::default(), &at("aaaaaaaa"));
        let second = of("a: 1\nb: 2\n").dated(&first, &at("bbbbbbbb"));
        assert_eq!(second.origins["a"], "repository order.yml@aaaaaaa");
        assert_eq!(second.origins["b"], "repository order.yml@bbbbbbb");
        assert!(of("a: 1\nb: 2\n").changed(&second).is_empty());
    }

    #[test]
    fn keys_that_no_brick_can_have_are_left_out_by_name() {
        let read = read(&[("application.properties", "list[0]=1\nok=2\n")]);
        let (layer, odd) = Layer::of(&sources(&read, "order", &[]).unwrap());
        assert_eq!(json!(layer.values), json!({ "ok": "2" }));
        assert_eq!(
            odd.into_iter().collect::<Vec<_>>(),
            ["list[0] in application.properties"]
        );
    }
}
