//! `brick serve control`: registry, routes, config and bus, with identity and console mounted, on one database. Of
//! several processes on one database one leads, the others stand by.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use brick_core::{Drain, env};
use brick_http::{Access, Server, ServerOptions};
use brick_state::Database;
use mortar_console::Console;
use mortar_control::store::{Sql, Store};
use mortar_control::{Cipher, Standby, dns};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::base::{Base, listen_now};
use crate::failure::{Failure, Outcome};

/// The master key of encrypted values: a file with it, or itself. What Spring Cloud Config calls it, too.
const KEY_FILE: &str = "ENCRYPT_KEY_FILE";
const KEY: &str = "ENCRYPT_KEY";

/// The password of the store: a file with it, or itself.
const PASSWORD_FILE: &str = "CONTROL_STORE_PASSWORD_FILE";
const PASSWORD: &str = "CONTROL_STORE_PASSWORD";

/// Largest request body: a manifest is at most 256 KiB, larger still as JSON.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Scope by which processes on one store know each other.
const PEER: &str = "peer";

pub(super) async fn run() -> Outcome {
    let base = Base::open("control", false)?;
    let folder = base.state_dir()?;
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::failed(format!("cannot make {}: {error}", folder.display())))?;
    let database = Database::open(brick_state::Options::new(store_url(&base, &folder)?, &[]))
        .await
        .map_err(|error| failed(&error))?;
    let store = Sql::open(database.clone())
        .await
        .map_err(|error| failed(&error))?;
    let listeners = Listeners::bind(&base)?;
    let mut stood_by = None;
    if !store.lead(listeners.own).await.map_err(|error| failed(&error))? {
        stood_by = stand_by(&base, &database, &store, &listeners).await?;
        if stood_by.is_none() {
            base.finish().await;
            return Ok(());
        }
    }
    lead(&base, database, &store, &listeners, stood_by).await?;
    base.finish().await;
    Ok(())
}

/// Where control is reached: its own port, and the one that several share.
struct Listeners {
    own: SocketAddr,
    all: Vec<std::net::TcpListener>,
}

impl Listeners {
    fn bind(base: &Base) -> Outcome<Self> {
        let own = SocketAddr::from(([127, 0, 0, 1], base.contract.port));
        let mut all = vec![listen_now(own, false)?];
        let url = base.optional(env::BRICK_CONTROL_URL).unwrap_or_default();
        let shared = url
            .strip_prefix("http://")
            .and_then(|at| at.parse::<SocketAddr>().ok());
        if let Some(shared) = shared.filter(|shared| *shared != own) {
            all.push(listen_now(shared, true)?);
        }
        Ok(Self { own, all })
    }

    /// Serves on all of them until the drain is requested. They stay open.
    async fn serve(&self, server: &Server, access: Access, drain: &Drain) -> Outcome {
        let mut serving = JoinSet::new();
        for listener in &self.all {
            let listener = listener.try_clone().and_then(TcpListener::from_std);
            let listener = listener.map_err(|error| failed(&error))?;
            let (server, access, drain) = (server.clone(), access.clone(), drain.clone());
            serving.spawn(async move { server.serve(listener, access, drain).await });
        }
        serving.join_all().await;
        Ok(())
    }
}

/// Stands by until this process leads, or gives none where it is to end.
async fn stand_by(
    base: &Base,
    database: &Database,
    store: &Sql,
    listeners: &Listeners,
) -> Outcome<Option<Standby>> {
    let issuer = identity(base, database).await?;
    let options = options(base, &issuer)?;
    let store: Arc<dyn Store> = Arc::new(store.clone());
    let opened = Standby::open(&options, store, issuer.verifier(), listeners.own, &base.telemetry).await;
    let standby = opened.map_err(|error| failed(&error))?;
    tracing::info!("another control leads: this one stands by");
    let mut options = ServerOptions::new(base.telemetry.clone(), issuer.verifier(), "control");
    options.trace = false;
    options.drain_wait = Duration::ZERO;
    options.body_bytes_max = BODY_BYTES_MAX;
    let server = Server::new(options);
    let (end, ending) = brick_core::drain::channel();
    base.telemetry.health().set_ready(true);
    let standing_by = async {
        let leads = standby.run(base.drain.clone()).await;
        end.drain();
        leads
    };
    let (leads, served) = tokio::join!(standing_by, listeners.serve(&server, standby.access(), &ending));
    served?;
    Ok(leads.then_some(standby))
}

/// Leads until the drain is requested.
async fn lead(
    base: &Base,
    database: Database,
    store: &Sql,
    listeners: &Listeners,
    stood_by: Option<Standby>,
) -> Outcome {
    if stood_by.is_some() {
        tracing::warn!("the control that led is gone: this one leads");
    }
    let issuer = identity(base, &database).await?;
    let options = options(base, &issuer)?;
    let shared: Arc<dyn Store> = Arc::new(store.clone());
    let verifier = issuer.verifier();
    let opened =
        mortar_control::Service::take_over(stood_by, options, shared, verifier, &base.telemetry).await;
    let (control, handle) = opened.map_err(|error| failed(&error))?;
    resolve_names(base, &handle).await?;

    let document = mortar_identity::openapi::describe(mortar_control::openapi::document());
    let document = mortar_console::openapi::describe(document);
    let access = control
        .access(issuer.router().merge(console(base, &issuer)?.router()))
        .openapi(document);
    let mut options = ServerOptions::new(base.telemetry.clone(), issuer.verifier(), "control");
    options.trace = false;
    options.body_bytes_max = BODY_BYTES_MAX;
    let server = Server::new(options);
    base.telemetry.health().set_ready(true);
    let running = tokio::spawn(control.run(base.drain.clone()));
    tokio::select! {
        served = listeners.serve(&server, access, &base.drain) => served?,
        () = store.deposed() => {
            let why = "another control leads in the place of this one, which lost the database for a while";
            return Err(Failure::failed(why).hint("it is started anew and stands by"));
        }
    }
    running.await.map_err(|error| failed(&error))
}

async fn identity(base: &Base, database: &Database) -> Outcome<mortar_identity::Handle> {
    let mut options = mortar_identity::Options::new(&base.contract.system);
    options.bootstrap_key_file = base.optional(env::BRICK_BOOTSTRAP_KEY_FILE).map(Into::into);
    let opened = mortar_identity::Service::open(options, database.clone()).await;
    let (_, issuer) = opened.map_err(|error| failed(&error))?;
    Ok(issuer)
}

fn options(base: &Base, issuer: &mortar_identity::Handle) -> Outcome<mortar_control::Options> {
    let mut options = mortar_control::Options::new(&base.contract.system, issuer.trust_bundle());
    options.api_keys = Some(issuer.api_keys());
    let lives = issuer.clone();
    options.on_manifest = Some(Arc::new(move |model| {
        lives.set_token_ttl(model.mortar.identity.token_ttl.0)
    }));
    let clients = issuer.clone();
    options.clients = Some(Arc::new(move |id, secret| {
        let clients = clients.clone();
        Box::pin(async move { clients.client_scopes(&id, &secret).await })
    }));
    let (peers, own) = (issuer.clone(), base.contract.incarnation.to_string());
    options.peer_token = Some(Arc::new(move || {
        let issued = peers.process_token("control", &own, &[PEER.to_owned()]).ok()?;
        Some(issued.token.expose().to_owned())
    }));
    options.agent_socket = base.optional(env::BRICK_AGENT_SOCKET).map(Into::into);
    options.platform = platform(base)?;
    options.cipher = master_key(base)?;
    options.repository_dir = Some(base.state_dir()?.join("config-repository.git"));
    options.base_dir = std::env::current_dir().unwrap_or_default();
    Ok(options)
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::failed(brick_core::chain(error))
}

/// Resolves names of bricks where the agent says so. Control works without, so a port that somebody else has is no reason
/// to end.
async fn resolve_names(base: &Base, handle: &mortar_control::Handle) -> Outcome {
    let port = base.number(env::BRICK_DNS_PORT, 0)?;
    if port == 0 {
        return Ok(());
    }
    match dns::Service::bind(SocketAddr::from(([127, 0, 0, 1], port))).await {
        Ok(names) => drop(tokio::spawn(names.run(handle.clone(), base.drain.clone()))),
        Err(error) => {
            tracing::error!(port, %error, "names of bricks are not resolved: the port cannot be had")
        }
    }
    Ok(())
}

/// The database that control shares with others of it, with the password that the operator's environment holds; else a
/// file of its own.
fn store_url(base: &Base, folder: &Path) -> Outcome<String> {
    let Some(url) = base.optional(env::BRICK_STORE_URL) else {
        return Ok(format!("sqlite:{}", folder.join("control.db").display()));
    };
    let password = match (base.optional(PASSWORD_FILE), base.optional(PASSWORD)) {
        (Some(path), _) => {
            let unread = |error| Failure::failed(format!("{PASSWORD_FILE}: cannot read {path}: {error}"));
            std::fs::read_to_string(&path)
                .map_err(unread)?
                .trim_end()
                .to_owned()
        }
        (None, Some(password)) => password,
        (None, None) => return Ok(url),
    };
    Ok(brick_wire::form::with_password(&url, &password))
}

/// What encrypted values of configurations are opened with: named by the operator's environment, or none.
fn master_key(base: &Base) -> Outcome<Option<Arc<Cipher>>> {
    let (name, hex) = match (base.optional(KEY_FILE), base.optional(KEY)) {
        (Some(path), _) => {
            let unread = |error| Failure::failed(format!("{}: cannot read {path}: {error}", KEY_FILE));
            (KEY_FILE, std::fs::read_to_string(&path).map_err(unread)?)
        }
        (None, Some(hex)) => (KEY, hex),
        (None, None) => return Ok(None),
    };
    let refused = |error| Failure::usage(format!("{name}: {error}"));
    Ok(Some(Arc::new(Cipher::new(&hex).map_err(refused)?)))
}

/// The platform's own processes, by the slots that the agent gives them.
fn platform(base: &Base) -> Outcome<Vec<(String, u32, SocketAddr)>> {
    let mut all = Vec::new();
    for (slot, name, variable, url) in base.platform() {
        let addr = url.strip_prefix("http://").unwrap_or(&url).parse();
        let refused = |_| Failure::usage(format!("{variable}: expected http://ADDRESS:PORT, found {url}"));
        all.push((name.to_owned(), slot, addr.map_err(refused)?));
    }
    Ok(all)
}

fn console(base: &Base, issuer: &mortar_identity::Handle) -> Outcome<Console> {
    let own = format!("http://127.0.0.1:{}", base.contract.port);
    Ok(Console::new(mortar_console::Options::new(
        base.required(env::BRICK_TELEMETRY_URL)?,
        own,
        mortar_console::operators(issuer.verifier()),
    )))
}
