//! Count, errors and a sparse log-linear histogram: sixteen steps an octave, so a quantile is off by at most 3 %.

/// What one slot knows of one service or edge.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    count: u64,
    errors: u64,
    /// Of both: what the caller itself did not let go.
    held: u64,
    /// Step and count, sorted by step.
    steps: Vec<(u16, u32)>,
}

const STEPS: u64 = 16;

fn step(micros: u64) -> u16 {
    if micros < STEPS {
        return micros.try_into().unwrap_or(0);
    }
    let octave = micros.ilog2() - 4;
    let within = (micros >> octave) - STEPS;
    u16::try_from(STEPS + u64::from(octave) * STEPS + within).unwrap_or(u16::MAX)
}

/// The middle of a step.
#[expect(clippy::cast_precision_loss, reason = "microseconds below 2^53")]
fn micros(step: u16) -> f64 {
    let step = u64::from(step);
    if step < STEPS {
        return step as f64;
    }
    let (octave, within) = ((step - STEPS) / STEPS, (step - STEPS) % STEPS);
    let width = 2_f64.powi(i32::try_from(octave).unwrap_or(0));
    ((STEPS + within) as f64 + 0.5) * width
}

impl Cell {
    pub(super) fn add(&mut self, micros: u64, error: bool) {
        self.count += 1;
        self.errors += u64::from(error);
        self.put(step(micros), 1);
    }

    /// One of those that were added as errors was never sent.
    pub(super) fn hold(&mut self) {
        self.held += 1;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.errors += other.errors;
        self.held += other.held;
        for (step, count) in &other.steps {
            self.put(*step, *count);
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Calls that went out.
    pub(super) fn sent(&self) -> u64 {
        self.count.saturating_sub(self.held)
    }

    /// Calls that went out and failed.
    pub(super) fn sent_errors(&self) -> u64 {
        self.errors.saturating_sub(self.held)
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    pub(super) fn error_rate(&self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.errors as f64 / self.count as f64
        }
    }

    /// The duration that the share `quantile` of the calls did not exceed; 0 without calls.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts are small and positive"
    )]
    pub(super) fn quantile_ms(&self, quantile: f64) -> f64 {
        let rank = ((self.count as f64 * quantile).ceil() as u64).max(1);
        let mut below = 0;
        for (step, count) in &self.steps {
            below += u64::from(*count);
            if below >= rank {
                return micros(*step) / 1_000.0;
            }
        }
        0.0
    }

    fn put(&mut self, step: u16, count: u32) {
        match self.steps.binary_search_by_key(&step, |(known, _)| *known) {
            Ok(at) => {
                if let Some((_, known)) = self.steps.get_mut(at) {
                    *known = known.saturating_add(count);
                }
            }
            Err(at) => self.steps.insert(at, (step, count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_of_known_durations_are_found() {
        let mut cell = Cell::default();
        for ms in 1..=100 {
            cell.add(ms * 1_000, ms > 90);
        }
        assert!(
            (cell.quantile_ms(0.5) - 50.0).abs() < 2.0,
            "{}",
            cell.quantile_ms(0.5)
        );
        assert!(
            (cell.quantile_ms(0.99) - 99.0).abs() < 3.0,
            "{}",
            cell.quantile_ms(0.99)
        );
        assert!((cell.error_rate() - 0.1).abs() < 1e-9);
        assert!(Cell::default().quantile_ms(0.99).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn a_step_is_never_off_by_more_than_a_thirtieth(value in 0_u64..1 << 50) {
            let told = micros(step(value));
            prop_assert!((told - value as f64).abs() <= (value as f64 / 30.0).max(0.5), "{value} told as {told}");
        }
    }
}
