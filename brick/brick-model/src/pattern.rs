//! Path patterns of routes: `/a/b` exactly, `/a/**` for `/a` and everything below it.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A valid path pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: String,
    prefix: bool,
}

/// The text is no path pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not begin at the root.
    #[error("a path pattern starts with \"/\"")]
    Relative,
    /// A star elsewhere than in a last segment `**`.
    #[error("a star may stand only as the last segment, `/**`")]
    Star,
    /// `//`, or a slash at the end.
    #[error("a path pattern has no empty segment and no slash at its end")]
    Empty,
    /// `.` or `..`.
    #[error("a path pattern has no `.` and `..` segments")]
    Dots,
    /// Something that a path cannot hold as it is.
    #[error("a path pattern cannot hold {0:?}")]
    Character(char),
    /// Longer than 1,024 bytes.
    #[error("a path pattern is at most 1,024 bytes long")]
    Long,
}

const BYTES_MAX: usize = 1024;

impl Pattern {
    /// Whether it covers all below a prefix.
    pub fn is_prefix(&self) -> bool {
        self.prefix
    }

    /// The path without its stars: `/api` of `/api/**`, empty for `/**`.
    pub fn base(&self) -> &str {
        if self.prefix {
            &self.text[..self.text.len() - "/**".len()]
        } else {
            &self.text
        }
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a request path (without query) is covered.
    pub fn matches(&self, path: &str) -> bool {
        if !self.prefix {
            return path == self.text;
        }
        path.strip_prefix(self.base())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Orders patterns so that of two that cover a path the more specific one comes first.
    pub fn by_specificity(&self, other: &Self) -> Ordering {
        let depth = |p: &Self| p.base().matches('/').count();
        depth(other)
            .cmp(&depth(self))
            .then(self.prefix.cmp(&other.prefix))
            .then_with(|| self.text.cmp(&other.text))
    }
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > BYTES_MAX {
            return Err(Error::Long);
        }
        let (base, prefix) = match text.strip_suffix("/**") {
            Some(base) => (base, true),
            None => (text, false),
        };
        let root = (prefix && base.is_empty()) || text == "/";
        if !root {
            check(base)?;
        }
        Ok(Self {
            text: text.to_owned(),
            prefix,
        })
    }
}

fn check(base: &str) -> Result<(), Error> {
    let segments = base.strip_prefix('/').ok_or(Error::Relative)?;
    for segment in segments.split('/') {
        if segment.is_empty() {
            return Err(Error::Empty);
        }
        if segment == "." || segment == ".." {
            return Err(Error::Dots);
        }
        if segment.contains('*') {
            return Err(Error::Star);
        }
        // RFC 3986 §3.3: unreserved, sub-delims, ":" and "@"; percent-encoded octets pass as they are.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()+,;=:@%".contains(c);
        if let Some(bad) = segment.chars().find(|c| !plain(*c)) {
            return Err(Error::Character(bad));
        }
    }
    Ok(())
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Pattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PathPattern".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^/[^*?#]*(\\*\\*)?$",
            "description": "/a/b exactly, or /a/** for /a and all below it"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_itself_or_all_below_its_prefix() {
        for (pattern, path, expect) in [
            ("/a", "/a", true),
            ("/a", "/a/b", false),
            ("/a/**", "/a", true),
            ("/a/**", "/a/b/c", true),
            ("/a/**", "/ab", false),
            ("/**", "/", true),
            ("/**", "/anything", true),
            ("/", "/", true),
            ("/", "/a", false),
        ] {
            assert_eq!(
                pattern.parse::<Pattern>().unwrap().matches(path),
                expect,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn what_is_no_pattern_is_told_why() {
        for (text, expect) in [
            ("", Error::Relative),
            ("a", Error::Relative),
            ("/a/*", Error::Star),
            ("/a/**/b", Error::Star),
            ("/a**", Error::Star),
            ("/a/", Error::Empty),
            ("//a", Error::Empty),
            ("/a//**", Error::Empty),
            ("/a/../b", Error::Dots),
            ("/a?b=1", Error::Character('?')),
            ("/a b", Error::Character(' ')),
        ] {
            assert_eq!(text.parse::<Pattern>(), Err(expect), "{text:?}");
        }
    }

    #[test]
    fn the_more_specific_pattern_comes_first() {
        let mut patterns: Vec<Pattern> = ["/**", "/", "/api/**", "/api", "/api/orders/**"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        patterns.sort_by(Pattern::by_specificity);
        let texts: Vec<&str> = patterns.iter().map(Pattern::as_str).collect();
        assert_eq!(texts, ["/api/orders/**", "/", "/api", "/api/**", "/**"]);
    }
}
