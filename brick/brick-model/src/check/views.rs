//! Views of backends for frontends: bricks that must exist, parameters that must be known, words that must be named.

use super::Check;
use crate::load::template;
use crate::model::{Auth, Protocol};
use crate::nearest;
use crate::query::ResolvedView;

/// Placeholder that is the user whom the token is about.
const SUBJECT: &str = "subject";

impl Check<'_> {
    pub(super) fn views(&mut self) {
        for resolved in self.model.views() {
            let (bff, name) = resolved.name.split_once('.').unwrap_or_default();
            let at = format!("edge.bff.{bff}.view.{name}");
            for (name, part) in &resolved.view.parts {
                let at = format!("{at}.part.{name}");
                self.leads_to(part.from.as_str(), &format!("{at}.from"));
                self.parameters(&resolved, &part.get, &format!("{at}.get"));
                if part.timeout.is_some_and(|own| own.0 > resolved.timeout) {
                    let limit = resolved.timeout.as_millis();
                    let path = format!("{at}.timeout");
                    let message = format!("{path}: the whole view has {limit} ms");
                    self.at_value(
                        "bad-value",
                        &path,
                        message,
                        "give the part less, or the view more",
                    );
                }
            }
            self.words(&resolved, &format!("{at}.say"));
        }
    }

    /// The edge leads requests to what speaks HTTP, here or outside.
    pub(super) fn leads_to(&mut self, to: &str, path: &str) {
        let speaks_none = |brick: &crate::model::Brick| brick.protocol == Protocol::Tcp;
        if self.expect_brick(to, path, false) && self.model.bricks.get(to).is_some_and(speaks_none) {
            let message = format!("{path}: \"{to}\" speaks no HTTP, so no request can be led there");
            let hint = "let a brick need it and lead the route there";
            self.at_value("no-http", path, message, hint);
        }
    }

    fn parameters(&mut self, resolved: &ResolvedView, get: &str, path: &str) {
        let known = resolved.parameters().into_iter();
        let known = known.chain(resolved.view.query.keys().map(String::as_str));
        let mut known: Vec<&str> = known.collect();
        if resolved.auth != Auth::Public {
            known.push(SUBJECT);
        }
        for name in template::placeholders(get) {
            if known.contains(&name) {
                continue;
            }
            let message = format!("{path}: the view has no parameter {{{name}}}");
            let hint = match name {
                SUBJECT => "a public view knows no user; say auth = \"jwt\"".to_owned(),
                _ => nearest::hint(name, "parameters of path and query", known.iter().copied()),
            };
            self.at_value("unknown-placeholder", path, message, &hint);
        }
    }

    fn words(&mut self, resolved: &ResolvedView, path: &str) {
        let Some(say) = &resolved.view.say else { return };
        for name in template::placeholders(&say.text) {
            if !say.words.contains_key(name) {
                let path = format!("{path}.text");
                let message = format!("{path}: there is no word {{{name}}}");
                let hint = nearest::hint(name, "words", say.words.keys().map(String::as_str));
                self.at_value("unknown-placeholder", &path, message, &hint);
            }
        }
    }
}
