//! What changes of a brick while it runs: its configuration, and which of its log lines are written.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use brick_bus::{LogLevels, Watch};
use brick_config::{Failed, Live};
use brick_core::{Drain, Trigger};
use brick_telemetry::Telemetry;
use jiff::Timestamp;

use crate::Contract;

/// The configuration's key with the level of log lines.
const LEVEL_KEY: [&str; 2] = ["log", "level"];

/// Follows both.
pub(crate) struct Follower {
    live: Live,
    failed: Arc<OnceLock<Failed>>,
    telemetry: Telemetry,
    watch: Watch,
    stop: Trigger,
    contract: Contract,
}

impl Follower {
    /// For the configurations of a process, and where it is told why the process must not go on.
    pub(crate) fn new(
        (live, failed): (Live, Arc<OnceLock<Failed>>),
        contract: &Contract,
        telemetry: &Telemetry,
        watch: &Watch,
        stop: &Trigger,
    ) -> Self {
        Self {
            live,
            failed,
            telemetry: telemetry.clone(),
            watch: watch.clone(),
            stop: stop.clone(),
            contract: contract.clone(),
        }
    }

    /// Until the drain is requested. A brick that cannot take what was decided for all is not ready any more, and
    /// stops: whoever supervises it starts it anew.
    pub(crate) async fn run(self, drain: Drain) {
        let levels = self.levels();
        let live = async {
            if let Err(failed) = self.live.follow(drain.clone()).await {
                self.telemetry.health().set_ready(false);
                tracing::error!(
                    change = failed.change,
                    reason = failed.reason,
                    "the brick stops: it cannot take the configuration that was decided"
                );
                let _ = self.failed.set(failed);
                self.stop.drain();
            }
        };
        tokio::select! {
            () = async { tokio::join!(levels, live); } => {}
            () = drain.requested() => {}
        }
    }

    /// Follows the level of log lines; one that is over ends here, whether or not control says so.
    async fn levels(&self) {
        let mut watch = self.watch.clone();
        loop {
            let now = Timestamp::now();
            let (level, until) = self.level(now);
            match self.telemetry.set_filter(&level) {
                Ok(true) => tracing::info!(level, "log lines are written at another level"),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the level of log lines stays as it is"),
            }
            let left = until.map(|until| Duration::try_from(until.duration_since(now)).unwrap_or_default());
            tokio::select! {
                _ = watch.changed() => {}
                () = over(left) => {}
            }
        }
    }

    /// What counts: asked for by an operator, else configured, else the environment's.
    fn level(&self, now: Timestamp) -> (String, Option<Timestamp>) {
        let brick = &self.contract.brick;
        let levels: Option<LogLevels> = self.watch.typed(&format!("log/{brick}"));
        if let Some(asked) = levels
            .as_ref()
            .and_then(|levels| levels.of(&self.contract.slot, now))
        {
            return (asked.level.clone(), asked.until);
        }
        let config = self.watch.get(&format!("config/{brick}"));
        let configured = config.as_ref().and_then(|config| {
            let found = LEVEL_KEY
                .iter()
                .try_fold(&config.value, |value, part| value.get(*part));
            found?.as_str().map(str::to_owned)
        });
        (
            configured.unwrap_or_else(|| self.contract.log_filter.clone()),
            None,
        )
    }
}

async fn over(left: Option<Duration>) {
    match left {
        Some(left) => tokio::time::sleep(left).await,
        None => std::future::pending().await,
    }
}
