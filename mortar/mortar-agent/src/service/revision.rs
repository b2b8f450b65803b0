//! The source revision that a system is started from.

use std::path::PathBuf;

/// The source revision: git's, with `-dirty` where tracked files differ; empty without git.
pub(super) async fn read(dir: PathBuf) -> String {
    let git = move |args: &[&str]| {
        let output = std::process::Command::new("git")
            .arg("-C")
            .arg(&dir)
            .args(args)
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text)
    };
    let read = move || {
        let head = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
        let dirty =
            git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty());
        match (head.is_empty(), dirty) {
            (false, true) => format!("{head}-dirty"),
            _ => head,
        }
    };
    tokio::task::spawn_blocking(read).await.unwrap_or_default()
}
