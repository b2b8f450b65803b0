//! What changed of late: the deltas that Eureka's clients ask for between whole copies of the registry.
//!
//! A client merges a delta into its copy, then compares how many instances of each status it knows with
//! `apps__hashcode`; where they differ it fetches everything. So a delta may tell too much, but a change that happened
//! since the client asked last must be in it: each stays in for three minutes, and clients ask every half.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use brick_core::Incarnation;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::state::{Registered, State};

/// How long a change is told.
const KEPT: Duration = Duration::from_secs(180);
/// Instances that left and are told of at most. Where more did, clients find out by the hash code.
const GONE_MAX: usize = 10_000;

/// What became of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Added,
    Modified,
    Deleted,
}

#[derive(Debug)]
struct Change {
    at: Instant,
    kind: Kind,
    one: Arc<Registered>,
}

/// The changes of the last minutes, of each instance the last.
#[derive(Debug)]
pub(crate) struct Recent(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    /// Grows with every change, over restarts too: it begins with the time.
    version: i64,
    changes: HashMap<Incarnation, Change>,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

impl Recent {
    /// Everything that is there counts as new: who knew it already adds nothing, and who knows more finds that out by
    /// the hash code.
    pub(crate) fn new(state: &State) -> Self {
        let recent = Self(Mutex::new(Inner {
            version: Timestamp::now().as_millisecond(),
            changes: HashMap::new(),
        }));
        recent.follow(&State::default(), state);
        recent
    }

    /// Takes down what changed between two states.
    pub(crate) fn follow(&self, old: &State, new: &State) {
        let inner = &mut *self.0.lock();
        let now = Instant::now();
        inner.changes.retain(|_, change| now < change.at + KEPT);
        let mut change = |kind, one: &Arc<Registered>| {
            let one = Arc::clone(one);
            inner.version += 1;
            inner
                .changes
                .insert(one.instance.incarnation, Change { at: now, kind, one });
        };
        for (incarnation, one) in &new.instances {
            match old.instances.get(incarnation) {
                None => change(Kind::Added, one),
                Some(before) if !Arc::ptr_eq(before, one) => change(Kind::Modified, one),
                Some(_) => {}
            }
        }
        for (incarnation, one) in &old.instances {
            if !new.instances.contains_key(incarnation) {
                change(Kind::Deleted, one);
            }
        }
        let gone = |change: &Change| change.kind == Kind::Deleted;
        let mut too_many = inner
            .changes
            .values()
            .filter(|one| gone(one))
            .count()
            .saturating_sub(GONE_MAX);
        inner.changes.retain(|_, change| {
            let goes = too_many > 0 && gone(change);
            too_many -= usize::from(goes);
            !goes
        });
    }

    /// Version of what is known now.
    pub(super) fn version(&self) -> i64 {
        self.0.lock().version
    }

    /// The changes that are still told, with their version.
    pub(super) fn changes(&self) -> (i64, Vec<(Kind, Arc<Registered>)>) {
        let inner = self.0.lock();
        let now = Instant::now();
        let told = inner.changes.values().filter(|change| now < change.at + KEPT);
        let told = told.map(|change| (change.kind, Arc::clone(&change.one)));
        (inner.version, told.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::tests::registered;

    fn kinds(recent: &Recent) -> Vec<Kind> {
        recent.changes().1.into_iter().map(|(kind, _)| kind).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_for_three_minutes_and_replaces_the_one_before() {
        let one = Arc::new(registered("stock", 1, Incarnation::new()));
        let empty = State::default();
        let mut with = State::default();
        with.instances.insert(one.instance.incarnation, Arc::clone(&one));
        let recent = Recent::new(&empty);
        assert!(kinds(&recent).is_empty());
        let first = recent.version();
        recent.follow(&empty, &with);
        assert_eq!(kinds(&recent), [Kind::Added]);
        let mut other = State::clone(&with);
        let changed = Registered {
            ready: false,
            ..Registered::clone(&one)
        };
        other
            .instances
            .insert(one.instance.incarnation, Arc::new(changed));
        recent.follow(&with, &other);
        assert_eq!(kinds(&recent), [Kind::Modified]);
        recent.follow(&other, &other.clone());
        assert_eq!(recent.version(), first + 2);
        recent.follow(&other, &empty);
        assert_eq!(kinds(&recent), [Kind::Deleted]);
        tokio::time::advance(KEPT).await;
        assert!(kinds(&recent).is_empty());
        assert_eq!(recent.version(), first + 3);
        // After a restart everything is told as new.
        assert_eq!(kinds(&Recent::new(&with)), [Kind::Added]);
    }
}
