//! `cargo xtask setup`: installs what the tests need beyond Rust and a C compiler, where it can be installed.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

/// Something that tests need, and the Debian package that brings it.
struct Need {
    program: &'static str,
    package: &'static str,
    what_for: &'static str,
}

const NEEDS: [Need; 3] = [
    Need {
        program: "python3",
        package: "python3",
        what_for: "the shop's recommendation brick",
    },
    Need {
        program: "node",
        package: "nodejs",
        what_for: "the browser tests",
    },
    Need {
        program: "chromium",
        package: "chromium",
        what_for: "the browser tests",
    },
];

/// Installs and answers what is still missing, one line each.
pub(crate) fn run(root: &Path) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    let absent: Vec<&Need> = NEEDS.iter().filter(|need| !present(need.program)).collect();
    if !absent.is_empty() && is_root() && present("apt-get") {
        let packages: Vec<&str> = absent.iter().map(|need| need.package).collect();
        println!("setup: installing {}", packages.join(", "));
        quiet(Command::new("apt-get").args(["update", "-q"]));
        quiet(
            Command::new("apt-get")
                .args(["install", "-y", "-q", "--no-install-recommends"])
                .args(&packages),
        );
    }
    for need in NEEDS {
        if !present(need.program) {
            missing.push(format!(
                "{} is not installed ({}); Debian: apt-get install {}",
                need.program, need.what_for, need.package
            ));
        }
    }
    let browser = root.join("tests/browser");
    if browser.join("package-lock.json").exists() && !browser.join("node_modules").exists() && present("npm")
    {
        println!("setup: installing the browser tests' packages");
        if !quiet(
            Command::new("npm")
                .args(["ci", "--no-audit", "--no-fund"])
                .current_dir(&browser),
        ) {
            missing.push("the browser tests' packages could not be installed: `npm ci` failed".to_owned());
        }
    }
    for line in &missing {
        println!("setup: {line}");
    }
    Ok(missing)
}

/// Whether a program is found on the path.
pub(crate) fn present(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == "0")
}

fn quiet(command: &mut Command) -> bool {
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
