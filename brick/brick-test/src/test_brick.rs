//! The brick under test.

use std::fmt;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use brickwork::auth::OwnToken;
use brickwork::axum::Router;
use brickwork::bus::{Change, Publisher, Resource, watch};
use brickwork::core::{BrickName, Incarnation};
use brickwork::telemetry::LogTarget;
use brickwork::telemetry::span::SpanRecord;
use brickwork::{Access, Brick, Contract, Parts};
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tracing::subscriber::DefaultGuard;

use crate::{TestIssuer, TestRequest, mocks};

/// Name of the system in tests, the audience of its tokens.
const SYSTEM: &str = "test";
/// How long a test waits for what must happen.
const LIMIT: Duration = Duration::from_secs(5);

/// Says what stands around the brick: see [`TestBrick::builder`].
#[derive(Debug)]
pub struct Builder {
    brick: BrickName,
    needs: Vec<(String, Router)>,
    vars: Vec<(String, String)>,
    args: Vec<String>,
}

/// A brick that runs alone in this process, with everything it needs mocked. Dropping it stops it.
pub struct TestBrick {
    brick: Brick,
    addr: SocketAddr,
    issuer: TestIssuer,
    client: brick_wire::Client,
    publisher: Publisher,
    revision: u64,
    serving: JoinHandle<Result<(), brickwork::Error>>,
    mocks: JoinSet<()>,
    folder: TempDir,
    _subscriber: DefaultGuard,
}

impl Builder {
    /// Mocks a brick that this one needs.
    #[must_use]
    pub fn needs(mut self, brick: &str, router: Router) -> Self {
        self.needs.push((brick.to_owned(), router));
        self
    }

    /// Sets a variable of the environment, such as a configuration value by its upper-case name.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.vars.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds an argument: `--max_lines=3`.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// Starts the brick: `app` is what its `main` does between `Brick::from_env` and `serve`. Panics with the reason
    /// where it cannot start.
    pub async fn start<F, E>(self, app: impl FnOnce(Brick) -> F) -> TestBrick
    where
        F: Future<Output = Result<Access, E>>,
        E: fmt::Display,
    {
        let issuer = TestIssuer::new(SYSTEM);
        let folder = tempfile::tempdir().expect("a folder for the test");
        let mut mocks = JoinSet::new();
        let mut resources = vec![issuer.trust_bundle()];
        let mut scopes = vec!["bus".to_owned(), "identity:issue".to_owned()];
        for (brick, router) in self.needs {
            let addr = mocks::serve(&mut mocks, router).await;
            resources.push(mocks::endpoints(&brick, 1, &[addr]));
            scopes.push(format!("call:{brick}"));
        }
        let (mut publisher, watch) = watch::channel();
        publisher.apply(Change::Snapshot(resources), None);
        let control = mocks::serve(&mut mocks, mocks::control(issuer.clone())).await;
        let database = folder.path().join(format!("{}.db", self.brick));
        let told = [
            ("BRICK_NAME", self.brick.to_string()),
            ("BRICK_SYSTEM", SYSTEM.to_owned()),
            ("BRICK_INCARNATION", Incarnation::new().to_string()),
            ("BRICK_CONTROL_URL", format!("http://{control}")),
            ("DATABASE_URL", format!("sqlite:{}", database.display())),
        ];
        let mut vars: Vec<(String, String)> = told
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        vars.splice(0..0, self.vars);
        let contract = Contract::read(&vars, "test").unwrap_or_else(|error| panic!("{error}"));
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        let brick = Brick::from_parts(Parts {
            contract,
            vars,
            args: self.args,
            watch: Some(watch),
            own_token: Some(OwnToken::fixed(
                issuer.process_token(self.brick.as_str(), &scopes),
            )),
            log: LogTarget::Memory,
            package_version: "0.0.0-test".to_owned(),
            api_version: "v1".to_owned(),
            body_bytes_max: 1024 * 1024,
        });
        let subscriber = tracing::subscriber::set_default(brick.telemetry().subscriber());
        let access = app(brick.clone()).await;
        let access = access.unwrap_or_else(|error| panic!("the brick cannot start: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a free port on loopback");
        let addr = listener.local_addr().expect("a bound listener has an address");
        let serving = tokio::spawn(brick.clone().serve_on(listener, access));
        let started = TestBrick {
            brick,
            addr,
            issuer,
            client: brick_wire::Client::new(),
            publisher,
            revision: 1,
            serving,
            mocks,
            folder,
            _subscriber: subscriber,
        };
        started.wait_ready().await;
        started
    }
}

impl TestBrick {
    /// A brick of this name. Panics where it cannot be one.
    pub fn builder(brick: &str) -> Builder {
        Builder {
            brick: BrickName::new(brick).unwrap_or_else(|error| panic!("{error}")),
            needs: Vec::new(),
            vars: Vec::new(),
            args: Vec::new(),
        }
    }

    /// A GET in the making.
    pub fn get(&self, path: &str) -> TestRequest {
        self.request(Method::GET, path)
    }

    /// A POST in the making.
    pub fn post(&self, path: &str) -> TestRequest {
        self.request(Method::POST, path)
    }

    /// A PUT in the making.
    pub fn put(&self, path: &str) -> TestRequest {
        self.request(Method::PUT, path)
    }

    /// A DELETE in the making.
    pub fn delete(&self, path: &str) -> TestRequest {
        self.request(Method::DELETE, path)
    }

    /// A request in the making.
    pub fn request(&self, method: Method, path: &str) -> TestRequest {
        TestRequest {
            client: self.client.clone(),
            issuer: self.issuer.clone(),
            brick: self.brick.contract().brick.to_string(),
            method,
            url: format!("http://{}{path}", self.addr),
            headers: Vec::new(),
            body: None,
        }
    }

    /// Where it serves.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The brick's own handle.
    pub fn brick(&self) -> &Brick {
        &self.brick
    }

    /// Who signs its tokens.
    pub fn issuer(&self) -> &TestIssuer {
        &self.issuer
    }

    /// Folder of its database, gone after the test.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The spans that have ended so far.
    pub fn spans(&self) -> Vec<SpanRecord> {
        self.brick.telemetry().finished_spans()
    }

    /// Waits for the end of a span of this name. Panics with the names there are where none comes.
    pub async fn span(&self, name: &str) -> SpanRecord {
        self.eventually(&format!("a span \"{name}\""), || {
            self.spans().into_iter().find(|span| span.name == name)
        })
        .await
    }

    /// The log records written so far.
    pub fn logs(&self) -> Vec<Value> {
        let lines = self.brick.telemetry().log_lines();
        lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// The value of a metric's sample, by its name and labels as `/metrics` shows them.
    pub fn metric(&self, sample: &str) -> Option<f64> {
        let text = self.brick.metrics().encode();
        text.lines()
            .filter_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))
            .find_map(|rest| rest.split(' ').next()?.parse().ok())
    }

    /// Makes a live change of the brick's configuration, as the bus would.
    pub fn change_config(&mut self, value: Value) {
        let name = format!("config/{}", self.brick.contract().brick);
        self.publish(&name, value);
    }

    /// Makes a feature flag what flagd's definition says, or this value for everybody where it is none. Other flags are
    /// undefined then.
    pub fn change_flag(&mut self, key: &str, value: Value) {
        let definition = match value.get("variants") {
            Some(_) => value,
            None => json!({ "variants": { "it": value }, "defaultVariant": "it" }),
        };
        let name = format!("flags/{}", self.brick.contract().brick);
        self.publish(&name, json!({ "flags": { key: definition } }));
    }

    /// Takes every instance of a needed brick away, as when it is down.
    pub fn take_down(&mut self, brick: &str) {
        let value = mocks::endpoints(brick, 0, &[]).value;
        self.publish(&format!("endpoints/{brick}"), value);
    }

    /// Publishes any resource on the brick's bus.
    pub fn publish(&mut self, name: &str, value: Value) {
        self.revision += 1;
        let resource = Resource {
            name: name.to_owned(),
            revision: self.revision,
            value,
        };
        self.publisher.apply(Change::Put(resource), None);
    }

    /// Waits until a condition gives something. Panics where it does not within 5 s.
    pub async fn eventually<T>(&self, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + LIMIT;
        loop {
            if let Some(found) = condition() {
                return found;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "expected {what}; spans so far: {:?}",
                self.spans()
                    .iter()
                    .map(|span| span.name.clone())
                    .collect::<Vec<_>>()
            );
            tokio::task::yield_now().await;
        }
    }

    /// Stops it as SIGTERM would, and waits until it has drained. Panics where it ends with an error.
    pub async fn stop(mut self) {
        self.brick.stop();
        match (&mut self.serving).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => panic!("the brick ended with an error: {error}"),
            Err(error) => panic!("the brick's server failed: {error}"),
        }
        self.mocks.shutdown().await;
    }

    async fn wait_ready(&self) {
        let health = self.brick.health();
        self.eventually("the brick to become ready", || health.is_ready().then_some(()))
            .await;
    }
}

impl Drop for TestBrick {
    fn drop(&mut self) {
        self.brick.stop();
        self.serving.abort();
    }
}

impl fmt::Debug for TestBrick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestBrick")
            .field("brick", &self.brick.contract().slot)
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
