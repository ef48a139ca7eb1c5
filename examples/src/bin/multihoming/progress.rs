//! A progress bar, if the standard error is a terminal and there is something to wait for.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// No bar is shown for work that takes less than this.
const SHOW_AFTER: Duration = Duration::from_secs(1);

/// The bar, which appears on a terminal after a second.
#[derive(Debug)]
pub(crate) struct Progress {
    begun: Instant,
    bar: Option<ProgressBar>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            bar: None,
        }
    }
}

impl Progress {
    /// Shows how many of all steps are done.
    pub(crate) fn show(&mut self, done: usize, all: usize) {
        if self.bar.is_none() && self.begun.elapsed() < SHOW_AFTER {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let style =
                ProgressStyle::with_template("{bar:40} {pos} of {len} transactions, {eta} left");
            let bar = ProgressBar::new(0);
            match style {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        bar.set_length(all as u64);
        bar.set_position(done as u64);
        if done == all {
            bar.finish_and_clear();
        }
    }
}
