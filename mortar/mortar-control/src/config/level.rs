//! Levels of log lines that are other than a brick was started with, for a while: turning up the volume.

use std::time::Duration;

use brick_bus::{LogLevel, LogLevels};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize as _;
use serde_json::Value;

use super::LOG;
use crate::Error;
use crate::audit::By;
use crate::service::Handle;
use crate::state::{Action, State};

/// The longest time that a level may be asked for; beyond it belongs into the configuration, as `log.level`.
pub(crate) const LASTS_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);

/// The levels of a brick.
pub(crate) fn of(state: &State, brick: &str) -> LogLevels {
    let held = state.settings.get(&format!("{LOG}{brick}"));
    held.and_then(|held| LogLevels::deserialize(&**held).ok())
        .unwrap_or_default()
}

/// Sets the level of a brick or of one of its instances, or takes it back.
pub(crate) async fn set(
    handle: &Handle,
    brick: &str,
    instance: Option<&str>,
    level: Option<LogLevel>,
    by: &By,
) -> Result<LogLevels, Error> {
    let before = of(&handle.state(), brick);
    let mut levels = before.clone();
    match (instance, level) {
        (None, level) => levels.brick = level,
        (Some(slot), Some(level)) => drop(levels.instances.insert(slot.to_owned(), level)),
        (Some(slot), None) => drop(levels.instances.remove(slot)),
    }
    let name = format!("{LOG}{brick}");
    let told = |levels: &LogLevels| serde_json::to_value(levels).unwrap_or_default();
    let entry = by.did("config.log", &name).turning(told(&before), told(&levels));
    handle.change(Action::Set(name, value(&levels)?), entry).await?;
    Ok(levels)
}

/// As it is stored; none where nothing is left.
fn value(levels: &LogLevels) -> Result<Option<Value>, Error> {
    let value = serde_json::to_value(levels).map_err(|error| Error::Encode(error.to_string()))?;
    Ok((*levels != LogLevels::default()).then_some(value))
}

/// A level that ends after a while.
pub(crate) fn level(filter: &str, lasts: Option<Duration>, now: Timestamp) -> LogLevel {
    let lasts = lasts.map(|lasts| SignedDuration::try_from(lasts.min(LASTS_MAX)).unwrap_or_default());
    LogLevel {
        level: filter.to_owned(),
        until: lasts.map(|lasts| now + lasts),
    }
}

/// Takes back what is over.
pub(crate) async fn expire(handle: &Handle, now: Timestamp) {
    let state = handle.state();
    for (brick, held) in state.settings_below(LOG) {
        let Ok(mut levels) = LogLevels::deserialize(&**held) else {
            continue;
        };
        let before = levels.clone();
        let counts = |level: &LogLevel| level.until.is_none_or(|until| now < until);
        levels.brick = levels.brick.filter(counts);
        levels.instances.retain(|_, level| counts(level));
        if levels != before
            && let Err(error) = store(handle, brick, &levels).await
        {
            let error = brick_core::chain(&error);
            tracing::warn!(brick, error, "a log level that is over cannot be taken back yet");
        }
    }
}

async fn store(handle: &Handle, brick: &str, levels: &LogLevels) -> Result<(), Error> {
    let set = Action::Set(format!("{LOG}{brick}"), value(levels)?);
    handle.wish(set).await?;
    Ok(())
}
