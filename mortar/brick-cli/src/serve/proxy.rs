//! `brick serve proxy`: the host proxy, on the ports that the agent gave the callers.

use std::net::SocketAddr;

use brick_core::env;
use mortar_host::{Options, Service};

use super::base::Base;
use crate::failure::{Failure, Outcome};

pub(super) async fn run() -> Outcome {
    let mut base = Base::open("proxy", false)?;
    let watch = base.bus(&[
        "limits/*",
        "faults/*",
        "endpoints/*",
        "pools/*",
        "serve/*",
        "trust/bundle",
    ])?;
    let options = Options {
        own: SocketAddr::from(([127, 0, 0, 1], base.contract.port)),
        file: base.required(env::BRICK_PROXY_FILE)?.into(),
        control_url: base.required(env::BRICK_CONTROL_URL)?,
        incarnation: Some(base.contract.incarnation),
        otlp_endpoint: base.contract.otlp_endpoint.clone(),
        ..Options::default()
    };
    let failed = |error: mortar_host::Error| Failure::failed(brick_core::chain(&error));
    let made = Service::new(options, watch, base.telemetry.clone(), base.token());
    let (service, _) = made.map_err(failed)?;
    service.run(base.drain.clone()).await.map_err(failed)?;
    base.finish().await;
    Ok(())
}
