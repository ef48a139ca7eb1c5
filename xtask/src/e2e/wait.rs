//! Waits for conditions, checks them, and prints those that hold.

use std::fmt::Display;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Result;

/// The time limit of each wait. It is long, because a machine that compiles at the same time is slow.
const LIMIT: Duration = Duration::from_secs(60);

/// Looks repeatedly until something is found.
///
/// # Errors
/// When it is not found in time, or looking fails.
pub(super) fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            let seconds = LIMIT.as_secs();
            return Err(format!("waited {seconds} s for {what}, without success").into());
        }
        sleep(Duration::from_millis(50));
    }
}

/// Waits until a condition holds, and prints that it does.
///
/// # Errors
/// When it does not hold in time, or checking it fails.
pub(super) fn becomes(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result {
    eventually(what, || Ok(is_so()?.then_some(())))?;
    println!("  ok  {what}");
    Ok(())
}

/// Checks that a condition holds, and prints that it does.
///
/// # Errors
/// When it does not hold; the error contains what was seen.
pub(super) fn check(what: &str, holds: bool, seen: impl Display) -> Result {
    if !holds {
        return Err(format!("this does not hold: {what}. What was seen:\n{seen}").into());
    }
    println!("  ok  {what}");
    Ok(())
}
