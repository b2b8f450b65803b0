//! Who asks for configuration, and what they may see.

use brick_http::Problem;
use http::HeaderMap;

use crate::bus::view::SECRETS;
use crate::config::repository::files::ENDINGS;
use crate::config::repository::layer::SHARED;
use crate::credentials::{Refused, Shown};
use crate::flags::Known;
use crate::service::Handle;

/// Scope that reads every application, without its secrets.
const READ: &str = "config:read";
/// Scope that evaluates every flag.
const FLAGS: &str = "flags:read";
/// Scope that reads one application with its secrets; its name follows.
const APPLICATION: &str = "config:app:";

/// What somebody may read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reader {
    all: bool,
    flags: bool,
    /// Whether it evaluates those of its own: who may follow the bus sees them there, too.
    own_flags: bool,
    secrets: bool,
    own: Vec<String>,
}

impl Reader {
    /// Whoever sent the request: a platform token, or a registered client by HTTP Basic.
    pub(crate) async fn of(
        handle: &Handle,
        headers: &HeaderMap,
        area: &'static str,
    ) -> Result<Self, Refused> {
        let shown = Shown::of(handle, headers, area, false).await?;
        Ok(Self::with(&shown.scopes, shown.brick))
    }

    fn with(scope: &str, brick: Option<String>) -> Self {
        let scopes = || scope.split_ascii_whitespace();
        let has = |wanted: &str| scopes().any(|one| one == wanted);
        let named = scopes().filter_map(|one| one.strip_prefix(APPLICATION).map(str::to_owned));
        Self {
            all: has("admin") || has("agent") || has(READ) || has(SECRETS),
            flags: has("admin") || has("agent") || has(FLAGS),
            own_flags: has("bus") || scopes().any(|one| one.starts_with(APPLICATION)),
            secrets: has("agent") || has(SECRETS),
            own: brick.into_iter().chain(named).collect(),
        }
    }

    fn owns(&self, application: &str) -> bool {
        self.own.iter().any(|own| own == application)
    }

    /// Whether they may read an application's configuration.
    pub(super) fn may(&self, application: &str) -> Result<(), Refused> {
        if self.all || self.owns(application) {
            return Ok(());
        }
        let hint =
            format!("expected scope {READ}, or {APPLICATION}{application}, or to be {application} itself");
        Err(Refused(Problem::forbidden("scope_missing", hint)))
    }

    /// Whether they may evaluate any flags.
    pub(crate) fn may_flags(&self) -> Result<(), Refused> {
        if self.flags || (self.own_flags && !self.own.is_empty()) {
            return Ok(());
        }
        let hint = format!("expected scope {FLAGS}, or to be a brick, which sees its own");
        Err(Refused(Problem::forbidden("scope_missing", hint)))
    }

    /// Whether they may evaluate this one.
    pub(crate) fn sees_flag(&self, flag: &Known) -> bool {
        self.flags || self.own.iter().any(|brick| flag.is_for(brick))
    }

    /// Whether they may see its secrets.
    pub(super) fn sees_secrets(&self, application: &str) -> bool {
        self.secrets || self.owns(application)
    }

    /// Whether they may read a file as it is: of who reads one application alone its own folder, and its own and
    /// everybody's files of values.
    pub(super) fn may_file(&self, application: &str, path: &str) -> Result<(), Refused> {
        let name = path.rsplit('/').next().unwrap_or_default();
        let of = |application: &str| {
            let stem = name
                .rsplit_once('.')
                .filter(|(_, ending)| ENDINGS.contains(ending));
            stem.is_some_and(|(stem, _)| {
                !path.contains('/') && (stem == application || stem.starts_with(&format!("{application}-")))
            })
        };
        let in_own = path.starts_with(&format!("{application}/")) && !path.contains("..");
        if self.all || in_own || of(application) || of(SHARED) {
            return Ok(());
        }
        let hint =
            format!("expected scope {READ}, or a file of {application}: {application}/…, {application}.yml");
        Err(Refused(Problem::forbidden("scope_missing", hint)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_what_its_scopes_say() {
        let check = |scope: &str, brick: Option<&str>, application: &str, reads: bool, secrets: bool| {
            let reader = Reader::with(scope, brick.map(str::to_owned));
            let found = (reader.may(application).is_ok(), reader.sees_secrets(application));
            assert_eq!(found, (reads, secrets), "{scope} {brick:?} {application}");
        };
        check("bus", Some("order"), "order", true, true);
        check("bus", Some("order"), "payment", false, false);
        check("admin", None, "order", true, false);
        check("config:read", None, "order", true, false);
        check("config:app:order", None, "order", true, true);
        check("config:app:order", None, "payment", false, false);
        check("config:secrets", None, "order", true, true);
        check("", None, "order", false, false);
    }

    #[test]
    fn flags_are_for_bricks_that_see_them_and_for_who_may_see_all() {
        let known = |bricks: Option<&[&str]>| Known {
            counts: crate::flags::Said {
                definition: brick_flags::Definition::boolean(true),
                origin: "manifest".to_owned(),
            },
            below: None,
            bricks: bricks.map(|bricks| bricks.iter().map(|brick| (*brick).to_owned()).collect()),
        };
        for (scope, brick, may, sees) in [
            ("bus", Some("order"), true, true),
            ("bus", Some("payment"), true, false),
            ("", Some("payment"), false, false),
            ("flags:read", None, true, true),
            ("admin", None, true, true),
            ("config:read", None, false, false),
        ] {
            let reader = Reader::with(scope, brick.map(str::to_owned));
            let found = (
                reader.may_flags().is_ok(),
                reader.sees_flag(&known(Some(&["order"]))),
            );
            assert_eq!(found, (may, sees), "{scope} {brick:?}");
        }
        let own = Reader::with("bus", Some("payment".to_owned()));
        assert!(own.sees_flag(&known(None)));
    }

    #[test]
    fn files_of_others_are_not_read_as_text() {
        let own = Reader::with("bus", Some("order".to_owned()));
        for good in [
            "order/logback.xml",
            "order.yml",
            "order-eu.yml",
            "application.yml",
        ] {
            assert!(own.may_file("order", good).is_ok(), "{good}");
        }
        for bad in [
            "payment.yml",
            "payment/x",
            "x.xml",
            "order/../payment.yml",
            "orders.yml",
        ] {
            assert!(own.may_file("order", bad).is_err(), "{bad}");
        }
        assert!(
            Reader::with("config:read", None)
                .may_file("order", "x.xml")
                .is_ok()
        );
    }
}
