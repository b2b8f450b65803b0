//! `brick load` and `brick test` against an edge that speaks TLS: a real server in this process, with certificates of an
//! authority made for the test.

#[path = "cli/run.rs"]
mod program;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::program::{Ended, run};

/// An authority whose certificate is in `ca.pem` of a folder with a manifest.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A server that answers every request with 200 until it is dropped.
struct Server {
    port: u16,
    serving: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("its certificate is written");
        // What this machine trusts, in place of what it really does.
        std::fs::write(folder.path().join("system.pem"), other_authority()).expect("another one is written");
        Self { folder, issuer }
    }

    /// A server whose certificate is for `name`, as `change` has it.
    async fn server(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Server {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("the same key");
        serve(certificate.der().clone(), key).await
    }

    /// `brick` in the folder, with an environment `live` at that port of localhost.
    async fn brick(&self, port: u16, arguments: &[&str]) -> Ended {
        let manifest = format!(
            "brickwork = 1\n[system]\nname = \"tried\"\n[brick.a]\nrun = \"a\"\n\
             [load.look]\nsteps = [{{ get = \"/look\" }}]\n\
             [test.look]\nsteps = [{{ get = \"/look\", expect = {{ status = 200, contains = \"seen\" }} }}]\n\
             [env.live]\nedge = \"https://localhost:{port}\"\nproduction = false\n"
        );
        let folder = self.folder.path().to_owned();
        std::fs::write(folder.join("brick.toml"), manifest).expect("a manifest");
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        let running = tokio::task::spawn_blocking(move || {
            let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
            run(&folder, &words)
        });
        running.await.expect("brick ran")
    }

    /// A load of one second, as data.
    async fn load(&self, port: u16, more: &[&str]) -> Ended {
        let target = format!("https://localhost:{port}");
        let load = [
            "load", "look", "--rps", "20", "--for", "1s", "--format", "json", "--target", &target,
        ];
        self.brick(port, &[&load, more].concat()).await
    }
}

fn other_authority() -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "another authority");
    let key = KeyPair::generate().expect("a key");
    params.self_signed(&key).expect("an authority").pem()
}

async fn serve(certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> Server {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate and its key");
    let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = tcp.local_addr().expect("its address").port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let app = Router::new().fallback(get(|| async { "seen" }));
    let serving = tokio::spawn(async move {
        axum::serve(Secured { tcp, acceptor }, app)
            .await
            .expect("it serves")
    });
    Server { port, serving }
}

/// Hands out connections that agreed on TLS. A client that trusts nobody hangs up; that is its right.
struct Secured {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Secured {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, addr) = self.tcp.accept().await.expect("a connection");
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, addr);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// What the error says, and its exit code.
fn error(ended: &Ended) -> (String, String, i64) {
    let document: Value = serde_json::from_str(&ended.stderr).unwrap_or_else(|_| panic!("{}", ended.stderr));
    let text = |key: &str| document["error"][key].as_str().unwrap_or_default().to_owned();
    let code = document["error"]["exit_code"].as_i64().unwrap_or_default();
    assert_eq!(code, i64::from(ended.code));
    (text("message"), text("hint"), code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_with_a_certificate_that_is_trusted_is_loaded_and_tested() {
    let authority = Authority::new();
    let server = authority.server("localhost", |_| {}).await;
    let ended = authority.load(server.port, &["--ca", "ca.pem"]).await;
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let report: Value = serde_json::from_str(&ended.stdout).expect("a report");
    assert_eq!(
        (&report["requests"], &report["errors"]),
        (&20.into(), &0.into()),
        "{report}"
    );
    let test = [
        "test", "look", "--env", "live", "--ca", "ca.pem", "--format", "json",
    ];
    let ended = authority.brick(server.port, &test).await;
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let ran: Value = serde_json::from_str(&ended.stdout).expect("results");
    assert_eq!(ran[0]["passed"], true, "{ran}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_trusted_is_told_before_anything_is_sent() {
    let authority = Authority::new();
    let check = async |server: Server, ca: &[&str], expect: &str| {
        let (message, hint, code) = error(&authority.load(server.port, ca).await);
        assert_eq!(code, 6);
        assert!(message.contains(expect), "expected {expect:?}, found {message:?}");
        assert!(hint.contains("nothing was sent"), "{hint}");
    };
    let trusted = &["--ca", "ca.pem"][..];
    let good = authority.server("localhost", |_| {}).await;
    check(
        good,
        &[],
        "the certificate of localhost is not signed by an authority that is trusted here",
    )
    .await;
    let other = authority.server("shop.example", |_| {}).await;
    check(other, trusted, "is not for localhost: it is for").await;
    let expired = authority
        .server("localhost", |params| params.not_after = date_time_ymd(2020, 1, 1))
        .await;
    check(expired, trusted, "the certificate of localhost has expired").await;
    let early = authority
        .server("localhost", |params| {
            params.not_before = date_time_ymd(2999, 1, 1)
        })
        .await;
    check(early, trusted, "not valid yet").await;
    let ca = authority
        .server("localhost", |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)
        })
        .await;
    check(ca, trusted, "is an authority's own").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_speaks_no_tls_is_told_so() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let plain = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    });
    let (message, _, code) = error(&authority.load(port, &["--ca", "ca.pem"]).await);
    assert_eq!(code, 6);
    assert!(
        message.contains("not in TLS; is its address http://?"),
        "{message}"
    );
    plain.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_authorities_that_is_none_is_wrong_usage() {
    let authority = Authority::new();
    let folder: &Path = authority.folder.path();
    std::fs::write(folder.join("empty.pem"), "no certificate\n").expect("a file");
    for (file, expect) in [
        ("missing.pem", "No such file"),
        ("empty.pem", "it holds no certificate"),
    ] {
        let (message, hint, code) = error(&authority.load(9, &["--ca", file]).await);
        assert_eq!(code, 2, "{message}");
        assert!(message.contains(file) && message.contains(expect), "{message}");
        assert!(hint.contains("PEM"), "{hint}");
    }
    let plain = [
        "load",
        "look",
        "--target",
        "http://127.0.0.1:9",
        "--ca",
        "ca.pem",
        "--format",
        "json",
    ];
    let (message, _, code) = error(&authority.brick(9, &plain).await);
    assert_eq!(
        (code, message.contains("--ca is about https://")),
        (2, true),
        "{message}"
    );
}
