//! The random seeds of tests. On failure a test prints its seed; `OVSDB_TEST_SEED=N` reproduces it.

use std::sync::atomic::{AtomicU64, Ordering};

/// A random seed, which is printed when the test fails.
#[derive(Debug)]
pub struct Seed {
    seed: u64,
    drawn: AtomicU64,
}

impl Seed {
    pub fn new() -> Self {
        let seed = match std::env::var("OVSDB_TEST_SEED") {
            Ok(text) => text.parse().expect("OVSDB_TEST_SEED is a number"),
            Err(_) => fastrand::u64(..),
        };
        Self {
            seed,
            drawn: AtomicU64::new(0),
        }
    }

    /// The next number, the same for the same seed.
    pub fn draw(&self) -> u64 {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        self.seed
            .wrapping_add(drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A separate random generator.
    pub fn random(&self) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.draw())
    }
}

impl Drop for Seed {
    #[allow(clippy::print_stderr, reason = "a reader of the failure needs it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to reproduce this run: OVSDB_TEST_SEED={}", self.seed);
        }
    }
}
