//! Arguments of `brick config`.

use brick_core::duration::Span;
use clap::{Args, Subcommand};

/// `order.max_lines`: a brick and one of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// The brick.
    pub(crate) brick: String,
    /// Its key, nested by dots.
    pub(crate) key: String,
}

/// `order.max_lines=20`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// What is set.
    pub(crate) key: Key,
    /// To what.
    pub(crate) value: String,
}

/// `order=debug`, `order/2=debug`, or `order` alone
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volume {
    /// The brick.
    pub(crate) brick: String,
    /// One instance of it.
    pub(crate) instance: Option<String>,
    /// The level; none only looks.
    pub(crate) level: Option<String>,
}

/// `brick config`
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show what counts for a brick, with the origin of each value
    Get {
        /// The brick, or one of its keys: `order.max_lines`
        #[arg(value_name = "BRICK[.KEY]")]
        what: String,
    },
    /// Change values while the system runs: all instances take them, or none
    Set {
        /// Values of one brick: `order.max_lines=20`
        #[arg(value_name = "BRICK.KEY=VALUE", required = true, value_parser = assignment)]
        values: Vec<Assignment>,
    },
    /// Take values back that were set: what the manifest or the repository says counts again
    Unset {
        /// Keys of one brick: `order.max_lines`
        #[arg(value_name = "BRICK.KEY", required = true, value_parser = key)]
        keys: Vec<Key>,
    },
    /// List what was changed of a brick, by whom, and how it ended
    History {
        /// The brick
        brick: String,
    },
    /// Show what differs between two changes; from the manifest to now unless said
    Diff {
        /// The brick
        brick: String,
        /// Id or revision of a change, `manifest` or `repository`
        from: Option<String>,
        /// Id or revision of a change, or `now`
        to: Option<String>,
    },
    /// Make the values what an earlier change left: a new change, in two phases like any other
    Rollback(Rollback),
    /// Show how the configuration repository was found last: revision, what is refused and why
    Repository {
        /// Look now, and make what is there a change
        #[arg(long)]
        refresh: bool,
    },
    /// Encrypt a value for one key; write what is printed into the manifest, or set it
    Encrypt {
        /// The value and its place: `order.pin=1234`
        #[arg(value_name = "BRICK.KEY=VALUE", value_parser = assignment)]
        value: Assignment,
    },
    /// Show or set which log lines are written: `brick config log order=debug --for 10m`
    Log {
        /// `BRICK=LEVEL` or `BRICK/N=LEVEL`; without a level what is set
        #[arg(value_name = "BRICK[/N][=LEVEL]", value_parser = volume)]
        volume: Volume,
        /// Back to what it was after this long; until it is taken back unless said
        #[arg(long = "for", value_name = "DURATION", conflicts_with = "reset")]
        duration: Option<Span>,
        /// Back to what it was now
        #[arg(long)]
        reset: bool,
    },
}

/// `brick config rollback`
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The brick
    pub(crate) brick: String,
    /// Id or revision of the change, as `brick config history` lists it
    pub(crate) to: String,
}

fn key(text: &str) -> Result<Key, String> {
    match text.split_once('.') {
        Some((brick, key)) if !brick.is_empty() && !key.is_empty() => Ok(Key {
            brick: brick.to_owned(),
            key: key.to_owned(),
        }),
        _ => Err(format!(
            "expected BRICK.KEY such as order.max_lines, found \"{text}\""
        )),
    }
}

fn assignment(text: &str) -> Result<Assignment, String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!(
            "expected BRICK.KEY=VALUE such as order.max_lines=20, found \"{text}\""
        ));
    };
    Ok(Assignment {
        key: key(name)?,
        value: value.to_owned(),
    })
}

fn volume(text: &str) -> Result<Volume, String> {
    let (name, level) = match text.split_once('=') {
        Some((name, level)) => (name, Some(level)),
        None => (text, None),
    };
    let brick = name.split(['/', '@']).next().unwrap_or_default();
    if brick.is_empty() || level.is_some_and(str::is_empty) {
        return Err(format!(
            "expected BRICK=LEVEL such as order=debug, found \"{text}\""
        ));
    }
    Ok(Volume {
        brick: brick.to_owned(),
        instance: name.contains('/').then(|| name.to_owned()),
        level: level.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_brick_and_a_name_and_a_value_may_hold_anything() {
        let set = assignment("order.limits.max=a=b").unwrap();
        assert_eq!(
            (set.key.brick.as_str(), set.key.key.as_str(), set.value.as_str()),
            ("order", "limits.max", "a=b")
        );
        for wrong in ["order", "order=1", ".a=1", "order.=1"] {
            assert!(assignment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_level_is_of_a_brick_or_of_one_instance() {
        let check = |text: &str, brick: &str, instance: Option<&str>, level: Option<&str>| {
            let found = volume(text).unwrap();
            assert_eq!(found.brick, brick, "{text}");
            assert_eq!(
                (found.instance.as_deref(), found.level.as_deref()),
                (instance, level),
                "{text}"
            );
        };
        check("order=info,hyper=warn", "order", None, Some("info,hyper=warn"));
        check(
            "payment@v2/1=debug",
            "payment",
            Some("payment@v2/1"),
            Some("debug"),
        );
        check("order", "order", None, None);
        assert!(volume("=debug").is_err() && volume("order=").is_err());
    }
}
