//! The program `git`, asked for what a repository holds: without a shell, without prompts, each question with an end
//! and a bound on its answer.
//!
//! What is fetched goes into a bare repository of control's own; nothing is ever checked out. Arguments come from the
//! manifest and from requests: each was checked to be neither an option nor an expression, and stands where git takes
//! no option any more.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use brick_model::is_label;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// What is kept of what git complains about.
const COMPLAINT_BYTES_MAX: usize = 4 << 10;
/// Files of a tree that are looked at.
const FILES_MAX: usize = 10_000;
/// Largest file that is read.
pub(crate) const FILE_BYTES_MAX: u64 = 512 << 10;

/// What git inherits: where it finds programs, keys and its owner's settings. Nothing that leads it elsewhere.
const INHERITED: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "XDG_CONFIG_HOME",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "NO_PROXY",
    "no_proxy",
];

/// Why git did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "the program git is not installed here: the configuration repository needs it on the PATH of `brick up`"
    )]
    Missing,
    #[error("git cannot be run: {0}")]
    Run(io::Error),
    #[error("{what} took longer than {} s", .limit.as_secs())]
    Late { what: &'static str, limit: Duration },
    #[error("{what} failed: {complaint}")]
    Failed { what: &'static str, complaint: String },
    #[error("the repository has no branch, tag or revision \"{0}\"")]
    Label(String),
    #[error("{0}")]
    TooLarge(String),
    #[error("git answered otherwise than it says it does when asked to {0}")]
    Odd(&'static str),
}

/// A file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// Its path below the folder that was asked for.
    pub(crate) path: String,
    /// Name of its content.
    pub(crate) blob: String,
    pub(crate) bytes: u64,
}

/// Control's own copy of a repository.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    dir: PathBuf,
    limit: Duration,
}

impl Git {
    /// The copy in a folder; each question may take so long.
    pub(crate) fn new(dir: PathBuf, limit: Duration) -> Self {
        Self { dir, limit }
    }

    /// Brings the copy in line with the repository.
    pub(crate) async fn fetch(&self, url: &str) -> Result<(), Error> {
        if !self.dir.join("HEAD").exists() {
            let args = ["init", "--quiet", "--bare", "--"].map(OsString::from);
            let args = args.into_iter().chain([self.dir.clone().into_os_string()]);
            ask("making a copy", command(None, args), &[], self.limit).await?;
        }
        let args = [
            "fetch",
            "--quiet",
            "--prune",
            "--force",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--",
            url,
            "+refs/heads/*:refs/heads/*",
            "+refs/tags/*:refs/tags/*",
        ];
        self.ask("fetching from the repository", &args).await.map(drop)
    }

    /// Whether there is a copy.
    pub(crate) fn is_there(&self) -> bool {
        self.dir.join("HEAD").exists()
    }

    /// The revision that a branch, a tag or the beginning of a revision names.
    pub(crate) async fn resolve(&self, label: &str) -> Result<String, Error> {
        let unknown = || Error::Label(label.chars().take(60).collect());
        if !is_label(label) {
            return Err(unknown());
        }
        let hex = label.len() >= 7 && label.bytes().all(|b| b.is_ascii_hexdigit());
        let named = ["refs/heads/", "refs/tags/"].map(|kind| format!("{kind}{label}"));
        for name in named.into_iter().chain(hex.then(|| label.to_owned())) {
            let name = format!("{name}^{{commit}}");
            let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", &name];
            match self.ask("looking a label up", &args).await {
                Ok(answer) => {
                    let sha = String::from_utf8_lossy(&answer).trim().to_owned();
                    // git answers with the marker, too.
                    return Ok(sha.lines().last().unwrap_or_default().to_owned());
                }
                Err(Error::Failed { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(unknown())
    }

    /// The files below a folder of a revision; links and modules are none.
    pub(crate) async fn files(&self, sha: &str, folder: &str) -> Result<Vec<File>, Error> {
        let below = match folder {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        let mut args = vec!["ls-tree", "-r", "-z", "-l", "--full-tree", sha, "--"];
        if !below.is_empty() {
            args.push(&below);
        }
        let answer = self.ask("listing files", &args).await?;
        let text = String::from_utf8_lossy(&answer);
        let mut files = Vec::new();
        for line in text.split('\0').filter(|line| !line.is_empty()) {
            let (about, path) = line.split_once('\t').ok_or(Error::Odd("list files"))?;
            let [mode, _, blob, bytes] = about.split_whitespace().collect::<Vec<_>>()[..] else {
                return Err(Error::Odd("list files"));
            };
            if !mode.starts_with("100") {
                continue;
            }
            files.push(File {
                path: path.strip_prefix(&below).unwrap_or(path).to_owned(),
                blob: blob.to_owned(),
                bytes: bytes.parse().map_err(|_| Error::Odd("list files"))?,
            });
        }
        if files.len() > FILES_MAX {
            let told = format!("expected at most {FILES_MAX} files, found {}", files.len());
            return Err(Error::TooLarge(told));
        }
        Ok(files)
    }

    /// The content of files, in their order.
    pub(crate) async fn read(&self, files: &[&File]) -> Result<Vec<Vec<u8>>, Error> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(large) = files.iter().find(|file| file.bytes > FILE_BYTES_MAX) {
            let told = format!("{} is larger than {} KiB", large.path, FILE_BYTES_MAX >> 10);
            return Err(Error::TooLarge(told));
        }
        let asked: String = files.iter().map(|file| format!("{}\n", file.blob)).collect();
        let args = ["cat-file", "--batch"].map(OsString::from);
        let command = command(Some(&self.dir), args);
        let answer = ask("reading files", command, asked.as_bytes(), self.limit).await?;
        let (mut rest, mut all) = (&answer[..], Vec::new());
        for file in files {
            let odd = || Error::Odd("read files");
            let end = rest.iter().position(|b| *b == b'\n').ok_or_else(odd)?;
            let bytes = usize::try_from(file.bytes).map_err(|_| odd())?;
            let after = rest.get(end + 1..).ok_or_else(odd)?;
            all.push(after.get(..bytes).ok_or_else(odd)?.to_vec());
            rest = after.get(bytes + 1..).ok_or_else(odd)?;
        }
        Ok(all)
    }

    /// The revision that changed a file last, seen from one.
    pub(crate) async fn changed(&self, sha: &str, path: &str) -> Result<String, Error> {
        let args = ["log", "-1", "--format=%H", "--end-of-options", sha, "--", path];
        let answer = self.ask("looking a file's history up", &args).await?;
        let found = String::from_utf8_lossy(&answer).trim().to_owned();
        Ok(match found.is_empty() {
            true => sha.to_owned(),
            false => found,
        })
    }

    /// What a revision's author says of it, in a line.
    pub(crate) async fn subject(&self, sha: &str) -> Result<String, Error> {
        let args = ["log", "-1", "--format=%s (%an)", "--end-of-options", sha];
        let answer = self.ask("reading a revision", &args).await?;
        let text = String::from_utf8_lossy(&answer);
        Ok(text
            .trim()
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect())
    }

    async fn ask(&self, what: &'static str, args: &[&str]) -> Result<Vec<u8>, Error> {
        let args = args.iter().map(OsString::from);
        ask(what, command(Some(&self.dir), args), &[], self.limit).await
    }
}

/// git, alone in its process group, with an environment of its own.
fn command(dir: Option<&Path>, args: impl IntoIterator<Item = OsString>) -> Command {
    const SETTINGS: [&str; 7] = [
        "protocol.ext.allow=never",
        "protocol.fd.allow=never",
        "core.hooksPath=/dev/null",
        "core.askPass=",
        "credential.interactive=false",
        "gc.autoDetach=false",
        "log.showSignature=false",
    ];
    let mut command = Command::new("git");
    command.env_clear();
    for name in INHERITED {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
        .env("LC_ALL", "C")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ALLOW_PROTOCOL", "file:http:https:ssh")
        .env("GIT_LITERAL_PATHSPECS", "1")
        .env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=10");
    if let Some(dir) = dir {
        command.arg("--git-dir").arg(dir);
    }
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    command.args(args).process_group(0).kill_on_drop(true);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs it to its end, or ends it with everything that it started.
async fn ask(
    what: &'static str,
    mut command: Command,
    input: &[u8],
    limit: Duration,
) -> Result<Vec<u8>, Error> {
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::Missing,
        _ => Error::Run(error),
    })?;
    let group = Group(child.id());
    let answered = tokio::time::timeout(limit, talk(&mut child, input)).await;
    let (answer, complaint, success) = match answered {
        Ok(talked) => talked.map_err(Error::Run)?,
        Err(_) => return Err(Error::Late { what, limit }),
    };
    // It has ended; its number may be another's by now.
    std::mem::forget(group);
    if answer.len() > ANSWER_BYTES_MAX {
        let told = format!("{what}: expected at most {} MiB", ANSWER_BYTES_MAX >> 20);
        return Err(Error::TooLarge(told));
    }
    match success {
        true => Ok(answer),
        false => Err(Error::Failed {
            what,
            complaint: said(&complaint),
        }),
    }
}

async fn talk(child: &mut Child, input: &[u8]) -> io::Result<(Vec<u8>, Vec<u8>, bool)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // Who does not read any more says why on another way.
            let _ = stdin.write_all(input).await;
        }
    };
    let ((), answer, complaint) = tokio::join!(
        write,
        some(stdout, ANSWER_BYTES_MAX + 1),
        some(stderr, COMPLAINT_BYTES_MAX)
    );
    let ended = child.wait().await?;
    Ok((answer?, complaint?, ended.success()))
}

/// The beginning of what is said; of the rest nothing is kept.
async fn some(from: Option<impl AsyncRead + Unpin>, most: usize) -> io::Result<Vec<u8>> {
    let Some(mut from) = from else {
        return Ok(Vec::new());
    };
    let mut kept = Vec::new();
    (&mut from)
        .take(u64::try_from(most).unwrap_or(u64::MAX))
        .read_to_end(&mut kept)
        .await?;
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok(kept)
}

/// A process group that ends with this.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let id = self
            .0
            .and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(id) = id {
            let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
    }
}

/// What git complains about, on one line.
fn said(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line: String = lines.take(3).collect::<Vec<_>>().join("; ");
    match line.is_empty() {
        true => "it does not say why".to_owned(),
        false => line.chars().filter(|c| !c.is_control()).take(400).collect(),
    }
}
