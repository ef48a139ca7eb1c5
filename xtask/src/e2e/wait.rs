//! Waiting for what takes its time, and saying what was found.

use std::fmt::Display;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Result;

/// How long anything may take: machines that build beside it are slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again and again until something is there.
///
/// # Errors
/// When it is not there in time, or looking fails.
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

/// Says that something has become as it must be.
///
/// # Errors
/// When it does not in time, or looking fails.
pub(super) fn becomes(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result {
    eventually(what, || Ok(is_so()?.then_some(())))?;
    println!("  ok  {what}");
    Ok(())
}

/// Says that something is as it must be.
///
/// # Errors
/// When it is not; the error has what was seen.
pub(super) fn check(what: &str, holds: bool, seen: impl Display) -> Result {
    if !holds {
        return Err(format!("{what}: not so. What was seen:\n{seen}").into());
    }
    println!("  ok  {what}");
    Ok(())
}
