//! An error with all its causes, as one line.

use std::error::Error;
use std::fmt;

/// Shows an error and its sources, from the outermost to the root cause, separated by `: `.
///
/// The messages of this library's errors say only what the error knows itself, and leave the rest to
/// [`Error::source`]: printed alone, "cannot connect to tcp:192.0.2.1:6641" does not tell why. A cause
/// is never part of a message, so nothing is printed twice. [`tracing`] events show errors in this way.
///
/// ```
/// use ovsdb::ErrorChain;
/// # #[cfg(feature = "nb")] #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let remote = "unix:/nowhere/db.sock";
/// let connected = ovsdb::nb::Client::builder().remotes(remote).connect().await;
/// let error = connected.expect_err("there is no such socket");
/// assert_eq!(
///     ErrorChain::new(&error).to_string(),
///     "cannot connect to unix:/nowhere/db.sock: No such file or directory (os error 2)"
/// );
/// # }
/// # #[cfg(not(feature = "nb"))] fn main() {}
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ErrorChain<'a> {
    error: &'a (dyn Error + 'static),
}

impl<'a> ErrorChain<'a> {
    /// Shows this error and its sources.
    #[must_use]
    pub const fn new(error: &'a (dyn Error + 'static)) -> Self {
        Self { error }
    }
}

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        let mut source = self.error.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
