//! Load scenarios: steps that one imagined user takes in turn, with values saved from answers.

use std::collections::BTreeMap;

use brick_core::BrickName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub mod expect;
pub mod path;
pub mod template;

pub use expect::{Answer, Expect};

/// `[load.NAME]`: one scenario, for `brick load NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// What is done once before the first round; values that it saves hold for every round.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<Step>,
    /// What each imagined user does, in order. A step that fails ends the round.
    pub steps: Vec<Step>,
    /// What must hold of every round that ended well, for as long as the system lives: `brick prove` asks it afterwards,
    /// with the values of that round. A step that names a brick asks that brick instead of the edge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub check: Vec<Step>,
}

/// One request of a scenario. Exactly one of `get`, `post`, `put` and `delete` is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Path and query of a GET. Paths, bodies, headers and the subject may hold `{name}` of a value saved by an
    /// earlier step, and `{uuid}` for a new UUID at each use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get: Option<String>,
    /// Path and query of a POST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post: Option<String>,
    /// Path and query of a PUT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put: Option<String>,
    /// Path and query of a DELETE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<String>,
    /// Body, sent as `application/json` unless a header says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Request headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What the answer must be, a status or a table; any 2xx unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
    /// Values to keep for later steps: name and path into the JSON answer, `$.items[0].id`.
    #[serde(default)]
    pub save: BTreeMap<String, String>,
    /// Scope of a user token that is made for the run and sent along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<String>,
    /// User that the token is for; an imagined one, new in each run, unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Brick that is asked itself, past the edge; in `check` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brick: Option<BrickName>,
}

/// Method of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
}

impl Method {
    /// As it stands in a request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

impl Step {
    /// Method and target (path and query, with placeholders); `None` for a step that names no request or several.
    pub fn request(&self) -> Option<(Method, &str)> {
        let given = [
            (Method::Get, &self.get),
            (Method::Post, &self.post),
            (Method::Put, &self.put),
            (Method::Delete, &self.delete),
        ];
        let mut named = given
            .into_iter()
            .filter_map(|(method, target)| Some((method, target.as_deref()?)));
        match (named.next(), named.next()) {
            (Some(request), None) => Some(request),
            _ => None,
        }
    }

    /// Whether an answer's status is the expected one.
    pub fn accepts(&self, status: u16) -> bool {
        match self.expect.as_ref().and_then(Expect::status) {
            Some(expect) => status == expect,
            None => (200..300).contains(&status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_one_request_and_accepts_success() {
        let mut step = Step {
            get: Some("/a".to_owned()),
            ..Step::default()
        };
        assert_eq!(step.request(), Some((Method::Get, "/a")));
        assert!(step.accepts(204) && !step.accepts(301));
        step.expect = Some(Expect::Status(301));
        assert!(step.accepts(301) && !step.accepts(200));
        step.post = Some("/b".to_owned());
        assert_eq!(step.request(), None);
    }
}
