//! `brick serve telemetry`: ingest, store and query.

use brick_auth::Verifier;
use brick_core::env;
use mortar_telemetry::record::Resource;
use mortar_telemetry::{Options, Service, Target};

use super::base::{Base, listen};
use crate::failure::{Failure, Outcome};

pub(super) async fn run() -> Outcome {
    let mut base = Base::open("telemetry", false)?;
    let watch = base.bus(&["endpoints/*", "trust/bundle"])?;
    let verifier = Verifier::new(watch.clone());
    let (following, ending) = (verifier.clone(), base.ending());
    base.background(async move { following.follow(ending).await });
    let defaults = Options::default();
    let options = Options {
        bytes_max: base.number(env::BRICK_TELEMETRY_BYTES_MAX, defaults.bytes_max)?,
        scrape: platform(&base),
    };
    let api = base.listener().await?;
    let otlp = listen(base.number(env::BRICK_OTLP_PORT, 4318)?).await?;
    let (service, _) = Service::new(options, watch, verifier, base.telemetry.clone());
    let outcome = service.run(api, otlp, base.drain.clone()).await;
    outcome.map_err(|error| Failure::failed(brick_core::chain(&error)))?;
    base.finish().await;
    Ok(())
}

/// The platform's own processes, which are in no registry.
fn platform(base: &Base) -> Vec<Target> {
    let target = |(number, name, _, url): (u32, &str, &str, String)| Target {
        resource: Resource {
            service: name.to_owned(),
            version: base.contract.version.to_string(),
            instance: format!("{name}/{number}"),
            incarnation: String::new(),
            zone: base.contract.zone.clone(),
        },
        url: format!("{url}/metrics"),
    };
    base.platform().into_iter().map(target).collect()
}
