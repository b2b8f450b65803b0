//! What every role is made of: the environment contract, telemetry, the bus, and a drain on SIGTERM.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use brick_auth::OwnToken;
use brick_bus::Watch;
use brick_core::{Drain, Trigger, drain, env};
use brick_telemetry::{LogTarget, Telemetry};
use brickwork::Contract;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::failure::{Failure, Outcome};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1_024;
/// How long the last spans may take to leave.
const LAST_WORD: Duration = Duration::from_secs(1);

/// A platform process.
pub(super) struct Base {
    /// Who it is.
    pub(super) contract: Contract,
    /// Its telemetry, installed.
    pub(super) telemetry: Telemetry,
    /// Requested by SIGTERM or Ctrl-C.
    pub(super) drain: Drain,
    vars: Vec<(String, String)>,
    end: Trigger,
    ending: Drain,
    tasks: JoinSet<()>,
}

impl Base {
    /// Reads the contract and installs telemetry; `spans` says whether spans are exported.
    pub(super) fn open(role: &str, spans: bool) -> Outcome<Self> {
        let vars: Vec<(String, String)> = std::env::vars().collect();
        let failed = |error: &dyn std::error::Error| Failure::failed(brick_core::chain(error));
        let contract = Contract::read(&vars, role).map_err(|error| failed(&error))?;
        let (telemetry, exporter) = Telemetry::new(brick_telemetry::Options {
            identity: contract.identity(env!("CARGO_PKG_VERSION"), "1"),
            otlp_endpoint: contract.otlp_endpoint.clone().filter(|_| spans),
            filter: contract.log_filter.clone(),
            log: LogTarget::Stdout,
        });
        telemetry.install().map_err(|error| failed(&error))?;
        let (stop, drain) = drain::channel();
        let (end, ending) = drain::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(exporter.run(ending.clone()));
        tokio::spawn(async move {
            stop_requested().await;
            stop.drain();
        });
        Ok(Self {
            contract,
            telemetry,
            drain,
            vars,
            end,
            ending,
            tasks,
        })
    }

    /// A variable that must be there.
    pub(super) fn required(&self, name: &str) -> Outcome<String> {
        self.optional(name).ok_or_else(|| {
            let message = format!("{name} is not set");
            Failure::usage(message).hint("roles are started by the agent; `brick up` does it")
        })
    }

    /// A variable that may be there.
    pub(super) fn optional(&self, name: &str) -> Option<String> {
        let found = self
            .vars
            .iter()
            .find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.clone())
    }

    /// A variable that is a number, or its default.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str, default: T) -> Outcome<T> {
        match self.optional(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| Failure::usage(format!("{name}: expected a number, found {text}"))),
        }
    }

    /// The process's own token.
    pub(super) fn token(&self) -> OwnToken {
        self.contract
            .token_file
            .clone()
            .map_or_else(OwnToken::none, OwnToken::file)
    }

    /// The platform's own processes: number of the slot, name, the variable that names it, base URL of its own listener.
    pub(super) fn platform(&self) -> Vec<(u32, &'static str, &'static str, String)> {
        let controls = match self.optional(env::BRICK_CONTROL_URLS) {
            Some(several) => several.split(',').map(str::to_owned).collect(),
            None => Vec::from_iter(self.optional(env::BRICK_CONTROL_URL)),
        };
        let controls = (1..).zip(controls);
        let others = [
            ("gateway", env::BRICK_GATEWAY_URL),
            ("telemetry", env::BRICK_TELEMETRY_URL),
            ("proxy", env::BRICK_HOST_PROXY_URL),
        ];
        let others = others
            .into_iter()
            .filter_map(|(name, variable)| Some((1, name, variable, self.optional(variable)?)));
        let controls = controls.map(|(number, url)| (number, "control", env::BRICK_CONTROL_URL, url));
        controls.chain(others).collect()
    }

    /// Follows the bus in the background.
    pub(super) fn bus(&mut self, resources: &[&str]) -> Outcome<Watch> {
        let (token, incarnation) = (self.token(), self.contract.incarnation);
        let (service, watch) = brick_bus::Service::new(brick_bus::Options {
            control_url: self.required(env::BRICK_CONTROL_URL)?,
            resources: resources.iter().map(|name| (*name).to_owned()).collect(),
            snapshot: self.contract.snapshot_file(),
            token: Arc::new(move || token.of(incarnation).map(|text| text.to_string())),
            incarnation,
        });
        self.tasks.spawn(service.run(self.ending.clone()));
        Ok(watch)
    }

    /// Runs something until the process ends.
    pub(super) fn background(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Ends with the process.
    pub(super) fn ending(&self) -> Drain {
        self.ending.clone()
    }

    /// The listener on `PORT`.
    pub(super) async fn listener(&self) -> Outcome<TcpListener> {
        listen(self.contract.port).await
    }

    /// The folder of the platform's databases.
    pub(super) fn state_dir(&self) -> Outcome<PathBuf> {
        Ok(PathBuf::from(self.required(env::BRICK_STATE_DIR)?))
    }

    /// Lets the last spans out and ends what runs in the background.
    pub(super) async fn finish(mut self) {
        self.telemetry.flush(LAST_WORD).await;
        self.end.drain();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_WORD, all).await;
    }
}

/// A listener on a port of loopback.
pub(super) async fn listen(port: u16) -> Outcome<TcpListener> {
    let bound = TcpListener::bind(("127.0.0.1", port)).await;
    bound.map_err(|error| Failure::failed(format!("cannot listen on 127.0.0.1:{port}: {error}")))
}

/// A listener for tokio that is bound at once, perhaps one of several processes' on the same port (`SO_REUSEPORT`,
/// socket(7)): the kernel spreads connections over those that live.
pub(super) fn listen_now(at: SocketAddr, shared: bool) -> Outcome<std::net::TcpListener> {
    let bound = || -> io::Result<std::net::TcpListener> {
        let socket = socket2::Socket::new(socket2::Domain::for_address(at), socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(shared)?;
        socket.set_nonblocking(true)?;
        socket.bind(&at.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bound().map_err(|error| Failure::failed(format!("cannot listen on {at}: {error}")))
}

async fn stop_requested() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
