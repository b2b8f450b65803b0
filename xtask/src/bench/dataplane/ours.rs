//! Ours: the gateway of a real system with one brick, which is nginx as origin.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::load::OTHER_CORE;
use super::peer::Doors;
use super::{Proxy, system};
use crate::bench::system::System;

/// The core that the measured proxy has for itself.
pub(super) const OWN_CORE: &str = "0";

/// The running system.
pub(super) struct Ours {
    system: System,
    /// Address of the origin, `127.0.0.1:PORT`.
    pub(super) origin: String,
    /// Address at which the origin speaks TLS and asks for a certificate.
    pub(super) origin_tls: String,
}

impl Ours {
    /// Starts it, the gateway on its core and everything else on the other.
    pub(super) fn start(root: &Path) -> Result<Self> {
        let system = System::new(root, "dist", system::scratch("dataplane"))?;
        let folder = &system.folder;
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        certificates(folder)?;
        let tls = super::peer::free_port()?;
        let edge_tls = super::peer::free_port()?;
        write(folder, "64k", &"x".repeat(64 * 1024))?;
        write_origin(folder, &servers(folder, tls))?;
        write(folder, "brick.toml", &manifest(edge_tls, tls))?;
        system.up()?;
        for instance in system.instances()? {
            let core = if instance["brick"] == "gateway" {
                OWN_CORE
            } else {
                OTHER_CORE
            };
            if let Some(pid) = instance["pid"].as_u64() {
                pin(pid, core)?;
            }
        }
        pin(system.agent_pid()?, OTHER_CORE)?;
        let instances = system.instances()?;
        let origin = instances.iter().find(|instance| instance["brick"] == "origin");
        let port = origin
            .and_then(|origin| origin["port"].as_u64())
            .context("the origin has no port")?;
        Ok(Self {
            system,
            origin: format!("127.0.0.1:{port}"),
            origin_tls: format!("127.0.0.1:{tls}"),
        })
    }

    /// Folder of certificates and configurations; it goes with the benchmark.
    pub(super) fn folder(&self) -> &Path {
        &self.system.folder
    }

    /// A user's token that outlives the benchmark.
    pub(super) fn token(&self) -> Result<String> {
        let issued = self.system.json(&["token", "issue", "bench", "--ttl", "1h"])?;
        let token = issued["token"]
            .as_str()
            .context("`brick token issue` printed no token")?;
        Ok(token.to_owned())
    }

    /// The gateway, as it is to be measured.
    pub(super) fn proxy(&self) -> Result<Proxy> {
        let status = self.system.json(&["status"])?;
        let edge = status["edge_url"]
            .as_str()
            .context("`brick status` names no edge")?;
        let plain = edge.trim_end_matches('/').to_owned();
        let tls = status["edge_tls_url"]
            .as_str()
            .map(|url| url.trim_end_matches('/').to_owned());
        Ok(Proxy {
            name: "brick".to_owned(),
            pid: self.system.pid("gateway")?,
            doors: Doors {
                http2: Some(plain.clone()),
                plain,
                tls,
                upstream_tls: true,
            },
            goal: |_| None,
        })
    }
}

/// Puts all threads of a process on a core.
fn pin(pid: u64, core: &str) -> Result<()> {
    let output = Command::new("taskset")
        .args(["-a", "-c", "-p", core, &pid.to_string()])
        .output()
        .context("cannot run taskset; Debian: apt-get install util-linux")?;
    system::succeeded("taskset", &output)
}

pub(super) fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path: PathBuf = folder.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn manifest(edge_tls: u16, origin_tls: u16) -> String {
    format!(
        r#"brickwork = 1

[system]
name = "bench"
console = 0

[edge]
listen = "127.0.0.1:0"
auth = "public"
workers = 1
tls = {{ listen = "127.0.0.1:{edge_tls}", certs = [{{ cert = "server.pem", key = "server.key", hosts = ["localhost"] }}] }}

[brick.origin]
run = "sh origin.sh"
health = {{ path = "/health" }}

[brick.secure]
external = "https://127.0.0.1:{origin_tls}"
tls = {{ ca = "ca.pem", cert = "client.pem", key = "client.key", name = "localhost" }}

[route.secure]
match = "/mtls/**"
to = "secure"

[route.all]
match = "/**"
to = "origin"

[route.guarded]
match = "/guarded/**"
to = "origin"
auth = "jwt"
rate = {{ per_second = 1000000, burst = 1000000, by = "token" }}
"#
    )
}

fn servers(folder: &Path, tls: u16) -> String {
    let (dir, kib) = (folder.display(), "x".repeat(1024));
    format!(
        r#"open_file_cache max=10;
  sendfile on;
  tcp_nopush on;
  server {{
    listen 127.0.0.1:@PORT@ backlog=4096;
    location = /health {{ return 200 "up"; }}
    location = /1k {{ return 200 "{kib}"; }}
    location = /guarded/1k {{ return 200 "{kib}"; }}
    location = /64k {{ root {dir}; }}
  }}
  server {{
    listen 127.0.0.1:{tls} ssl backlog=4096;
    ssl_certificate {dir}/server.pem; ssl_certificate_key {dir}/server.key;
    ssl_client_certificate {dir}/ca.pem; ssl_verify_client on;
    location = /1k {{ return 200 "{kib}"; }}
    location = /mtls/1k {{ return 200 "{kib}"; }}
  }}
"#
    )
}

/// nginx as a brick of the system: `sh origin.sh`, with these servers, of which one listens on `@PORT@`.
pub(super) fn write_origin(folder: &Path, servers: &str) -> Result<()> {
    let dir = folder.display();
    let conf = format!(
        r#"daemon off;
master_process off;
error_log stderr;
pid {dir}/origin.pid;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  default_type text/plain;
  client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
  {servers}}}
"#
    );
    write(folder, "origin.conf.in", &conf)?;
    write(
        folder,
        "origin.sh",
        "sed \"s/@PORT@/$PORT/\" origin.conf.in > origin.conf\nexec nginx -p . -c origin.conf -e stderr\n",
    )
}

/// An authority, and certificates of a server at 127.0.0.1 and of a client, all on P-256.
fn certificates(folder: &Path) -> Result<()> {
    let script = r#"set -e
openssl ecparam -name prime256v1 -genkey -noout -out ca.key
openssl req -x509 -new -key ca.key -subj '/CN=bench authority' -days 2 -out ca.pem
for name in server client; do
  openssl ecparam -name prime256v1 -genkey -noout -out raw.key
  openssl pkcs8 -topk8 -nocrypt -in raw.key -out $name.key
  openssl req -new -key $name.key -subj "/CN=$name" -out $name.csr
  printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' > ext
  openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out $name.pem
  cat $name.pem $name.key > $name.both.pem
done"#;
    let output = Command::new("sh")
        .args(["-c", script])
        .current_dir(folder)
        .output()
        .context("cannot run sh")?;
    system::succeeded("openssl", &output)
}
