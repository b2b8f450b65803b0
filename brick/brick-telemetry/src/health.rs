//! Health: whether the process lives, whether it can take work, and how what it depends on fares.
//!
//! Readiness covers own parts only: a sick dependency must not take its callers out of service, or one failure
//! becomes many. Dependencies show in `/health` alone.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

/// Longest time of one check; one that takes longer counts as down.
pub const CHECK_LIMIT: Duration = Duration::from_millis(500);

/// The health of a process; cloneable.
#[derive(Clone, Default)]
pub struct Health {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    ready: AtomicBool,
    checks: Mutex<BTreeMap<String, Check>>,
}

#[derive(Clone)]
struct Check {
    own: bool,
    run: Arc<dyn Fn() -> Running + Send + Sync>,
}

type Running = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// How something fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It works.
    Up,
    /// Own parts work, a dependency does not.
    Degraded,
    /// It does not work.
    Down,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// How it fares.
    pub status: Status,
    /// Why it is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How long the check took, in milliseconds.
    pub took_ms: f64,
}

/// The answer of the health endpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The whole.
    pub status: Status,
    /// Whether the process says that it takes work.
    pub ready: bool,
    /// Own parts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub components: BTreeMap<String, Finding>,
    /// What it depends on; in `/health` alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dependencies: BTreeMap<String, Finding>,
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("ready", &self.is_ready())
            .finish_non_exhaustive()
    }
}

impl Health {
    /// Says whether the process takes work; false until said.
    pub fn set_ready(&self, ready: bool) {
        self.shared.ready.store(ready, Ordering::Release);
    }

    /// Whether the process said that it takes work.
    pub fn is_ready(&self) -> bool {
        self.shared.ready.load(Ordering::Acquire)
    }

    /// Adds an own part, without which the process is not ready; an error says what is wrong.
    pub fn component<F>(&self, name: &str, check: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.add(name, true, check);
    }

    /// Adds a dependency, which is shown in `/health` and never makes the process unready.
    pub fn dependency<F>(&self, name: &str, check: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.add(name, false, check);
    }

    /// Own parts alone: `/health/ready`.
    pub async fn readiness(&self) -> Report {
        self.report(false).await
    }

    /// Own parts and dependencies: `/health`.
    pub async fn whole(&self) -> Report {
        self.report(true).await
    }

    fn add<F>(&self, name: &str, own: bool, check: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let check = Check {
            own,
            run: Arc::new(move || Box::pin(check())),
        };
        self.shared.checks.lock().insert(name.to_owned(), check);
    }

    async fn report(&self, with_dependencies: bool) -> Report {
        let checks: Vec<(String, Check)> = {
            let checks = self.shared.checks.lock();
            let asked = checks.iter().filter(|(_, c)| c.own || with_dependencies);
            asked.map(|(name, check)| (name.clone(), check.clone())).collect()
        };
        let mut running = JoinSet::new();
        for (name, check) in checks {
            running.spawn(async move { (name, check.own, find(check).await) });
        }
        let mut report = Report {
            status: Status::Up,
            ready: self.is_ready(),
            components: BTreeMap::new(),
            dependencies: BTreeMap::new(),
        };
        while let Some(done) = running.join_next().await {
            // A task that is gone was cancelled with the runtime.
            let Ok((name, own, finding)) = done else { continue };
            let place = if own {
                &mut report.components
            } else {
                &mut report.dependencies
            };
            place.insert(name, finding);
        }
        let sick = |findings: &BTreeMap<String, Finding>| findings.values().any(|f| f.status == Status::Down);
        if !report.ready || sick(&report.components) {
            report.status = Status::Down;
        } else if sick(&report.dependencies) {
            report.status = Status::Degraded;
        }
        report
    }
}

async fn find(check: Check) -> Finding {
    let started = Instant::now();
    // Its own task, so that a check that panics is a finding and no more.
    let task = tokio::spawn(async move { (check.run)().await });
    let abort = task.abort_handle();
    let outcome = match tokio::time::timeout(CHECK_LIMIT, task).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err("the check panicked".to_owned()),
        Err(_) => {
            abort.abort();
            Err(format!("no answer within {} ms", CHECK_LIMIT.as_millis()))
        }
    };
    Finding {
        status: if outcome.is_ok() { Status::Up } else { Status::Down },
        detail: outcome.err(),
        took_ms: (started.elapsed().as_secs_f64() * 1e6).round() / 1e3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_unready_until_it_says_so() {
        let health = Health::default();
        assert_eq!(health.readiness().await.status, Status::Down);
        health.set_ready(true);
        assert_eq!(health.readiness().await.status, Status::Up);
    }

    #[tokio::test]
    async fn a_sick_part_makes_unready_and_a_sick_dependency_does_not() {
        let health = Health::default();
        health.set_ready(true);
        health.dependency("product", || async { Err("refused".to_owned()) });
        assert_eq!(health.readiness().await.status, Status::Up);
        let whole = health.whole().await;
        assert_eq!(whole.status, Status::Degraded);
        assert_eq!(whole.dependencies["product"].detail.as_deref(), Some("refused"));
        health.component("database", || async { Err("locked".to_owned()) });
        assert_eq!(health.readiness().await.status, Status::Down);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_is_bounded_in_time() {
        let health = Health::default();
        health.set_ready(true);
        health.component("slow", std::future::pending);
        let report = health.readiness().await;
        assert_eq!(
            report.components["slow"].detail.as_deref(),
            Some("no answer within 500 ms")
        );
    }

    #[tokio::test]
    async fn a_check_that_panics_is_a_finding() {
        let health = Health::default();
        health.component("odd", || async { panic!("odd") });
        let report = health.readiness().await;
        assert_eq!(
            report.components["odd"].detail.as_deref(),
            Some("the check panicked")
        );
    }
}
