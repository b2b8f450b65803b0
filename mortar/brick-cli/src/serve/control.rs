//! `brick serve control`: registry, routes, config and bus, with identity and console mounted, on one database.

use std::net::SocketAddr;
use std::sync::Arc;

use brick_core::env;
use brick_http::{Server, ServerOptions};
use brick_state::Database;
use mortar_console::Console;
use mortar_control::Cipher;
use mortar_control::dns;
use mortar_control::store::Sql;

use super::base::Base;
use crate::failure::{Failure, Outcome};

/// The master key of encrypted values: a file with it, or itself. What Spring Cloud Config calls it, too.
const KEY_FILE: &str = "ENCRYPT_KEY_FILE";
const KEY: &str = "ENCRYPT_KEY";

/// Largest request body: a manifest is at most 256 KiB, larger still as JSON.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(super) async fn run() -> Outcome {
    let base = Base::open("control", false)?;
    let system = base.contract.system.clone();
    let failed = |error: &dyn std::error::Error| Failure::failed(brick_core::chain(error));

    let folder = base.state_dir()?;
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::failed(format!("cannot make {}: {error}", folder.display())))?;
    let url = format!("sqlite:{}", folder.join("control.db").display());
    let database = Database::open(brick_state::Options::new(url, &[]))
        .await
        .map_err(|error| failed(&error))?;

    let mut options = mortar_identity::Options::new(&system);
    options.bootstrap_key_file = base.optional(env::BRICK_BOOTSTRAP_KEY_FILE).map(Into::into);
    let opened = mortar_identity::Service::open(options, database.clone()).await;
    let (identity, issuer) = opened.map_err(|error| failed(&error))?;

    let mut options = mortar_control::Options::new(&system, issuer.trust_bundle());
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
    options.agent_socket = base.optional(env::BRICK_AGENT_SOCKET).map(Into::into);
    options.platform = platform(&base)?;
    options.cipher = master_key(&base)?;
    options.repository_dir = Some(folder.join("config-repository.git"));
    options.base_dir = std::env::current_dir().unwrap_or_default();
    let store = Sql::open(database).await.map_err(|error| failed(&error))?;
    let opened =
        mortar_control::Service::open(options, Arc::new(store), issuer.verifier(), &base.telemetry).await;
    let (control, handle) = opened.map_err(|error| failed(&error))?;
    resolve_names(&base, &handle).await?;

    let document = mortar_identity::openapi::describe(mortar_control::openapi::document());
    let document = mortar_console::openapi::describe(document);
    let access = control
        .access(identity.router().merge(console(&base, &issuer)?.router()))
        .openapi(document);
    let mut options = ServerOptions::new(base.telemetry.clone(), issuer.verifier(), "control");
    options.trace = false;
    options.body_bytes_max = BODY_BYTES_MAX;
    let listener = base.listener().await?;
    base.telemetry.health().set_ready(true);
    let running = tokio::spawn(control.run(base.drain.clone()));
    Server::new(options)
        .serve(listener, access, base.drain.clone())
        .await;
    running.await.map_err(|error| failed(&error))?;
    base.finish().await;
    Ok(())
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

/// The platform's own processes, by the names that the agent gives them.
fn platform(base: &Base) -> Outcome<Vec<(String, SocketAddr)>> {
    let own = ("control", SocketAddr::from(([127, 0, 0, 1], base.contract.port)));
    let mut all = vec![(own.0.to_owned(), own.1)];
    for (name, variable) in [
        ("gateway", env::BRICK_GATEWAY_URL),
        ("telemetry", env::BRICK_TELEMETRY_URL),
        ("proxy", env::BRICK_HOST_PROXY_URL),
    ] {
        if let Some(url) = base.optional(variable) {
            let addr = url.strip_prefix("http://").unwrap_or(&url).parse();
            let refused =
                |_| Failure::usage(format!("{variable}: expected http://ADDRESS:PORT, found {url}"));
            all.push((name.to_owned(), addr.map_err(refused)?));
        }
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
