//! What a verified token says.

use serde::{Deserialize, Deserializer, Serialize};

/// The claims of a token (RFC 7519 §4.1, `scope` as in RFC 8693 §4.2, and two of the platform's own).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer.
    pub iss: String,
    /// Audiences; one string or several on the wire.
    #[serde(deserialize_with = "one_or_many")]
    pub aud: Vec<String>,
    /// Who it is about: a user's id, `brick:<name>`, `agent`, `operator`.
    pub sub: String,
    /// Space-separated scopes.
    #[serde(default)]
    pub scope: String,
    /// Seconds since the epoch after which it is void.
    pub exp: u64,
    /// Seconds since the epoch at which it was made.
    #[serde(default)]
    pub iat: u64,
    /// Seconds since the epoch before which it is void.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// Identity of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// The brick whose process it is, in process tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brick: Option<String>,
    /// The start of that process, in process tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<String>,
}

impl Claims {
    /// Whether the scope was granted. `call:*` grants every `call:<brick>`.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes()
            .any(|granted| granted == scope || (granted == "call:*" && scope.starts_with("call:")))
    }

    /// Whether an operator may look into an area of the platform's APIs, or change something there: `admin` may all,
    /// `AREA:write` both in its area, `AREA:read` look into it, `read` look into every area.
    pub fn may(&self, area: &str, write: bool) -> bool {
        self.scopes().any(|granted| match granted.split_once(':') {
            None => granted == "admin" || (granted == "read" && !write),
            Some((own, "write")) => own == area,
            Some((own, "read")) => own == area && !write,
            Some(_) => false,
        })
    }

    /// Whether it may do anything as an operator.
    pub fn is_operator(&self) -> bool {
        self.scopes()
            .any(|scope| scope == "admin" || is_for_operators(scope))
    }

    /// The scopes one by one.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scope.split_ascii_whitespace()
    }
}

/// Areas of the platform's APIs, as scopes of operators name them.
pub const AREAS: [&str; 14] = [
    "system",
    "scale",
    "roll",
    "kill",
    "quarantine",
    "config",
    "log",
    "flags",
    "routes",
    "limits",
    "faults",
    "certs",
    "audit",
    "telemetry",
];

/// Whether a scope lets an operator do a part of everything: `read`, `AREA:read`, `AREA:write`.
pub fn is_for_operators(scope: &str) -> bool {
    match scope.split_once(':') {
        None => scope == "read",
        Some((area, right)) => AREAS.contains(&area) && matches!(right, "read" | "write"),
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Audience::deserialize(deserializer)? {
        Audience::One(one) => vec![one],
        Audience::Many(many) => many,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_a_whole_word_and_call_star_calls_every_brick() {
        let claims = |scope: &str| Claims {
            scope: scope.to_owned(),
            ..Claims::default()
        };
        assert!(claims("bus call:order").has_scope("call:order"));
        assert!(!claims("call:orders").has_scope("call:order"));
        assert!(claims("call:*").has_scope("call:order"));
        assert!(!claims("call:*").has_scope("admin"));
        assert!(!claims("*").has_scope("admin"));
        assert!(!claims("").has_scope(""));
    }

    #[test]
    fn operators_act_within_their_areas() {
        let check = |scope: &str, area: &str, looks: bool, changes: bool| {
            let claims = Claims {
                scope: scope.to_owned(),
                ..Claims::default()
            };
            assert_eq!(
                (claims.may(area, false), claims.may(area, true)),
                (looks, changes),
                "{scope} {area}"
            );
            assert!(!looks || claims.is_operator(), "{scope}");
        };
        check("admin", "config", true, true);
        check("read", "config", true, false);
        check("config:read", "config", true, false);
        check("flags:write config:write", "config", true, true);
        check("config:write", "flags", false, false);
        check(
            "config:app:order config:secrets bus call:*",
            "config",
            false,
            false,
        );
        check("write", "config", false, false);
        assert!(!is_for_operators("confg:write") && !is_for_operators("config:secrets"));
        check("", "", false, false);
    }

    #[test]
    fn an_audience_may_be_one_or_several() {
        let parse = |aud: &str| {
            let text = format!(r#"{{"iss":"i","aud":{aud},"sub":"s","exp":1}}"#);
            serde_json::from_str::<Claims>(&text).map(|c| c.aud.len()).ok()
        };
        assert_eq!(parse(r#""shop""#), Some(1));
        assert_eq!(parse(r#"["shop","x"]"#), Some(2));
        assert_eq!(parse("1"), None);
    }
}
