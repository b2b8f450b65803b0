//! Services outside the system: reached by TLS with a client certificate, told nothing that is the platform's alone.

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer as Signer, KeyPair};
use rustls::HandshakeKind;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::harness::*;

/// An authority with its files.
struct Authority {
    folder: tempfile::TempDir,
    signer: Signer<'static, KeyPair>,
    root: rustls::pki_types::CertificateDer<'static>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.pem"), cert.pem()).unwrap();
        Self {
            folder,
            root: cert.der().clone(),
            signer: Signer::new(params, key),
        }
    }

    /// Writes `NAME.pem` and `NAME.key`: of `subject`, for `host`.
    fn issue(&self, name: &str, subject: &str, host: &str) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, subject);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.signer).unwrap();
        fs::write(
            self.folder.path().join(format!("{name}.key")),
            key.serialize_pem(),
        )
        .unwrap();
        fs::write(self.folder.path().join(format!("{name}.pem")), cert.pem()).unwrap();
        (cert, key)
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// What the manifest says of TLS, with the client's certificate where it is named.
    fn tls(&self, client: Option<&str>) -> Value {
        let mut tls = json!({ "ca": self.file("ca.pem"), "name": "psp.test" });
        if let Some(client) = client {
            tls["cert"] = self.file(&format!("{client}.pem")).into();
            tls["key"] = self.file(&format!("{client}.key")).into();
        }
        tls
    }
}

/// A server that asks for a certificate of the authority, and tells what it saw.
struct Psp {
    addr: SocketAddr,
    resumed: Arc<AtomicUsize>,
}

impl Psp {
    async fn start(authority: &Authority, protocols: &[&str]) -> Self {
        let (cert, key) = authority.issue("server", "psp", "psp.test");
        let mut roots = RootCertStore::empty();
        roots.add(authority.root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![cert.der().clone()], key.serialize_der().try_into().unwrap())
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let resumed = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&resumed);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let session = stream.get_ref().1;
                    if session.handshake_kind() == Some(HandshakeKind::Resumed) {
                        counted.fetch_add(1, Ordering::SeqCst);
                    }
                    let is_http2 = session.alpn_protocol() == Some(b"h2");
                    let shown = session.peer_certificates().unwrap()[0].to_vec();
                    let service = hyper::service::service_fn(move |request| seen(request, shown.clone()));
                    let io = TokioIo::new(stream);
                    let _ = if is_http2 {
                        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                        server.serve_connection(io, service).await
                    } else {
                        let server = hyper::server::conn::http1::Builder::new();
                        server.serve_connection(io, service).await
                    };
                });
            }
        });
        Self { addr, resumed }
    }

    /// A gateway that leads there, as a service whose paths begin with `/v1`.
    async fn gateway(&self, tls: Value, auth: &str) -> Gateway {
        let mut table = routes(vec![route("/pay/**", "psp", auth)]);
        let url = format!("https://{}/v1", self.addr);
        table.value["externals"] = json!({ "psp": { "url": url, "tls": tls } });
        Gateway::start(self.addr, vec![table]).await
    }
}

async fn seen(request: Request<Incoming>, shown: Vec<u8>) -> Result<Response<Full<Bytes>>, Infallible> {
    let host = request.uri().authority().map(ToString::to_string);
    let headers = request.headers();
    let names: Vec<&str> = headers.keys().map(|name| name.as_str()).collect();
    let host = host.or_else(|| Some(headers.get("host")?.to_str().ok()?.to_owned()));
    // The subject's name stands in the certificate as it is.
    let text = String::from_utf8_lossy(&shown);
    let client = ["till-1", "till-2"].into_iter().find(|name| text.contains(name));
    let saw = json!({ "version": format!("{:?}", request.version()), "path": request.uri().path(), "host": host,
        "names": names, "client": client });
    let close = request.uri().path().ends_with("/close");
    let mut response = Response::new(Full::new(Bytes::from(saw.to_string())));
    if close {
        response
            .headers_mut()
            .insert("connection", "close".parse().unwrap());
    }
    Ok(response)
}

#[tokio::test]
async fn a_service_outside_is_reached_by_tls_with_a_client_certificate() {
    let authority = Authority::new("authority");
    authority.issue("client", "till-1", "till.test");
    for (protocols, version) in [(&["h2", "http/1.1"][..], "HTTP/2.0"), (&["http/1.1"], "HTTP/1.1")] {
        let psp = Psp::start(&authority, protocols).await;
        let gateway = psp.gateway(authority.tls(Some("client")), "jwt").await;
        let token = gateway.issuer.token(json!({}));
        let fields = format!("Authorization: Bearer {token}\r\nCookie: a=1\r\nBaggage: brick.user=1,a=2\r\n");
        let answer = gateway.edge(&get_with("/pay/7?q=1", &fields)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let saw = answer.json();
        assert_eq!(saw["version"], version);
        assert_eq!(saw["client"], "till-1");
        assert_eq!(saw["path"], "/v1/pay/7");
        assert_eq!(saw["host"], psp.addr.to_string());
        let names: Vec<&str> = saw["names"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert!(names.contains(&"traceparent"), "{names:?}");
        let kept_back =
            |name: &&&str| name.starts_with("x-brick-") || ["authorization", "cookie"].contains(name);
        assert_eq!(names.iter().find(kept_back), None);
    }
}

#[tokio::test]
async fn what_tls_has_against_the_other_side_is_said() {
    let (authority, stranger) = (Authority::new("authority"), Authority::new("stranger"));
    for of in [&authority, &stranger] {
        of.issue("client", "till-1", "till.test");
    }
    let psp = Psp::start(&authority, &["http/1.1"]).await;
    let mut misnamed = authority.tls(Some("client"));
    misnamed["name"] = "shop.test".into();
    let mut unknown = authority.tls(Some("client"));
    (unknown["cert"], unknown["key"]) = (
        stranger.file("client.pem").into(),
        stranger.file("client.key").into(),
    );
    let mut unpaired = authority.tls(Some("client"));
    unpaired["key"] = stranger.file("client.key").into();
    for (tls, status, expect) in [
        (
            stranger.tls(None),
            502,
            "not signed by an authority that is trusted here",
        ),
        (misnamed, 502, "is not for shop.test: it is for"),
        (
            authority.tls(None),
            502,
            "asks for a client certificate, and none was shown",
        ),
        (unknown, 502, "the client certificate that was shown"),
        (unpaired, 503, "the gateway's log says why"),
        (json!({ "ca": "nowhere.pem" }), 503, "the gateway's log says why"),
        // The gateway of this test knows no authorities of a machine.
        (json!({}), 503, "the gateway's log says why"),
    ] {
        let gateway = psp.gateway(tls, "public").await;
        let answer = gateway.edge(&get_with("/pay", "")).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (status, "upstream_tls"),
            "{expect}: {answer:?}"
        );
        assert!(answer.body.contains(expect), "{expect}: {}", answer.body);
    }
}

#[tokio::test]
async fn sessions_are_resumed_and_a_new_identity_is_shown_once_its_files_change() {
    let authority = Authority::new("authority");
    authority.issue("client", "till-1", "till.test");
    let psp = Psp::start(&authority, &["http/1.1"]).await;
    let gateway = psp.gateway(authority.tls(Some("client")), "public").await;
    let shown = async || {
        let answer = gateway.edge(&get_with("/pay/close", "")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["client"].as_str().unwrap_or_default().to_owned()
    };
    for _ in 0..3 {
        assert_eq!(shown().await, "till-1");
    }
    assert!(
        psp.resumed.load(Ordering::SeqCst) > 0,
        "a closed connection is opened again without signing"
    );
    authority.issue("client", "till-2", "till.test");
    let limit = tokio::time::Instant::now() + LIMIT;
    while shown().await != "till-2" {
        assert!(
            tokio::time::Instant::now() < limit,
            "the new identity is not shown"
        );
    }
}
