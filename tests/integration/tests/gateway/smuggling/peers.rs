//! nginx and haproxy as they come, before the same origin.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running peer; dropped, it ends.
pub(super) struct Peer {
    pub(super) addr: SocketAddr,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Peer {
    /// None where it is not installed.
    pub(super) fn nginx(origin: SocketAddr) -> Option<Self> {
        Self::start("nginx", &["-e", "stderr", "-p", ".", "-c"], |addr, dir| {
            let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|kind| format!("{kind}_temp_path {}/{kind};", dir.display()))
                .join(" ");
            format!(
                "daemon off; master_process off; error_log stderr; pid {}/pid; events {{}} http {{ access_log off; {temp} \
                 server {{ listen {addr}; location / {{ proxy_pass http://{origin}; proxy_http_version 1.1; \
                 proxy_set_header Connection \"\"; }} }} }}",
                dir.display()
            )
        })
    }

    /// None where it is not installed.
    pub(super) fn haproxy(origin: SocketAddr) -> Option<Self> {
        Self::start("haproxy", &["-db", "-f"], |addr, _| {
            format!(
                "defaults\n  mode http\n  timeout connect 2s\n  timeout client 1s\n  timeout server 1s\n\
                 frontend in\n  bind {addr}\n  default_backend out\nbackend out\n  server one {origin}\n"
            )
        })
    }

    fn start(program: &str, args: &[&str], conf: impl FnOnce(SocketAddr, &Path) -> String) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let path = folder.path().join("conf");
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(conf(addr, folder.path()).as_bytes()).unwrap();
        let spawned = Command::new(program)
            .args(args)
            .arg(&path)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let peer = Self {
            addr,
            child: spawned.ok()?,
            _folder: folder,
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(addr).is_err() {
            assert!(Instant::now() < deadline, "{program} does not listen on {addr}");
            std::thread::yield_now();
        }
        Some(peer)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
