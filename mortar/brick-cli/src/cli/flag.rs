//! Arguments of `brick flag`.

use clap::{Args, Subcommand};

/// `brick flag`
#[derive(Debug, Subcommand)]
pub(crate) enum Flag {
    /// List the feature flags, with where each comes from
    List,
    /// Show a flag; with --for, what somebody gets and why
    Get(FlagGet),
    /// Override a flag while the system runs: for everybody, or for a share that sticks
    Set(FlagSet),
    /// Take an override back: what the manifest or the repository says counts again
    Reset {
        /// The flag
        key: String,
    },
}

/// `brick flag get`
#[derive(Debug, Args)]
pub(crate) struct FlagGet {
    /// The flag
    pub(crate) key: String,
    /// Evaluate it for this targeting key: a user
    #[arg(long = "for", value_name = "KEY")]
    pub(crate) targeting_key: Option<String>,
    /// Evaluate it for somebody of whom this is known
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) with: Vec<(String, String)>,
}

/// `brick flag set`
#[derive(Debug, Args)]
pub(crate) struct FlagSet {
    /// The flag
    pub(crate) key: String,
    /// A variant for everybody, or VARIANT=PERCENT; the default gets what is left of 100
    #[arg(value_name = "VARIANT[=PERCENT]", value_parser = share)]
    pub(crate) variants: Vec<(String, Option<u32>)>,
    /// Evaluate it no more: the default in each brick's code counts
    #[arg(long, conflicts_with_all = ["enable", "variants"])]
    pub(crate) disable: bool,
    /// Evaluate it again
    #[arg(long)]
    pub(crate) enable: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!(
            "expected NAME=VALUE such as tenant=acme, found \"{text}\""
        )),
    }
}

fn share(text: &str) -> Result<(String, Option<u32>), String> {
    let expected = || format!("expected a variant, or VARIANT=PERCENT such as on=10, found \"{text}\"");
    match text.split_once('=') {
        None if !text.is_empty() => Ok((text.to_owned(), None)),
        Some((variant, percent)) if !variant.is_empty() => {
            let percent: u32 = percent.trim_end_matches('%').parse().map_err(|_| expected())?;
            match percent <= 100 {
                true => Ok((variant.to_owned(), Some(percent))),
                false => Err(expected()),
            }
        }
        _ => Err(expected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_for_everybody_or_for_a_share() {
        assert_eq!(share("on"), Ok(("on".to_owned(), None)));
        assert_eq!(share("on=10"), Ok(("on".to_owned(), Some(10))));
        assert_eq!(share("on=10%"), Ok(("on".to_owned(), Some(10))));
        for wrong in ["", "=10", "on=", "on=101", "on=x"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }
}
