//! One resource that is looked at for every request: its limits, its endpoints.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::{Resource, Watch};

/// Follows one resource and says when it became another.
#[derive(Debug)]
pub struct Follower {
    watch: Watch,
    name: String,
    /// Version of the watch that was looked at last.
    seen: AtomicU64,
    held: Mutex<Option<Arc<Resource>>>,
}

impl Follower {
    /// Follows the resource of this name, which counts as absent until [`refresh`](Self::refresh) finds it.
    pub fn new(watch: Watch, name: String) -> Self {
        Self {
            watch,
            name,
            seen: AtomicU64::new(u64::MAX),
            held: Mutex::default(),
        }
    }

    /// The resource's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it comes from.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Hands the resource to `adopt` where it was put or removed since the last time; none is one that was removed.
    /// One atomic load where nothing on the bus changed. One caller adopts at a time; others wait for it.
    pub fn refresh(&self, adopt: impl FnOnce(Option<&Resource>)) {
        // Read before the state: a change in between is seen by the next call.
        let version = self.watch.version();
        if self.seen.load(Ordering::Acquire) == version {
            return;
        }
        let mut held = self.held.lock().unwrap_or_else(|e| e.into_inner());
        let current = self.watch.get(&self.name);
        if current.as_ref().map(Arc::as_ptr) != held.as_ref().map(Arc::as_ptr) {
            adopt(current.as_deref());
            *held = current;
        }
        self.seen.store(version, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Change, watch};

    #[test]
    fn a_resource_is_adopted_once_for_each_change_of_it() {
        let (mut publisher, watch) = watch::channel();
        let follower = Follower::new(watch, "limits/a->b".to_owned());
        let adopted = || {
            let mut adopted = None;
            follower.refresh(|resource| adopted = Some(resource.map(|resource| resource.revision)));
            adopted
        };
        let put = |name: &str, revision| {
            let (name, value) = (name.to_owned(), json!(1));
            Change::Put(Resource {
                name,
                revision,
                value,
            })
        };
        assert_eq!(adopted(), None);
        publisher.apply(put("limits/a->b", 1), None);
        assert_eq!((adopted(), adopted()), (Some(Some(1)), None));
        publisher.apply(put("limits/a->c", 2), None);
        assert_eq!(adopted(), None);
        let (name, revision) = (follower.name().to_owned(), 3);
        publisher.apply(Change::Delete { name, revision }, None);
        assert_eq!((adopted(), adopted()), (Some(None), None));
    }
}
