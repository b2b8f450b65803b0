//! How many instances the requests of a brick need: what was seen of them over a while, and the step that it calls for.
//!
//! What always holds: more are started only after more were needed all the time for `up_after`, and at most as many as
//! there are; one is taken away only after fewer would have done all the time for `down_after`. Requests that nobody
//! could count are no reason to take anything away, nor is a time in which nobody looked. What is in quarantine takes no
//! requests: it counts beside those that they need.

use std::collections::VecDeque;
use std::time::Duration;

use brick_model::Elastic;
use tokio::time::Instant;

/// Looks further apart than this say nothing of the time between them.
const APART_MAX: Duration = Duration::from_secs(5);

/// What was needed at each look.
#[derive(Debug, Default)]
pub(crate) struct Decider {
    needed: VecDeque<(Instant, u32)>,
}

/// One look at a brick.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) at: Instant,
    /// Instances that it has.
    pub(crate) replicas: u32,
    /// Requests a second, of all instances that could be asked.
    pub(crate) rps: f64,
    /// Whether all could be asked.
    pub(crate) whole: bool,
    /// Instances in quarantine.
    pub(crate) aside: u32,
}

/// Another number of instances, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) to: u32,
    pub(crate) why: String,
}

impl Decider {
    /// Takes note of a look; the step that it calls for, where it calls for one.
    pub(crate) fn look(&mut self, rule: &Elastic, look: Look) -> Option<Step> {
        if self
            .needed
            .back()
            .is_some_and(|(at, _)| *at + APART_MAX < look.at)
        {
            self.needed.clear();
        }
        let now = needed(rule, look.rps, look.aside);
        let counted = if look.whole { now } else { now.max(look.replicas) };
        self.needed.push_back((look.at, counted));
        let longest = rule.up_after.0.max(rule.down_after.0);
        // One from before the longest time stays: it shows that all of that time was looked at.
        while self.needed.get(1).is_some_and(|(at, _)| *at + longest <= look.at) {
            self.needed.pop_front();
        }
        let Elastic { target_rps, .. } = *rule;
        let why = |needed: u32, how: &str, over: String| {
            let rps = look.rps.round();
            let aside = match look.aside {
                0 => String::new(),
                aside => format!(", {aside} of them in quarantine"),
            };
            format!(
                "{rps} requests/s at {target_rps} for each instance: {how} {needed} needed for {over}{aside}"
            )
        };
        let lowest = self.over(look.at, rule.up_after.0).map(|(lowest, _)| lowest);
        if let Some(lowest) = lowest.filter(|lowest| *lowest > look.replicas) {
            let to = lowest.min(look.replicas.max(1).saturating_mul(2));
            let why = why(lowest, "at least", rule.up_after.to_string());
            return Some(Step { to, why });
        }
        let highest = self
            .over(look.at, rule.down_after.0)
            .map(|(_, highest)| highest)?;
        // The highest slot would go, and may be the one that somebody looks at.
        if highest < look.replicas && look.aside == 0 {
            let to = look.replicas - 1;
            let why = why(highest, "at most", rule.down_after.to_string());
            return Some(Step { to, why });
        }
        None
    }

    /// The fewest and the most that were needed in this time, where all of it was looked at.
    fn over(&self, now: Instant, time: Duration) -> Option<(u32, u32)> {
        self.needed.front().filter(|(at, _)| *at + time <= now)?;
        let within = self.needed.iter().rev().take_while(|(at, _)| *at + time >= now);
        within.fold(None, |found, (_, needed)| match found {
            None => Some((*needed, *needed)),
            Some((lowest, highest)) => Some((*needed.min(&lowest), *needed.max(&highest))),
        })
    }
}

/// Instances that so many requests need, beside those that take none.
pub(crate) fn needed(rule: &Elastic, rps: f64, aside: u32) -> u32 {
    let wanted = (rps / f64::from(rule.target_rps)).ceil() as u32;
    wanted.saturating_add(aside).clamp(rule.min, rule.max)
}

#[cfg(test)]
mod tests {
    use brick_core::duration::Span;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A brick of 1 to 10 instances for 50 requests a second each, up after 3 s, down after 10 s.
    struct Brick {
        rule: Elastic,
        decider: Decider,
        replicas: u32,
        aside: u32,
    }

    impl Brick {
        fn new(replicas: u32) -> Self {
            let rule = Elastic {
                up_after: Span::from_secs(3),
                down_after: Span::from_secs(10),
                ..Elastic::new(1, 10, 50)
            };
            Self {
                rule,
                decider: Decider::default(),
                replicas,
                aside: 0,
            }
        }

        /// So many requests a second for so many seconds; the numbers of instances that it had on the way.
        async fn under(&mut self, rps: f64, seconds: u32) -> Vec<u32> {
            let mut had = vec![self.replicas];
            for _ in 0..seconds {
                tokio::time::advance(SECOND).await;
                let step = self.see(rps, true);
                if let Some(step) = step {
                    self.replicas = step.to;
                    had.push(step.to);
                }
            }
            had
        }

        fn see(&mut self, rps: f64, whole: bool) -> Option<Step> {
            let look = Look {
                at: Instant::now(),
                replicas: self.replicas,
                rps,
                whole,
                aside: self.aside,
            };
            self.decider.look(&self.rule, look)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn more_are_started_by_doubling_after_they_were_needed_all_the_time() {
        let mut brick = Brick::new(1);
        assert_eq!(brick.under(40.0, 20).await, [1]);
        assert_eq!(brick.under(240.0, 2).await, [1], "not yet");
        assert_eq!(brick.under(240.0, 5).await, [1, 2, 4, 5]);
        assert_eq!(brick.under(5_000.0, 10).await, [5, 10], "never more than max");
    }

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_goes_after_fewer_would_have_done_all_the_time() {
        let mut brick = Brick::new(4);
        assert_eq!(brick.under(190.0, 20).await, [4]);
        assert_eq!(brick.under(60.0, 9).await, [4], "not yet");
        assert_eq!(brick.under(60.0, 10).await, [4, 3, 2]);
        assert_eq!(brick.under(0.0, 30).await, [2, 1], "never fewer than min");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peak_starts_nothing_and_a_lull_ends_nothing() {
        let mut brick = Brick::new(2);
        for _ in 0..20 {
            assert_eq!(brick.under(500.0, 2).await, [2]);
            assert_eq!(brick.under(90.0, 2).await, [2]);
            assert_eq!(brick.under(0.0, 8).await, [2]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_could_count_ends_nothing() {
        let mut brick = Brick::new(4);
        for _ in 0..60 {
            tokio::time::advance(SECOND).await;
            assert_eq!(brick.see(10.0, false), None);
        }
        for _ in 0..9 {
            tokio::time::advance(SECOND).await;
            assert_eq!(brick.see(10.0, true), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_in_which_nobody_looked_ends_nothing() {
        let mut brick = Brick::new(4);
        brick.under(10.0, 5).await;
        tokio::time::advance(SECOND * 60).await;
        assert_eq!(brick.under(10.0, 10).await, [4], "not yet");
        assert_eq!(brick.under(10.0, 1).await, [4, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_quarantine_is_made_up_for_and_stays() {
        let mut brick = Brick::new(2);
        brick.under(90.0, 20).await;
        brick.aside = 1;
        assert_eq!(brick.under(90.0, 5).await, [2, 3]);
        assert_eq!(brick.under(0.0, 60).await, [3]);
        brick.aside = 0;
        assert_eq!(brick.under(0.0, 30).await, [3, 2, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_says_why() {
        let mut brick = Brick::new(1);
        brick.under(120.0, 3).await;
        tokio::time::advance(SECOND).await;
        let why = "120 requests/s at 50 for each instance: at least 3 needed for 3s";
        let step = brick.see(120.0, true).unwrap();
        assert_eq!((step.to, step.why.as_str()), (2, why));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_of_looks_is_bounded_by_the_longest_time() {
        let mut brick = Brick::new(1);
        brick.under(10.0, 500).await;
        assert!(brick.decider.needed.len() <= 12, "{}", brick.decider.needed.len());
    }
}
