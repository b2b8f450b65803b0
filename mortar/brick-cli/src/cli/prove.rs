//! Arguments of `brick prove`.

use clap::{Args, Subcommand};

/// What of a system is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quality {
    /// Its processes can be destroyed.
    Disposability,
    /// Others can stand in for them.
    Replaceability,
}

impl Quality {
    /// As the command line has it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Disposability => "disposability",
            Self::Replaceability => "replaceability",
        }
    }
}

/// `brick prove`
#[derive(Debug, Subcommand)]
pub(crate) enum Prove {
    /// Kill, scale, quarantine, roll and repave: does anybody notice?
    Disposability(ProveRun),
    /// Lead all traffic to one instance, lose a zone, swap versions and implementations: does anybody notice?
    Replaceability(ProveRun),
    /// List what was proven here; `--format json` has the evidence
    Ls,
}

/// How it is proven.
#[derive(Debug, Args)]
pub(crate) struct ProveRun {
    /// Only these experiments, `kill:order/1` or all of a kind, `kill`
    #[arg(long, value_name = "EXPERIMENT,…", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// List the experiments, make none
    #[arg(long)]
    pub(crate) list: bool,
    /// Disturb the running system instead of one of its own in a scratch folder
    #[arg(long)]
    pub(crate) here: bool,
    /// Load scenarios of the manifest (may be given more than once); all of them unless said
    #[arg(long, value_name = "SCENARIO")]
    pub(crate) load: Vec<String>,
    /// Rounds of each scenario started each second
    #[arg(long, default_value_t = 20.0)]
    pub(crate) rps: f64,
    /// Instances that each brick has at least, in a system of its own
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=20), conflicts_with = "here")]
    pub(crate) replicas: u32,
    /// Build nothing before
    #[arg(long, conflicts_with = "here")]
    pub(crate) no_build: bool,
    /// Let a system of its own go on, to look into
    #[arg(long, conflicts_with = "here")]
    pub(crate) keep: bool,
}
