//! A PostgreSQL server of the test's own, for tests that must hold on a real one.
//!
//! [`database`] gives each test a database of its own on a server that the whole test binary shares; [`Server::start`]
//! gives a server that the test may stop. Either listens on a free port of 127.0.0.1, asks for a password, speaks TLS to
//! whoever wants it, and writes nothing to disk that must last. A shell beside it waits for the test's process to end,
//! however that ends, and then removes the server with its folder. PostgreSQL refuses to run as root, so under root it
//! runs as the user `postgres`.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// Who owns the databases, and his password.
pub const USER: &str = "shop";
/// His password.
pub const PASSWORD: &str = "secret-of-this-test";

/// How long the server may take to start on a busy machine.
const START_FOR: Duration = Duration::from_secs(60);

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    port: u16,
    databases: AtomicUsize,
    running: Mutex<Option<Running>>,
}

/// The shell beside the server; it ends the server when the pipe to it closes.
#[derive(Debug)]
struct Running {
    shell: Child,
    pipe: Option<ChildStdin>,
}

/// A database of its own on the server that the tests of this binary share, as a URL.
pub fn database() -> String {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start).database()
}

impl Server {
    /// Starts a server that is gone when this is dropped, or the process ends.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("brick-postgres-")
            .tempdir()
            .expect("a folder for PostgreSQL")
            .keep();
        let server = Self {
            port: free_port(),
            folder,
            databases: AtomicUsize::new(0),
            running: Mutex::new(None),
        };
        server.initialise();
        server.start_again();
        server
    }

    /// Makes a database; its URL, with user and password.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("create database {name} template template0"));
        self.url(&name)
    }

    /// URL of a database by its name.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// The authority that signed the server's certificate (for `localhost` and 127.0.0.1), for `sslrootcert`.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// Runs SQL as the superuser; what it prints.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new(program("psql"));
        psql.args([
            "-X",
            "-A",
            "-t",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            USER,
        ])
        .args(["-p", &self.port.to_string(), "-d", database, "-c", sql])
        .env("PGPASSWORD", PASSWORD);
        finished(&mut psql, &format!("psql: {sql}"))
    }

    /// Ends the server at once, as a crash does; what was committed stays.
    pub fn stop(&self) {
        let running = self
            .running
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .take();
        if let Some(mut running) = running {
            if let Some(mut pipe) = running.pipe.take() {
                let _ = pipe.write_all(b"keep\n");
            }
            let _ = running.shell.wait();
        }
    }

    /// Starts the server that [`Server::stop`] ended, and waits until it takes connections.
    pub fn start_again(&self) {
        let data = self.folder.join("data");
        let script = "trap '' INT TERM; \"$0\" -D \"$1\" >\"$2/log\" 2>&1 & server=$!; read keep; kill -QUIT $server; wait $server; \
                      test -n \"$keep\" || rm -rf \"$2\"";
        let mut shell = Command::new("sh");
        shell
            .args(["-c", script])
            .arg(program("postgres"))
            .args([&data, &self.folder])
            .current_dir(&self.folder)
            .stdin(Stdio::piped());
        unprivileged(&mut shell);
        let mut shell = shell.spawn().expect("sh starts");
        let pipe = shell.stdin.take();
        *self
            .running
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(Running { shell, pipe });
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + START_FOR;
        loop {
            let mut ready = Command::new(program("pg_isready"));
            ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
                && ready.status().is_ok_and(|status| status.success())
            {
                return;
            }
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "PostgreSQL does not start: {log}");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    fn initialise(&self) {
        let password = self.folder.join("password");
        fs::write(&password, PASSWORD).expect("a file for the password");
        own(&self.folder);
        own(&password);
        let mut initdb = Command::new(program("initdb"));
        initdb
            .args([
                "--no-sync",
                "--no-instructions",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
            ])
            .args(["-U", USER])
            .arg(format!("--pwfile={}", password.display()))
            .arg("-D")
            .arg(self.folder.join("data"))
            .current_dir(&self.folder);
        unprivileged(&mut initdb);
        finished(&mut initdb, "initdb");
        self.certify();
        let settings = format!(
            "port = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\n\
             full_page_writes = off\nmax_connections = 200\nshared_buffers = 16MB\n\
             ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\n",
            self.port
        );
        let file = self.folder.join("data/postgresql.conf");
        let mut all = fs::read_to_string(&file).expect("initdb's configuration");
        all.push_str(&settings);
        fs::write(&file, all).expect("the configuration can be written");
    }

    fn certify(&self) {
        let key = || rcgen::KeyPair::generate().expect("a key");
        let (authority_key, server_key) = (key(), key());
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("an authority's certificate");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).expect("an authority");
        let issuer = rcgen::Issuer::new(params, authority_key);
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let server = rcgen::CertificateParams::new(names).expect("the server's names");
        let server = server
            .signed_by(&server_key, &issuer)
            .expect("the server's certificate");
        for (file, text) in [
            ("authority.pem", authority.pem()),
            ("data/server.pem", server.pem()),
            ("data/server.key", server_key.serialize_pem()),
        ] {
            let file = self.folder.join(file);
            fs::write(&file, text).expect("a file of the certificate");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(&file, mode).expect("the key is its owner's alone");
            own(&file);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let running = self
            .running
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .take();
        if let Some(mut running) = running {
            drop(running.pipe.take());
            let _ = running.shell.wait();
        }
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its number").port()
}

/// A program of PostgreSQL: on the path, or where Debian keeps the newest.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut debian: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|found| found.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    debian.sort();
    folders.extend(debian.into_iter().rev());
    let found = folders
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed: `cargo xtask setup` installs PostgreSQL"))
}

/// Whose the server is where root runs the tests: user and group.
fn owner() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then_some(())?;
            let ids = fields
                .skip(1)
                .take(2)
                .map(str::parse)
                .collect::<Result<Vec<u32>, _>>();
            ids.ok().map(|ids| (ids[0], ids[1]))
        })
    };
    Some(
        find("postgres")
            .or_else(|| find("nobody"))
            .expect("a user who is not root"),
    )
}

fn unprivileged(command: &mut Command) {
    if let Some((user, group)) = owner() {
        command.gid(group).uid(user);
    }
}

fn own(path: &Path) {
    if let Some((user, group)) = owner() {
        chown(path, Some(user), Some(group)).expect("root gives files away");
    }
}

fn finished(command: &mut Command, what: &str) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{what}: {error}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {told}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
