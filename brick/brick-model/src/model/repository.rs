//! `[config_repository]`: configuration that is kept in git.

use std::fmt;

use brick_core::duration::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Name that an encrypted secret of the webhook is bound to, with its key: no brick can have it.
pub const CONFIG_REPOSITORY: &str = "config_repository";

/// `[config_repository]`: a git repository whose files are a layer of configuration between manifest and live changes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigRepository {
    /// A folder, relative to the manifest, or what `git fetch` takes: `https://`, `http://`, `ssh://`, `file://`,
    /// `user@host:path`.
    pub url: String,
    /// Branch, tag or revision that counts.
    #[serde(default = "default_label")]
    pub label: String,
    /// Profiles of this system, later ones before earlier ones: `application-production.yml`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// Folder in the repository that the files stand in; its root unless said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub folder: String,
    /// How often it is asked for something new.
    #[serde(default = "default_poll")]
    pub poll: Span,
    /// How long one conversation with it may take.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// What `POST /config/monitor` is verified with: text, or `{cipher}…`; without one nothing is taken there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<String>,
}

impl ConfigRepository {
    /// A repository with everything else as it is unless said.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            label: default_label(),
            profiles: Vec::new(),
            folder: String::new(),
            poll: default_poll(),
            timeout: default_timeout(),
            webhook_secret: None,
        }
    }

    /// Whether `url` names a folder of this machine.
    pub fn is_folder(&self) -> bool {
        let scp = self.url.find(':').is_some_and(|at| !self.url[..at].contains('/'));
        !scp && !self.url.contains("://")
    }
}

/// Why a text cannot be the url of a repository.
pub(crate) fn wrong_url(url: &str) -> Option<&'static str> {
    const SCHEMES: [&str; 4] = ["https", "http", "ssh", "file"];
    if url.is_empty() || url.len() > 1_000 || url.chars().any(|c| c.is_control()) {
        return Some("expected a folder, or an address that git can fetch from");
    }
    if url.starts_with('-') || url.contains("::") {
        return Some("expected a folder, https://, http://, ssh://, file:// or user@host:path");
    }
    let (scheme, rest) = url.split_once("://")?;
    if !SCHEMES.contains(&scheme) {
        return Some("expected https://, http://, ssh:// or file://");
    }
    let host = rest.split('/').next().unwrap_or_default();
    match host.rsplit_once('@') {
        Some((user, _)) if user.contains(':') => Some(
            "a password in the address could be read by everybody on the machine: leave it out and keep it in a credential helper of git",
        ),
        Some((user, _)) if user.starts_with('-') => Some("expected a user's name before the @"),
        None if host.starts_with('-') => Some("expected a host after ://"),
        _ => None,
    }
}

/// Whether a text can name a branch, a tag or a revision.
pub fn is_label(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/' | b'+');
    let parts = || text.split('/');
    first
        && text.len() <= 200
        && text.bytes().all(good)
        && !text.contains("..")
        && parts().all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"))
        && !text.ends_with('.')
}

/// Whether a text can name a profile.
pub(crate) fn is_profile(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=60).contains(&text.len()) && text.bytes().all(good) && !text.starts_with(['-', '.'])
}

/// Whether a text can be a folder of the repository.
pub(crate) fn is_folder(text: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.starts_with('-');
    text.is_empty()
        || (text.len() <= 200
            && text.split('/').all(part)
            && !text.chars().any(|c| c.is_control() || c == '\\'))
}

fn default_label() -> String {
    "main".to_owned()
}

fn default_poll() -> Span {
    Span::from_secs(30)
}

fn default_timeout() -> Span {
    Span::from_secs(20)
}

impl fmt::Debug for ConfigRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigRepository")
            .field("url", &self.url)
            .field("label", &self.label)
            .field("profiles", &self.profiles)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_an_option_or_run_something_is_no_address() {
        for good in [
            "config-repo",
            "../conf",
            "/srv/conf.git",
            "https://git.test/a/b.git",
            "ssh://git@git.test:22/a",
            "git@git.test:a/b.git",
            "file:///srv/conf",
        ] {
            assert_eq!(wrong_url(good), None, "{good}");
        }
        for bad in [
            "",
            "-u",
            "--upload-pack=touch x",
            "ext::sh -c x",
            "https://ann:pw@git.test/a",
            "ssh://-oProxyCommand=x/a",
            "ssh://-x@h/a",
            "git://h/a",
            "a\nb",
        ] {
            assert!(wrong_url(bad).is_some(), "{bad}");
        }
        assert!(ConfigRepository::new("conf").is_folder() && ConfigRepository::new("/a/b:c").is_folder());
        assert!(
            !ConfigRepository::new("git@h:a").is_folder() && !ConfigRepository::new("file:///a").is_folder()
        );
    }

    #[test]
    fn a_label_can_be_no_option_and_no_expression() {
        for good in ["main", "v1.2", "release/2026-11", "a1b2c3d"] {
            assert!(is_label(good), "{good}");
        }
        for bad in [
            "", "-d", "--all", "a..b", "a@{1}", "a b", "HEAD~1", "a/", "/a", "a/.b", "x.lock", "a^", "a:b",
        ] {
            assert!(!is_label(bad), "{bad}");
        }
        assert!(is_profile("eu-west") && !is_profile("a/b") && !is_profile(""));
        assert!(
            is_folder("") && is_folder("a/b") && !is_folder("../a") && !is_folder("/a") && !is_folder("a//b")
        );
    }
}
