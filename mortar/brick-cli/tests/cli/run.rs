//! The program as tests run it.

use std::path::Path;
use std::process::{Command, Stdio};

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

/// Runs `brick` in a folder, without a terminal and with what it may find in the environment fixed.
pub(crate) fn run(dir: &Path, arguments: &[&str]) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_brick"))
        .args(arguments)
        .current_dir(dir)
        .env("COLUMNS", "100")
        .env_remove("NO_COLOR")
        .env_remove("DISPLAY")
        .env_remove("SSL_CERT_DIR")
        .env("SSL_CERT_FILE", dir.join("system.pem"))
        .stdin(Stdio::null())
        .output()
        .expect("brick runs");
    let text = |bytes: &[u8]| {
        let folder = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
        String::from_utf8_lossy(bytes).replace(&*folder.to_string_lossy(), "/FOLDER")
    };
    Ended {
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
        code: output.status.code().unwrap_or(-1),
    }
}
