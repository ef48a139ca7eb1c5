//! How a command fails: what it says, and the exit status.

use std::error::Error;
use std::process::ExitCode;

use multihoming::apply::ApplyError;
use multihoming::error::InputError;
use ovsdb::ErrorChain;

use crate::connection::OptionError;

/// Why a command failed: any error. An [`InputError`] or [`OptionError`] ends the program with the
/// status 2.
pub(crate) type Failure = Box<dyn Error>;

/// Tells the user, and gives the exit status.
#[expect(
    clippy::print_stderr,
    reason = "this is where a program says why it failed"
)]
pub(crate) fn report(failure: &Failure) -> ExitCode {
    eprintln!("multihoming: {}", ErrorChain::new(failure.as_ref()));
    let input = failure.is::<InputError>()
        || failure.is::<OptionError>()
        || matches!(failure.downcast_ref(), Some(ApplyError::Input(_)));
    ExitCode::from(if input { 2 } else { 1 })
}
