//! `brick serve gateway`: the edge and admin listeners, handed over by the agent or bound here.

use std::net::SocketAddr;

use brick_auth::Verifier;
use brick_core::env;
use listenfd::ListenFd;
use mortar_gateway::{Listeners, Options, Service};

use super::base::Base;
use crate::failure::{Failure, Outcome};

pub(super) async fn run() -> Outcome {
    let mut base = Base::open("gateway", true)?;
    let watch = base.bus(&[
        "routes/edge",
        "edge/settings",
        "keys/edge",
        "certs/*",
        "limits/edge->*",
        "faults/*",
        "endpoints/*",
        "pools/*",
        "trust/bundle",
    ])?;
    let verifier = Verifier::new(watch.clone());
    let (following, ending) = (verifier.clone(), base.ending());
    base.background(async move { following.follow(ending).await });
    let options = Options {
        own: SocketAddr::from(([127, 0, 0, 1], base.contract.port)),
        control_url: base.required(env::BRICK_CONTROL_URL)?,
        telemetry_url: base.required(env::BRICK_TELEMETRY_URL)?,
        incarnation: Some(base.contract.incarnation),
        handover_socket: base.optional(env::BRICK_HANDOVER_SOCKET).map(Into::into),
        ..Options::default()
    };
    let failed = |error: mortar_gateway::Error| Failure::failed(brick_core::chain(&error));
    let listeners = handed_over(&base)?;
    let (service, _) = Service::new(
        options,
        listeners,
        watch,
        verifier,
        base.telemetry.clone(),
        base.token(),
    )
    .map_err(failed)?;
    let service = service.with_roots(|| rustls_native_certs::load_native_certs().certs);
    service.run(base.drain.clone()).await.map_err(failed)?;
    base.finish().await;
    Ok(())
}

/// The sockets that the agent gave us (sd_listen_fds(3)), by their names.
fn handed_over(base: &Base) -> Outcome<Listeners> {
    let mut listeners = Listeners::default();
    let names = base.optional(env::LISTEN_FDNAMES).unwrap_or_default();
    let mut given = ListenFd::from_env();
    for (index, name) in names.split(':').enumerate().take(given.len()) {
        let listener = given.take_tcp_listener(index).map_err(|error| {
            Failure::failed(format!(
                "cannot use the listener {name} that was handed over: {error}"
            ))
        })?;
        if let Some(listener) = listener {
            listeners.take(name, listener);
        }
    }
    Ok(listeners)
}
