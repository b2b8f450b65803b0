//! A thousand instances of a hundred bricks against a control that runs: what changes cost it, and when they are seen.
//!
//! `control_load CONTROL_URL BOOTSTRAP_KEY_FILE [ROUNDS]`, run by `cargo xtask bench control` on a system whose manifest
//! has the bricks `b0` to `b99`, which register themselves. Every instance is a subscriber with the SDK's own
//! client of the bus and watches ten resources: configuration, proposals and log levels of its brick and the endpoints
//! of seven others. Prints one JSON object.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use brick_bus::{Options, Service, Watch};
use brick_core::{Incarnation, Trigger};
use brick_wire::Client;
use futures_util::future::{join_all, try_join_all};
use http::Method;
use serde_json::{Value, json};

const BRICKS: usize = 100;
const SLOTS: usize = 10;
/// Bricks whose endpoints an instance watches.
const NEIGHBOURS: usize = 7;
/// Changes of endpoints begin this far apart.
const PACE: Duration = Duration::from_millis(20);
/// Writes to the registry a second, and how many of them renew a lease.
const WRITES_PER_S: usize = 5_000;
const RENEWALS_OF_100: usize = 98;
/// Tasks that write; each has its own share of the rate.
const WRITERS: usize = 50;
/// How long whatever is awaited may take before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(60);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Control, as the agent knows it.
#[derive(Clone)]
struct Control {
    url: Arc<str>,
    agent: Arc<str>,
    http: Client,
}

/// One instance, and what it saw.
struct Instance {
    brick: usize,
    slot: usize,
    incarnation: Incarnation,
    watch: Watch,
    /// The bus is followed for as long as this is kept.
    trigger: Trigger,
    log: Arc<parking_lot::Mutex<Vec<Sight>>>,
}

/// When an instance saw that a brick's endpoints had changed.
#[derive(Clone, Copy)]
struct Sight {
    brick: usize,
    at: Instant,
}

fn name(brick: usize) -> String {
    format!("b{}", brick % BRICKS)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let usage = "expected CONTROL_URL BOOTSTRAP_KEY_FILE [ROUNDS]";
    let url = arguments.next().ok_or(usage)?;
    let key = arguments.next().ok_or(usage)?;
    let rounds = arguments.next().map_or(Ok(2), |text| text.parse())?;
    let control = Control::new(url, Path::new(&key)).await?;
    let begun = Instant::now();
    let mut instances = Vec::new();
    for brick in 0..BRICKS {
        let started = (0..SLOTS).map(|slot| start(&control, brick, slot));
        instances.extend(try_join_all(started).await?);
    }
    all_seen(&instances).await?;
    let started_s = begun.elapsed().as_secs_f64();
    let mut endpoints = endpoint_changes(&control, &instances, rounds).await?;
    let (mut one, all) = config_changes(&control, rounds).await?;
    let (writes_per_s, failed, mut writes) = registry_writes(&control, &instances, rounds).await;
    for instance in &instances {
        instance.trigger.drain();
    }
    println!(
        "{}",
        json!({
            "instances": instances.len(), "started_s": started_s,
            "endpoint_sights": endpoints.len(),
            "endpoint_p50_ms": at(&mut endpoints, 0.5), "endpoint_p99_ms": at(&mut endpoints, 0.99),
            "endpoint_max_ms": at(&mut endpoints, 1.0),
            "config_one_p99_ms": at(&mut one, 0.99), "config_all_ms": all,
            "writes_per_s": writes_per_s, "writes_failed": failed, "write_p99_ms": at(&mut writes, 0.99),
        })
    );
    Ok(())
}

impl Control {
    async fn new(url: String, key: &Path) -> Result<Self, Failure> {
        let http = Client::new();
        let key = std::fs::read_to_string(key)?;
        let form = format!(
            "grant_type=client_credentials&client_id=agent&client_secret={}",
            key.trim()
        );
        let call = http.post(format!("{url}/identity/token"));
        let answer: Value = call
            .body("application/x-www-form-urlencoded", form)
            .json()
            .await?;
        let agent = answer["access_token"].as_str().ok_or("no token for the agent")?;
        Ok(Self {
            url: url.into(),
            agent: agent.into(),
            http,
        })
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
        let call = self.http.call(method, format!("{}{path}", self.url));
        let call = call.bearer(&self.agent).json_body(body).timeout(PATIENCE);
        Ok(call.json().await?)
    }

    async fn register(&self, brick: usize, slot: usize, incarnation: Incarnation) -> Result<(), Failure> {
        let body = json!({
            "brick": name(brick), "version": "v1", "slot": slot + 1, "incarnation": incarnation, "zone": "a",
            "addr": format!("127.0.0.1:{}", 20_000 + brick * SLOTS + slot), "ttl_ms": 60_000, "supervised": true,
        });
        self.call(Method::POST, "/api/registry/v1/instances", &body)
            .await?;
        Ok(())
    }

    /// A renewal; what is not ready leaves the pool.
    async fn renew(&self, incarnation: Incarnation, ready: bool) -> Result<(), Failure> {
        let body = json!({ "renew": [{ "incarnation": incarnation, "ready": ready }] });
        self.call(Method::POST, "/api/registry/v1/leases", &body).await?;
        Ok(())
    }
}

/// Registers an instance and has it follow the bus.
async fn start(control: &Control, brick: usize, slot: usize) -> Result<Instance, Failure> {
    let incarnation = Incarnation::new();
    control.register(brick, slot, incarnation).await?;
    let body = json!({ "brick": name(brick), "incarnation": incarnation, "scopes": ["bus", "call:*"] });
    let answer = control
        .call(Method::POST, "/api/identity/v1/process-tokens", &body)
        .await?;
    let token = answer["token"].as_str().ok_or("no token")?.to_owned();
    let neighbours: Vec<usize> = (1..=NEIGHBOURS).map(|step| (brick + step) % BRICKS).collect();
    let mut resources: Vec<String> = ["config", "prepare", "log"]
        .iter()
        .map(|kind| format!("{kind}/{}", name(brick)))
        .collect();
    resources.extend(neighbours.iter().map(|near| format!("endpoints/{}", name(*near))));
    let (service, watch) = Service::new(Options {
        control_url: control.url.to_string(),
        resources,
        snapshot: None,
        token: Arc::new(move || Some(token.clone())),
        incarnation,
    });
    let log = Arc::default();
    let following = follow(watch.clone(), brick, neighbours, Arc::clone(&log));
    let (trigger, drain) = brick_core::drain::channel();
    tokio::spawn(async move { tokio::join!(service.run(drain), following) });
    Ok(Instance {
        brick,
        slot,
        incarnation,
        watch,
        trigger,
        log,
    })
}

/// Takes what is proposed and decided as a brick does, and notes when endpoints were seen to have changed.
async fn follow(
    mut watch: Watch,
    brick: usize,
    neighbours: Vec<usize>,
    log: Arc<parking_lot::Mutex<Vec<Sight>>>,
) {
    let own = ["prepare", "config"].map(|kind| format!("{kind}/{}", name(brick)));
    let mut said = [0; 2];
    let near: Vec<(usize, String)> = neighbours
        .into_iter()
        .map(|brick| (brick, format!("endpoints/{}", name(brick))))
        .collect();
    let mut last = vec![0; near.len()];
    loop {
        watch.changed().await;
        let at = Instant::now();
        for (resource, said) in own.iter().zip(&mut said) {
            let revision = watch.get(resource).map_or(0, |found| found.revision);
            if revision > *said {
                *said = revision;
                watch.acknowledge(resource, revision, None);
            }
        }
        for ((brick, resource), last) in near.iter().zip(&mut last) {
            let revision = watch.get(resource).map_or(0, |found| found.revision);
            if revision > *last {
                *last = revision;
                log.lock().push(Sight { brick: *brick, at });
            }
        }
    }
}

/// Until every instance sees every instance of its neighbours.
async fn all_seen(instances: &[Instance]) -> Result<(), Failure> {
    let each = instances.iter().map(|instance| async {
        let mut watch = instance.watch.clone();
        for step in 1..=NEIGHBOURS {
            let resource = format!("endpoints/{}", name(instance.brick + step));
            let complete = |watch: &Watch| {
                watch
                    .typed::<brick_bus::Endpoints>(&resource)
                    .is_some_and(|endpoints| endpoints.instances.len() == SLOTS)
            };
            while !complete(&watch) {
                watch.changed().await;
            }
        }
    });
    let all = tokio::time::timeout(PATIENCE, join_all(each)).await;
    all.map(|_| ())
        .map_err(|_| "not every instance sees its neighbours".into())
}

/// One instance after another leaves its pool and comes back. Milliseconds from each change's call until each of its
/// watchers saw it; every one of them must.
async fn endpoint_changes(
    control: &Control,
    instances: &[Instance],
    rounds: usize,
) -> Result<Vec<f64>, Failure> {
    for instance in instances {
        instance.log.lock().clear();
    }
    let mut pace = tokio::time::interval(PACE);
    let mut calls = Vec::new();
    for change in 0..rounds * 2 * BRICKS {
        pace.tick().await;
        // All bricks in turn: changes of one are two seconds apart.
        let (round, brick) = (change / BRICKS, change % BRICKS);
        let incarnation = instances[brick * SLOTS + round / 2 % SLOTS].incarnation;
        let control = control.clone();
        calls.push(tokio::spawn(async move {
            let begun = Instant::now();
            control.renew(incarnation, round % 2 == 1).await?;
            Ok::<_, Failure>((brick, begun))
        }));
    }
    let mut begun = vec![Vec::new(); BRICKS];
    for call in calls {
        let (brick, at) = call.await??;
        begun[brick].push(at);
    }
    let mut passed = Vec::new();
    for instance in instances {
        let deadline = Instant::now() + PATIENCE;
        for brick in (1..=NEIGHBOURS).map(|step| (instance.brick + step) % BRICKS) {
            let sights = |log: &[Sight]| -> Vec<Sight> {
                log.iter().filter(|sight| sight.brick == brick).copied().collect()
            };
            let Some(last) = begun[brick].last() else { continue };
            let mut found = sights(&instance.log.lock());
            while found.last().is_none_or(|sight| sight.at < *last) {
                if Instant::now() > deadline {
                    let (own, slot) = (instance.brick, instance.slot + 1);
                    return Err(format!("b{own}/{slot} did not see the last change of b{brick}").into());
                }
                tokio::time::sleep(PACE).await;
                found = sights(&instance.log.lock());
            }
            // Changes that came close together may be seen as one.
            let each = begun[brick].iter().filter_map(|begun| {
                let seen = found.iter().find(|sight| sight.at >= *begun)?;
                Some(seen.at.duration_since(*begun).as_secs_f64() * 1e3)
            });
            passed.extend(each);
        }
    }
    Ok(passed)
}

/// A change of each brick's configuration alone, then of all at once: milliseconds until a change was acknowledged by
/// every instance, twice, since it is in two phases; of all at once the median round.
async fn config_changes(control: &Control, rounds: usize) -> Result<(Vec<f64>, f64), Failure> {
    let change = |brick: usize, value: usize| async move {
        let begun = Instant::now();
        let body = json!({ "values": { "limit": value } });
        let path = format!("/api/config/v1/{}", name(brick));
        let answer = control.call(Method::PATCH, &path, &body).await?;
        if answer["applied"] != SLOTS || answer["of"] != SLOTS {
            return Err(format!("b{brick} did not take its configuration everywhere: {answer}").into());
        }
        Ok::<_, Failure>(begun.elapsed().as_secs_f64() * 1e3)
    };
    let mut one = Vec::new();
    for brick in 0..BRICKS {
        one.push(change(brick, 1_000).await?);
    }
    let mut all = Vec::new();
    for round in 0..rounds {
        let begun = Instant::now();
        try_join_all((0..BRICKS).map(|brick| change(brick, 2_000 + round))).await?;
        all.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok((one, at(&mut all, 0.5)))
}

/// Renewals, and among them instances that start anew, at a fixed rate: how many a second were answered, how many were
/// not as they should be, and milliseconds of each from when it was due.
async fn registry_writes(control: &Control, instances: &[Instance], rounds: usize) -> (f64, u64, Vec<f64>) {
    let each = WRITES_PER_S / WRITERS * rounds * 2;
    let failed = AtomicU64::new(0);
    let begun = Instant::now();
    let writers = (0..WRITERS).map(|writer| {
        let (failed, http) = (&failed, control.clone());
        async move {
            let step = Duration::from_secs(1) / u32::try_from(WRITES_PER_S / WRITERS).unwrap_or(1);
            let mut pace = tokio::time::interval(step);
            pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
            let own: Vec<&Instance> = instances.iter().skip(writer).step_by(WRITERS).collect();
            let mut incarnations: Vec<Incarnation> = own.iter().map(|one| one.incarnation).collect();
            let mut took = Vec::with_capacity(each);
            for write in 0..each {
                let due = pace.tick().await.into_std();
                let place = write % own.len();
                let written = if write % 100 < RENEWALS_OF_100 {
                    http.renew(incarnations[place], true).await
                } else {
                    incarnations[place] = Incarnation::new();
                    http.register(own[place].brick, own[place].slot, incarnations[place])
                        .await
                };
                if let Err(error) = written {
                    eprintln!("{error}");
                    failed.fetch_add(1, Ordering::Relaxed);
                }
                took.push(due.elapsed().as_secs_f64() * 1e3);
            }
            took
        }
    });
    let took: Vec<f64> = join_all(writers).await.concat();
    let rate = took.len() as f64 / begun.elapsed().as_secs_f64();
    (rate, failed.into_inner(), took)
}

/// The quantile of these figures, which it sorts; 0 where there are none.
fn at(figures: &mut [f64], quantile: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    let last = figures.len().saturating_sub(1);
    figures
        .get((last as f64 * quantile).round() as usize)
        .copied()
        .unwrap_or(0.0)
}
