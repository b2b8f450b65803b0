//! The scraper: asks every instance in `endpoints/*` for `/metrics` each five seconds.
//!
//! An instance that answers 404 has no metrics and is left alone until a new incarnation takes its slot; a fixed target
//! has no incarnation to wait for and is asked again. Each scrape
//! gives the series `up`: 1 where it was answered with a good exposition, else 0.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use brick_bus::{Endpoint, Endpoints, Protocol, Watch};
use brick_core::Drain;
use brick_wire::Client;
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::record::{Family, MetricBatch, MetricKind, Resource, Sample};

use super::openmetrics::{self, Dialect};
use super::{Sink, metrics::identity};

/// How often an instance is asked.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long it may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Largest answer.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Scrapes at one time.
const CONCURRENT_MAX: usize = 16;
/// An incarnation younger than this is taken to have started from zero.
const YOUNG_MS: u64 = 30_000;
const ACCEPTED: &str =
    "application/openmetrics-text; version=1.0.0; charset=utf-8, text/plain; version=0.0.4; q=0.5";

/// Something to scrape that is not in the registry: the platform's own processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Who it is.
    pub resource: Resource,
    /// Its metrics, `http://127.0.0.1:7001/metrics`.
    pub url: String,
}

struct Entry {
    target: Arc<Target>,
    due: Instant,
    busy: bool,
    gone: bool,
    fixed: bool,
    last_ok_ms: Option<u64>,
}

#[derive(Debug)]
struct Scraped {
    key: String,
    gone: bool,
    ok_at_ms: Option<u64>,
}

/// Scrapes until the drain is requested.
pub async fn run(mut watch: Watch, fixed: Vec<Target>, sink: Sink, drain: Drain) {
    let mut entries: HashMap<String, Entry> = HashMap::new();
    let mut running: JoinSet<Scraped> = JoinSet::new();
    let slots = Arc::new(Semaphore::new(CONCURRENT_MAX));
    let client = Client::new();
    reconcile(&mut entries, &watch, &fixed);
    loop {
        let now = Instant::now();
        for (key, entry) in entries
            .iter_mut()
            .filter(|(_, e)| !e.gone && !e.busy && e.due <= now)
        {
            entry.busy = true;
            entry.due = now + INTERVAL;
            let work = Work {
                key: key.clone(),
                target: Arc::clone(&entry.target),
                last_ok_ms: entry.last_ok_ms,
                client: client.clone(),
                sink: sink.clone(),
            };
            let slots = Arc::clone(&slots);
            running.spawn(async move {
                let _slot = slots.acquire_owned().await;
                work.scrape().await
            });
        }
        let idle = entries
            .values()
            .filter(|e| !e.gone && !e.busy)
            .map(|e| e.due)
            .min();
        let due = idle.unwrap_or(now + INTERVAL);
        tokio::select! {
            () = drain.requested() => return,
            _ = watch.changed() => reconcile(&mut entries, &watch, &fixed),
            Some(done) = running.join_next() => finished(&mut entries, done),
            () = tokio::time::sleep_until(due) => {}
        }
    }
}

fn finished(entries: &mut HashMap<String, Entry>, done: Result<Scraped, tokio::task::JoinError>) {
    let Ok(scraped) = done else { return };
    if let Some(entry) = entries.get_mut(&scraped.key) {
        entry.busy = false;
        entry.gone = scraped.gone && !entry.fixed;
        entry.last_ok_ms = scraped.ok_at_ms;
    }
}

/// Keeps what is known of the targets that stay, adds the new ones, forgets the others.
fn reconcile(entries: &mut HashMap<String, Entry>, watch: &Watch, fixed: &[Target]) {
    let mut wanted: HashMap<String, Target> = fixed
        .iter()
        .map(|target| (target.url.clone(), target.clone()))
        .collect();
    let state = watch.state();
    for (name, resource) in &state.resources {
        let Some(brick) = name.strip_prefix("endpoints/") else {
            continue;
        };
        let Ok(endpoints) = serde_json::from_value::<Endpoints>(resource.value.clone()) else {
            continue;
        };
        let over_http = |endpoint: &Endpoint| endpoint.protocol != Protocol::Tcp;
        for endpoint in endpoints.instances.into_iter().filter(over_http) {
            let target = Target {
                resource: Resource {
                    service: brick.to_owned(),
                    version: endpoint.version.to_string(),
                    instance: endpoint.slot_name(brick),
                    incarnation: endpoint.incarnation.to_string(),
                    zone: endpoint.zone,
                },
                url: format!("http://{}/metrics", endpoint.addr),
            };
            wanted.insert(target.resource.incarnation.clone(), target);
        }
    }
    entries.retain(|key, _| wanted.contains_key(key));
    for (key, target) in wanted {
        entries
            .entry(key)
            .and_modify(|entry| {
                if *entry.target != target {
                    entry.target = Arc::new(target.clone());
                }
            })
            .or_insert_with_key(|key| Entry {
                target: Arc::new(target.clone()),
                due: Instant::now() + spread(key),
                busy: false,
                gone: false,
                fixed: target.url == *key,
                last_ok_ms: None,
            });
    }
}

/// First scrapes are spread over half a second, the same way each time.
fn spread(key: &str) -> Duration {
    let sum = key
        .bytes()
        .fold(7_u64, |sum, byte| (sum * 31 + u64::from(byte)) % 500);
    Duration::from_millis(sum)
}

struct Work {
    key: String,
    target: Arc<Target>,
    last_ok_ms: Option<u64>,
    client: Client,
    sink: Sink,
}

impl Work {
    async fn scrape(self) -> Scraped {
        let call = self.client.get(self.target.url.as_str()).header(ACCEPT, ACCEPTED);
        let answer = call.timeout(TIMEOUT).bytes_max(BODY_BYTES_MAX).send().await;
        let now_ms = unix_ms();
        let read = match answer {
            Ok(answer) if answer.status == StatusCode::NOT_FOUND => {
                return Scraped {
                    key: self.key,
                    gone: true,
                    ok_at_ms: None,
                };
            }
            Ok(answer) if !answer.status.is_success() => Err(format!("answered {}", answer.status)),
            Ok(answer) => read(&answer),
            Err(error) => Err(brick_core::chain(&error)),
        };
        let batch = match read {
            Ok(exposition) => self.batch(exposition, now_ms),
            Err(reason) => {
                tracing::debug!(url = %self.target.url, %reason, "cannot scrape");
                self.batch(openmetrics::Exposition::default(), now_ms)
                    .with_up(&self.target, now_ms, 0.0)
            }
        };
        let ok_at_ms = batch
            .samples
            .last()
            .is_some_and(|up| up.value > 0.0)
            .then_some(now_ms);
        self.sink.metrics(&batch);
        Scraped {
            key: self.key,
            gone: false,
            ok_at_ms,
        }
    }

    fn batch(&self, exposition: openmetrics::Exposition, now_ms: u64) -> MetricBatch {
        let identity: Vec<_> = identity(&self.target.resource).collect();
        let samples = exposition.samples.into_iter().map(|point| {
            let mut labels = point.labels;
            labels.retain(|(name, _)| !identity.iter().any(|(own, _)| own == name));
            labels.extend(identity.iter().cloned());
            Sample {
                name: point.name,
                labels,
                time_ms: point.time_ms.unwrap_or(now_ms),
                value: point.value,
                cumulative: point.cumulative,
                delta: false,
            }
        });
        let mut families = exposition.families;
        families.push(Family {
            name: "up".to_owned(),
            kind: MetricKind::Gauge,
            unit: String::new(),
            help: "Whether the last scrape was answered.".to_owned(),
        });
        MetricBatch {
            families,
            samples: samples.collect(),
            zero_at_ms: self.zero_at(now_ms),
        }
        .with_up(&self.target, now_ms, 1.0)
    }

    /// When a series that is new now was zero: at the scrape before, else when a young incarnation started.
    fn zero_at(&self, now_ms: u64) -> Option<u64> {
        let born = born_ms(&self.target.resource.incarnation);
        self.last_ok_ms
            .or_else(|| born.filter(|at| *at <= now_ms && now_ms - at < YOUNG_MS))
    }
}

impl MetricBatch {
    /// The series `up` stands last, once.
    fn with_up(mut self, target: &Target, time_ms: u64, value: f64) -> Self {
        self.samples.retain(|sample| sample.name != "up");
        self.samples.push(Sample {
            name: "up".to_owned(),
            labels: identity(&target.resource).collect(),
            time_ms,
            value,
            cumulative: false,
            delta: false,
        });
        self
    }
}

fn read(answer: &brick_wire::Response) -> Result<openmetrics::Exposition, String> {
    let content_type = answer
        .headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let dialect = if content_type.starts_with("application/openmetrics-text") {
        Dialect::OpenMetrics
    } else {
        Dialect::Prometheus
    };
    let text = std::str::from_utf8(&answer.body).map_err(|error| format!("expected UTF-8: {error}"))?;
    openmetrics::parse(text, dialect).map_err(|error| error.to_string())
}

/// When an incarnation (UUIDv7, RFC 9562 §5.7) was made, milliseconds since 1970.
fn born_ms(incarnation: &str) -> Option<u64> {
    let digits: String = incarnation.chars().filter(|c| *c != '-').take(13).collect();
    let (time, version) = digits.split_at_checked(12)?;
    (version == "7").then(|| u64::from_str_radix(time, 16).ok())?
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incarnation_tells_when_it_was_born() {
        let born = born_ms(&brick_core::Incarnation::new().to_string()).unwrap();
        assert!(unix_ms().abs_diff(born) < 10_000);
        for foreign in ["", "x", "order-1", "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"] {
            assert_eq!(born_ms(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn targets_follow_the_registry_and_what_is_known_of_one_stays() {
        let endpoint = |incarnation: &str, port: u16| {
            serde_json::json!({"slot": 1, "incarnation": incarnation, "version": "v1", "zone": "a",
                "addr": format!("127.0.0.1:{port}")})
        };
        let first = brick_core::Incarnation::new().to_string();
        let second = brick_core::Incarnation::new().to_string();
        let watch = |incarnation: &str| {
            Watch::fixed(vec![brick_bus::Resource {
                name: "endpoints/order".to_owned(),
                revision: 1,
                value: serde_json::json!({"instances": [endpoint(incarnation, 9)]}),
            }])
        };
        let mut entries = HashMap::new();
        reconcile(&mut entries, &watch(&first), &[]);
        entries.get_mut(&first).unwrap().gone = true;
        reconcile(&mut entries, &watch(&first), &[]);
        assert!(entries[&first].gone, "left alone while the incarnation stays");
        assert_eq!(entries[&first].target.url, "http://127.0.0.1:9/metrics");
        reconcile(&mut entries, &watch(&second), &[]);
        assert!(!entries.contains_key(&first) && !entries[&second].gone);
    }
}
