//! How a command fails: what it says, and the exit status.

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

use multihoming::apply::ApplyError;
use multihoming::error::InputError;

/// Why a command failed: any error. An [`InputError`] ends the program with the status 2.
pub(crate) type Failure = Box<dyn Error>;

/// Tells the user, and gives the exit status.
#[expect(
    clippy::print_stderr,
    reason = "this is where a program says why it failed"
)]
pub(crate) fn report(failure: &Failure) -> ExitCode {
    let mut text = failure.to_string();
    let mut source = failure.source();
    while let Some(error) = source {
        let more = error.to_string();
        // Some errors say their source's text too.
        if !text.ends_with(&more) {
            let _ = write!(text, ": {more}");
        }
        source = error.source();
    }
    eprintln!("multihoming: {text}");
    let input =
        failure.is::<InputError>() || matches!(failure.downcast_ref(), Some(ApplyError::Input(_)));
    ExitCode::from(if input { 2 } else { 1 })
}
