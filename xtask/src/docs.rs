//! `cargo xtask docs`: checks every link of the documents and builds the book.
//!
//! The book's source is put together in `target/book`: the pages of `docs`, pages made from the API documents in
//! `api`, and what the pages link to outside `docs`, so that no link of the book leads nowhere.

mod api;
mod book;
mod links;
mod markdown;

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;

/// Version of mdBook that is installed where none is there.
const MDBOOK: &str = "0.4.52";

/// What to do.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Check the links and build nothing
    #[arg(long)]
    check: bool,
}

/// Whether every link leads somewhere; builds the book if so.
pub(crate) fn run(root: &Path, options: &Options) -> Result<bool> {
    let findings = links::check(root)?;
    for finding in &findings {
        println!("docs: {finding}");
    }
    if !findings.is_empty() {
        return Ok(false);
    }
    println!("docs: every link leads somewhere");
    if options.check {
        return Ok(true);
    }
    let folder = root.join("target/book");
    book::assemble(root, &folder)?;
    let mdbook = mdbook(root)?;
    let status = Command::new(mdbook)
        .arg("build")
        .arg(&folder)
        .status()
        .context("cannot run mdbook")?;
    if status.success() {
        println!("docs: open {}", folder.join("book/index.html").display());
    }
    Ok(status.success())
}

/// mdBook from the path, or of our own in `target/tools`, installed if need be.
fn mdbook(root: &Path) -> Result<std::path::PathBuf> {
    if crate::setup::present("mdbook") {
        return Ok("mdbook".into());
    }
    let tools = root.join("target/tools");
    let own = tools.join("bin/mdbook");
    if !own.is_file() {
        println!(
            "docs: installing mdbook {MDBOOK} into {}; this takes minutes, once",
            tools.display()
        );
        let status = Command::new("cargo")
            .args(["install", "mdbook", "--locked", "--version", MDBOOK, "--quiet"])
            .args(["--no-default-features", "--features", "search", "--root"])
            .arg(&tools)
            .status()
            .context("cannot run cargo")?;
        if !status.success() {
            bail!("mdbook could not be installed; install it yourself and try again");
        }
    }
    Ok(own)
}
