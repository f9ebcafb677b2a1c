//! How long to wait before the next attempt.

use std::time::Duration;

use rand::Rng;

use crate::limits::{BACKOFF_FIRST, BACKOFF_MAX};

/// The pause after failed attempt `attempt` (from 0): doubles up to a maximum, then anything from half of it to all.
pub fn backoff(attempt: u32, random: &mut impl Rng) -> Duration {
    let full = BACKOFF_FIRST.saturating_mul(2u32.saturating_pow(attempt.min(16))).min(BACKOFF_MAX);
    full.mul_f64(random.random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn pauses_grow_to_the_maximum_and_stay_above_half_of_it() {
        let mut random = StdRng::seed_from_u64(7);

        let pauses: Vec<_> = (0..40).map(|attempt| backoff(attempt, &mut random)).collect();

        assert!(pauses[0] <= BACKOFF_FIRST && pauses[0] >= BACKOFF_FIRST / 2);
        assert!(pauses[10..].iter().all(|pause| (BACKOFF_MAX / 2..=BACKOFF_MAX).contains(pause)));
    }

    #[test]
    fn the_same_random_numbers_give_the_same_pause() {
        let pause = |seed| backoff(3, &mut StdRng::seed_from_u64(seed));

        assert_eq!(pause(1), pause(1));
        assert_ne!(pause(1), pause(2));
    }
}
