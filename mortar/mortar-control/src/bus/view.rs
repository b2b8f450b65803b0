//! What a subscriber sees: what it asked for, within what its token may see.

use brick_auth::Claims;
use brick_bus::resource::covers;

/// Patterns of one subscription at most, and bytes of one.
const PATTERNS_MAX: usize = 64;
const PATTERN_BYTES_MAX: usize = 256;

/// Scope of tokens that may see secret values of configurations.
pub(crate) const SECRETS: &str = "config:secrets";

/// What a token may see of the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    all: bool,
    secrets: bool,
    brick: Option<String>,
    calls: Vec<String>,
    calls_all: bool,
}

/// Patterns within a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    scope: Scope,
    patterns: Vec<String>,
}

impl Scope {
    pub(crate) fn of(claims: &Claims) -> Self {
        let mut calls: Vec<String> = claims
            .scopes()
            .filter_map(|scope| scope.strip_prefix("call:").map(str::to_owned))
            .collect();
        calls.sort();
        calls.dedup();
        Self {
            all: claims.has_scope("admin") || claims.has_scope("agent"),
            secrets: claims.has_scope(SECRETS),
            brick: claims.brick.clone(),
            calls_all: calls.iter().any(|callee| callee == "*"),
            calls,
        }
    }

    /// The rules of the bus: own configuration and limits, endpoints of what may be called, the trust bundle; the
    /// gateway also what the edge needs.
    pub(crate) fn sees(&self, name: &str) -> bool {
        let own = |name: &str| self.brick.as_deref() == Some(name);
        // Private keys are shown to nobody else, operators among them.
        if name.starts_with("certs/") {
            return own("gateway");
        }
        // Configurations may hold secrets: operators ask for them where these are hidden.
        if let Some(brick) = ["config/", "prepare/"]
            .iter()
            .find_map(|kind| name.strip_prefix(kind))
        {
            return own(brick) || self.secrets;
        }
        if self.all || name == brick_auth::TRUST_BUNDLE {
            return true;
        }
        let Some((kind, rest)) = name.split_once('/') else {
            return false;
        };
        match kind {
            "log" | "flags" => own(rest),
            "serve" => own(rest) || own("proxy"),
            // An instance sees who works beside it: what these had begun may be its own to end.
            "endpoints" if own(rest) => true,
            // Who may call a brick sees which version to call.
            "endpoints" | "pools" => {
                self.calls_all
                    || own("gateway")
                    || own("proxy")
                    || self.calls.iter().any(|callee| callee == rest)
            }
            "limits" | "faults" => match rest.split_once("->") {
                Some(("edge" | "route", _)) => own("gateway"),
                // The host proxy makes the calls of bricks.
                Some((caller, _)) => own(caller) || own("proxy"),
                None => false,
            },
            "routes" | "edge" | "keys" => own("gateway"),
            _ => false,
        }
    }
}

impl View {
    /// Without patterns everything in scope is covered.
    pub(crate) fn new(scope: Scope, mut patterns: Vec<String>) -> Result<Self, String> {
        if patterns.len() > PATTERNS_MAX {
            return Err(format!(
                "expected at most {PATTERNS_MAX} patterns, found {}",
                patterns.len()
            ));
        }
        if let Some(long) = patterns.iter().find(|pattern| pattern.len() > PATTERN_BYTES_MAX) {
            let start: String = long.chars().take(40).collect();
            return Err(format!(
                "the pattern \"{start}…\" is longer than {PATTERN_BYTES_MAX} bytes"
            ));
        }
        patterns.sort();
        patterns.dedup();
        Ok(Self { scope, patterns })
    }

    pub(crate) fn covers(&self, name: &str) -> bool {
        let asked = self.patterns.is_empty() || self.patterns.iter().any(|pattern| covers(pattern, name));
        asked && self.scope.sees(name)
    }

    /// The store's epoch as this view has it. A cursor of another view would pass over what that one did not cover,
    /// so its epoch differs (FNV-1a over scope and patterns).
    pub(crate) fn epoch(&self, store: &str) -> String {
        let text = format!("{:?}", (&self.scope, &self.patterns));
        let tag = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        format!("{store}{tag:08x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(brick: Option<&str>, scopes: &str) -> Scope {
        Scope::of(&Claims {
            brick: brick.map(str::to_owned),
            scope: scopes.to_owned(),
            ..Claims::default()
        })
    }

    #[test]
    fn a_token_sees_its_own_and_what_it_needs() {
        let check = |scope: &Scope, seen: &[&str], hidden: &[&str]| {
            for name in seen {
                assert!(scope.sees(name), "{scope:?} sees {name}");
            }
            for name in hidden {
                assert!(!scope.sees(name), "{scope:?} does not see {name}");
            }
        };
        let order = scope(Some("order"), "bus call:payment");
        check(
            &order,
            &[
                "config/order",
                "prepare/order",
                "log/order",
                "limits/order->payment",
                "faults/order->payment",
                "serve/order",
                "endpoints/payment",
                "endpoints/order",
                "trust/bundle",
            ],
            &[
                "config/payment",
                "pools/order",
                "limits/edge->order",
                "faults/route->orders",
                "serve/payment",
                "endpoints/customer",
                "routes/edge",
                "other",
                "odd/x",
            ],
        );
        let gateway = scope(Some("gateway"), "bus");
        check(
            &gateway,
            &[
                "routes/edge",
                "limits/edge->order",
                "faults/edge->order",
                "faults/route->orders",
                "endpoints/order",
                "trust/bundle",
            ],
            &["config/order", "limits/order->payment"],
        );
        let proxy = scope(Some("proxy"), "bus");
        check(
            &proxy,
            &[
                "limits/order->payment",
                "faults/order->payment",
                "serve/payment",
                "endpoints/payment",
            ],
            &[
                "limits/edge->order",
                "faults/route->orders",
                "config/order",
                "routes/edge",
            ],
        );
        let telemetry = scope(Some("telemetry"), "bus call:*");
        check(&telemetry, &["endpoints/order"], &["routes/edge", "config/order"]);
        check(
            &scope(None, "bus"),
            &["trust/bundle"],
            &["config/order", "endpoints/order"],
        );
        check(
            &scope(None, "admin bus"),
            &["routes/edge", "odd/x", "log/order"],
            &["config/order", "prepare/order"],
        );
        check(
            &scope(None, "admin bus config:secrets"),
            &["config/order", "prepare/order"],
            &[],
        );
    }

    #[test]
    fn another_view_has_another_epoch() {
        let view = |scopes: &str, patterns: &[&str]| {
            let patterns = patterns.iter().map(|p| (*p).to_owned()).collect();
            View::new(scope(Some("order"), scopes), patterns)
                .unwrap()
                .epoch("e")
        };
        let one = view("bus call:payment", &["endpoints/*", "config/order"]);
        assert_eq!(one, view("call:payment bus", &["config/order", "endpoints/*"]));
        assert_ne!(
            one,
            view("bus call:payment call:product", &["endpoints/*", "config/order"])
        );
        assert_ne!(one, view("bus call:payment", &["endpoints/*"]));
        assert!(one.bytes().all(|b| b.is_ascii_alphanumeric()));
    }

    #[test]
    fn patterns_are_bounded() {
        assert!(View::new(scope(None, ""), vec!["a".to_owned(); 65]).is_err());
        assert!(View::new(scope(None, ""), vec!["a".repeat(257)]).is_err());
    }
}
