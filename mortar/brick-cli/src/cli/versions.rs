//! Arguments of the commands about concurrent versions: `route`, `canary`, `quarantine`.

use brick_core::duration::Span;
use clap::{Args, Subcommand};

/// `brick route`
#[derive(Debug, Subcommand)]
pub(crate) enum Route {
    /// List the bricks that have versions, with their shares
    Ls,
    /// Show the versions of a brick with their shares and rules
    Show {
        /// The brick
        brick: String,
    },
    /// Give versions shares of the keys; the base has what they leave
    Set(RouteSet),
    /// Send requests with this header to a version, whatever the shares are
    Header {
        /// The brick
        brick: String,
        /// The header, quoted
        #[arg(value_name = "NAME: VALUE", value_parser = super::edge::header)]
        header: (String, String),
        /// The version
        version: String,
    },
    /// Send requests with this cookie to a version
    Cookie {
        /// The brick
        brick: String,
        /// The cookie
        #[arg(value_name = "NAME=VALUE", value_parser = cookie)]
        cookie: (String, String),
        /// The version
        version: String,
    },
    /// Send a user's requests to a version
    User {
        /// The brick
        brick: String,
        /// The user, as their token names them
        user: String,
        /// The version
        version: String,
    },
    /// Send a tenant's requests to a version
    Tenant {
        /// The brick
        brick: String,
        /// The tenant, as baggage `tenant` names them
        tenant: String,
        /// The version
        version: String,
    },
    /// Send copies of requests that change nothing to a version; its answers are thrown away
    Mirror {
        /// The brick
        brick: String,
        /// `VERSION=PERCENT` of the requests; 0 ends it
        #[arg(value_name = "VERSION=PERCENT", value_parser = share)]
        share: (String, u32),
    },
    /// Take one rule back; the others and the shares stay
    Drop {
        /// The brick
        brick: String,
        /// Its number, as `brick route show` has it
        #[arg(value_name = "RULE", value_parser = clap::value_parser!(u32).range(1..))]
        rule: u32,
    },
    /// Take shares and rules back: requests go to any instance
    Reset {
        /// The brick
        brick: String,
    },
}

/// `brick route set`
#[derive(Debug, Args)]
pub(crate) struct RouteSet {
    /// The brick
    pub(crate) brick: String,
    /// `VERSION=PERCENT`, one or more
    #[arg(required = true, value_name = "VERSION=PERCENT", value_parser = share)]
    pub(crate) shares: Vec<(String, u32)>,
    /// What stays with one version: user, tenant, header:NAME, cookie:NAME, or none
    #[arg(long, value_name = "KEY")]
    pub(crate) sticky: Option<String>,
    /// Say who would move, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `brick canary`
#[derive(Debug, Subcommand)]
pub(crate) enum Canary {
    /// List the canaries, running and over
    Ls,
    /// Begin one: its share grows step by step, it is promoted or aborted by itself
    Start(CanaryStart),
    /// Give its version everything now
    Promote {
        /// The brick
        brick: String,
    },
    /// Go back to what was before
    Abort {
        /// The brick
        brick: String,
    },
}

/// `brick canary start`
#[derive(Debug, Args)]
pub(crate) struct CanaryStart {
    /// The brick
    pub(crate) brick: String,
    /// The version to try
    pub(crate) version: String,
    /// Shares in percent, ascending to 100 [default: the manifest's, else 1,5,25,100]
    #[arg(long, value_name = "PERCENT,…", value_delimiter = ',')]
    pub(crate) steps: Vec<u32>,
    /// How long a step lasts at least [default: the manifest's, else 30s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) hold: Option<Span>,
    /// Abort where more than this share of calls fails beyond what fails of the base [default: the manifest's, else 0.01]
    #[arg(long, value_name = "SHARE")]
    pub(crate) errors: Option<f64>,
    /// Abort where p99 is more than so many times the base's [default: the manifest's, else 2]
    #[arg(long, value_name = "TIMES")]
    pub(crate) slower: Option<f64>,
    /// Calls that a step needs at least [default: the manifest's, else 100]
    #[arg(long, value_name = "CALLS")]
    pub(crate) min_calls: Option<u32>,
}

/// `brick quarantine`
#[derive(Debug, Args)]
pub(crate) struct Quarantine {
    /// `BRICK/N`
    #[arg(value_name = "BRICK/N")]
    pub(crate) instance: String,
    /// Take it back into its pool
    #[arg(long)]
    pub(crate) release: bool,
}

fn share(text: &str) -> Result<(String, u32), String> {
    let parts = text.split_once('=').and_then(|(version, share)| {
        let share = share.trim_end_matches('%').parse().ok()?;
        Some((version.to_owned(), share)).filter(|(version, share)| !version.is_empty() && *share <= 100)
    });
    parts.ok_or_else(|| format!("expected VERSION=PERCENT such as v2=10, found \"{text}\""))
}

fn cookie(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let parts = parts.map(|(name, value)| (name.to_owned(), value.to_owned()));
    parts.ok_or_else(|| format!("expected NAME=VALUE, found \"{text}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_version_and_a_percentage() {
        assert_eq!(share("v2=10"), Ok(("v2".to_owned(), 10)));
        assert_eq!(share("v2=10%"), Ok(("v2".to_owned(), 10)));
        for wrong in ["v2", "=10", "v2=101", "v2=x"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
        assert_eq!(cookie("beta=1"), Ok(("beta".to_owned(), "1".to_owned())));
        assert!(cookie("=1").is_err());
    }
}
