//! `cargo xtask deny`: licences, bans, sources and known vulnerabilities of all dependencies, by `cargo deny`.
//!
//! cargo-deny itself takes minutes to compile, so it is not installed behind anybody's back: where it is missing it is
//! said how to get it. `.ci/run` runs this where it is there.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::setup;

/// What to check.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Pass, and say so, where cargo-deny is not installed
    #[arg(long)]
    if_present: bool,
    /// Leave out the vulnerabilities, which are looked up in the network
    #[arg(long)]
    offline: bool,
}

/// Runs the checks; whether nothing was found.
pub(crate) fn run(root: &Path, options: &Options) -> Result<bool> {
    if !setup::present("cargo-deny") {
        let how = "cargo-deny is not installed; `cargo install cargo-deny --locked` brings it";
        if options.if_present {
            println!("deny: SKIPPED: {how}");
            return Ok(true);
        }
        bail!("{how}");
    }
    let mut command = Command::new("cargo");
    command
        .args(["deny", "--all-features", "check", "licenses", "bans", "sources"])
        .current_dir(root);
    if !options.offline {
        command.arg("advisories");
    }
    Ok(command.status().context("cannot run cargo deny")?.success())
}
