//! Waits for conditions, and prints what was found.

use std::fmt::Display;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Result;

/// The time limit for everything: machines that compile at the same time are slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks repeatedly until something is found.
///
/// # Errors
/// When it is not found in time, or looking fails.
pub(super) fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            let seconds = PATIENCE.as_secs();
            return Err(format!("waited {seconds} s in vain for {what}").into());
        }
        sleep(Duration::from_millis(50));
    }
}

/// Waits until a value is as it must be, and prints that.
///
/// # Errors
/// When it is not in time, or looking fails.
pub(super) fn becomes(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result {
    eventually(what, || Ok(is_so()?.then_some(())))?;
    println!("  ok  {what}");
    Ok(())
}

/// Checks that a value is as it must be, and prints that.
///
/// # Errors
/// When it is not; the error contains the value.
pub(super) fn check(what: &str, holds: bool, seen: impl Display) -> Result {
    if !holds {
        return Err(format!("{what}: not so. What was seen:\n{seen}").into());
    }
    println!("  ok  {what}");
    Ok(())
}
