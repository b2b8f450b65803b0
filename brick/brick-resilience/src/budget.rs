//! The retry budget: further tries as a share of all calls.
//!
//! Each call adds its share, each further try takes a whole one. A new budget has ten, so of N calls there come at most
//! `share * N + 10` further tries, however long and however badly the callee fails. A hundred can be saved up: what was
//! under way at an instance that dies is tried elsewhere, all of it at once.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Further tries that can be saved up.
pub const SAVED_MAX: u32 = 100;
/// Further tries of a new budget.
pub const SAVED_FIRST: u32 = 10;
const WHOLE: u32 = 1_000;

/// The budget of one edge, in thousandths of a try.
#[derive(Debug)]
pub struct Budget(AtomicU32);

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicU32::new(SAVED_FIRST * WHOLE))
    }
}

impl Budget {
    /// A call is made: adds its share, in thousandths of a try.
    pub fn deposit(&self, share_milli: u32) {
        let full = SAVED_MAX * WHOLE;
        // The common case, a callee that is well, writes nothing.
        if self.0.load(Relaxed) < full {
            let _ = self.0.fetch_update(Relaxed, Relaxed, |saved| {
                Some(saved.saturating_add(share_milli).min(full))
            });
        }
    }

    /// Takes one further try; false where none is left.
    pub fn withdraw(&self) -> bool {
        let taken = self
            .0
            .fetch_update(Relaxed, Relaxed, |saved| saved.checked_sub(WHOLE));
        taken.is_ok()
    }

    /// Gives one back that was not used after all.
    pub fn give_back(&self) {
        self.deposit(WHOLE);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn further_tries_never_exceed_the_share_and_what_was_saved(
            share in 0_u32..=1_000,
            steps in prop::collection::vec(any::<bool>(), 0..2_000),
        ) {
            let budget = Budget::default();
            let (mut calls, mut tries) = (0_u64, 0_u64);
            for call in steps {
                if call {
                    calls += 1;
                    budget.deposit(share);
                } else if budget.withdraw() {
                    tries += 1;
                }
                prop_assert!(tries * 1_000 <= calls * u64::from(share) + u64::from(SAVED_FIRST) * 1_000);
            }
        }
    }

    #[test]
    fn threads_together_stay_within_the_budget() {
        let budget = Budget::default();
        let tries: u32 = std::thread::scope(|scope| {
            let one = || {
                let mut taken = 0;
                for _ in 0..10_000 {
                    budget.deposit(200);
                    taken += u32::from(budget.withdraw());
                }
                taken
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert!((7_900..=8_010).contains(&tries), "{tries}");
    }
}
