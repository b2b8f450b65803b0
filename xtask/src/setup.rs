//! `cargo xtask setup`: installs what the tests need beyond Rust and a C compiler, where it can be installed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::Result;

/// Something that tests need, and the Debian package that brings it.
struct Need {
    program: &'static str,
    package: &'static str,
    what_for: &'static str,
}

const NEEDS: [Need; 18] = [
    Need {
        program: "python3",
        package: "python3",
        what_for: "the shop's recommendation brick",
    },
    Need {
        program: "curl",
        package: "curl",
        what_for: "the commands that the documents tell a reader to type",
    },
    Need {
        program: "unshare",
        package: "util-linux",
        what_for: "the full disk of the acceptance tests",
    },
    Need {
        program: "ip",
        package: "iproute2",
        what_for: "the network of its own in which captured traffic is tested",
    },
    Need {
        program: "nft",
        package: "nftables",
        what_for: "the same test",
    },
    Need {
        program: "nginx",
        package: "nginx-light",
        what_for: "the comparison of what the gateway refuses with what others do",
    },
    Need {
        program: "haproxy",
        package: "haproxy",
        what_for: "the same comparison",
    },
    Need {
        program: "redis-server",
        package: "redis-server",
        what_for: "the test of rate limits that gateways share",
    },
    Need {
        program: "initdb",
        package: "postgresql",
        what_for: "the tests of state that is kept in PostgreSQL",
    },
    Need {
        program: "slowhttptest",
        package: "slowhttptest",
        what_for: "the test of clients that are slow on purpose",
    },
    Need {
        program: "node",
        package: "nodejs",
        what_for: "the browser tests",
    },
    Need {
        program: "npm",
        package: "npm",
        what_for: "the packages of the browser tests",
    },
    Need {
        program: "git",
        package: "git",
        what_for: "configuration that is kept in git",
    },
    Need {
        program: "dig",
        package: "bind9-dnsutils",
        what_for: "the test of names of bricks with a resolver that others wrote",
    },
    Need {
        program: "pip3",
        package: "python3-pip",
        what_for: "the packages of the clients that others wrote in Python",
    },
    Need {
        program: "javac",
        package: "openjdk-17-jdk-headless",
        what_for: "the Spring Boot application of the tests",
    },
    Need {
        program: "mvn",
        package: "maven",
        what_for: "the build of the Spring Boot application of the tests",
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
    let lacking = NEEDS.iter().filter(|need| !present(need.program));
    missing.extend(lacking.map(|need| told(need, is_root())));
    missing.extend(packages(
        &root.join("tests/browser"),
        "the browser tests' packages",
    ));
    missing.extend(packages(
        &root.join("tests/clients"),
        "the packages of clients that others wrote",
    ));
    missing.extend(python(root));
    missing.extend(spring(root));
    if let Some(line) = h2spec(root) {
        missing.push(line);
    }
    for line in &missing {
        println!("setup: MISSING: {line}");
    }
    Ok(missing)
}

/// Packages of npm in a folder. What is missing, if anything is.
fn packages(folder: &Path, what: &str) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("package.json")).unwrap_or_default();
    let package: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let wanted = ["dependencies", "devDependencies"].map(|kind| package[kind].as_object());
    let is_there = |name: &String| folder.join("node_modules").join(name).is_dir();
    if wanted
        .into_iter()
        .flatten()
        .flat_map(|all| all.keys())
        .all(is_there)
        || !present("npm")
    {
        return None;
    }
    println!("setup: installing {what}");
    let mut npm = Command::new("npm");
    let installed = quiet(npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(folder));
    let hint = format!(
        "{what} could not be installed; run `npm ci` in {} to see why",
        folder.display()
    );
    (!installed).then_some(hint)
}

/// Packages of PyPI for the clients that others wrote, in `target/tools/python`. What is missing, if anything is.
fn python(root: &Path) -> Option<String> {
    let (wanted, to) = (
        root.join("tests/clients/requirements.txt"),
        root.join("target/tools/python"),
    );
    let lines = std::fs::read_to_string(&wanted).unwrap_or_default();
    let is_there = |line: &str| {
        let folder = line
            .trim()
            .to_ascii_lowercase()
            .replace('-', "_")
            .replace("==", "-");
        folder.is_empty() || to.join(format!("{folder}.dist-info")).is_dir()
    };
    if lines.lines().all(is_there) || !present("pip3") {
        return None;
    }
    println!("setup: installing Python's packages of clients that others wrote");
    let mut pip = Command::new("pip3");
    pip.args(["install", "--quiet", "--no-input", "--upgrade", "--target"])
        .arg(&to)
        .arg("-r")
        .arg(&wanted);
    let hint = format!(
        "they could not be installed; run `pip3 install --target {} -r {}`",
        to.display(),
        wanted.display()
    );
    (!quiet(&mut pip)).then_some(hint)
}

/// The Spring Boot application of the tests, built into `target/tools/spring` where its sources are newer. What is
/// missing, if anything is.
fn spring(root: &Path) -> Option<String> {
    let (sources, jar) = (
        root.join("tests/clients/spring"),
        root.join("target/tools/spring/depot.jar"),
    );
    let built = jar.metadata().and_then(|found| found.modified());
    if built.is_ok_and(|built| newest(&sources).is_some_and(|source| source < built))
        || !(present("javac") && present("mvn"))
    {
        return None;
    }
    println!("setup: building the Spring Boot application of the tests");
    let package = |more: &[&str]| {
        let mut mvn = Command::new("mvn");
        mvn.args(["-q", "-B", "package"]).args(more);
        quiet(mvn.current_dir(&sources).stderr(Stdio::null()))
    };
    // What was fetched once is not asked for again.
    let done = package(&["-o"]) || package(&[]);
    let hint = format!(
        "the Spring Boot application of the tests could not be built; run `mvn package` in {} to see why",
        sources.display()
    );
    (!done).then_some(hint)
}

/// When a file of the folder was changed last.
fn newest(folder: &Path) -> Option<SystemTime> {
    let found = std::fs::read_dir(folder).ok()?.flatten();
    let times = found.filter_map(|entry| match entry.file_type().ok()?.is_dir() {
        true => newest(&entry.path()),
        false => entry.metadata().ok()?.modified().ok(),
    });
    times.max()
}

/// h2spec, which no Debian package brings: built by Go into `target/tools`. What is missing, if anything is.
fn h2spec(root: &Path) -> Option<String> {
    let tools = root.join("target/tools");
    if present("h2spec") || tools.join("h2spec").is_file() {
        return None;
    }
    const MODULE: &str = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible";
    println!("setup: building h2spec");
    let built = present("go") && quiet(Command::new("go").args(["install", MODULE]).env("GOBIN", &tools));
    (!built).then(|| {
        format!(
            "h2spec is not installed, the HTTP/2 cases cannot run without it; install Go, then `GOBIN={} go install {MODULE}`",
            tools.display()
        )
    })
}

/// What a missing program is needed for, and what to do.
fn told(need: &Need, root: bool) -> String {
    let Need {
        program,
        package,
        what_for,
    } = need;
    let how = match root {
        true => format!("apt-get could not install it: put `{program}` on PATH"),
        false => format!("Debian: sudo apt-get install {package}; elsewhere put `{program}` on PATH"),
    };
    format!("{program} is not installed, {what_for} cannot run without it; {how}")
}

/// Whether a program is found on the path, or where Debian keeps PostgreSQL's.
pub(crate) fn present(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let postgres = versions.flatten().map(|version| version.path().join("bin"));
    std::env::split_paths(&path)
        .chain(postgres)
        .any(|folder| folder.join(program).is_file())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_what_it_is_for_and_what_to_do() {
        for need in &NEEDS {
            for root in [true, false] {
                let line = told(need, root);
                for part in [need.program, need.what_for, "PATH"] {
                    assert!(line.contains(part), "{line}");
                }
            }
            assert!(told(need, false).contains(&format!("apt-get install {}", need.package)));
        }
    }
}
