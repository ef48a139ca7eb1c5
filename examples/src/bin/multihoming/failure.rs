//! How a command reports its failure, and the exit status.

use std::error::Error;
use std::process::ExitCode;

use multihoming::apply::ApplyError;
use multihoming::error::InputError;
use multihoming::report::{Report, Warning};
use ovsdb::ErrorChain;

use crate::connection::OptionError;

/// Why a command failed: any error. An [`InputError`] or [`OptionError`] ends the program with the
/// status 2.
pub(crate) type Failure = Box<dyn Error>;

/// Prints the failure, and returns the exit status.
#[expect(clippy::print_stderr, reason = "a program prints why it failed")]
pub(crate) fn report(failure: &Failure) -> ExitCode {
    eprintln!("multihoming: {}", ErrorChain::new(failure.as_ref()));
    let input = failure.is::<InputError>()
        || failure.is::<OptionError>()
        || matches!(failure.downcast_ref(), Some(ApplyError::Input(_)));
    ExitCode::from(if input { 2 } else { 1 })
}

/// Reports what was left out and what may not have been intended. Returns the exit status of a command
/// that did everything else.
#[expect(clippy::print_stderr, reason = "a program prints what it left out")]
#[must_use]
pub(crate) fn tell(refused: &[InputError], warnings: &[Warning]) -> ExitCode {
    for warning in warnings {
        eprintln!("multihoming: warning: {warning}");
    }
    for wrong in refused {
        eprintln!("multihoming: {wrong}");
    }
    ExitCode::from(if refused.is_empty() { 0 } else { 2 })
}

/// Reports a further problem.
#[expect(clippy::print_stderr, reason = "a program prints what else failed")]
pub(crate) fn warn(what: &str, failure: &Failure) {
    eprintln!(
        "multihoming: warning: {what}: {}",
        ErrorChain::new(failure.as_ref())
    );
}

/// Like [`tell`]; also reports objects of kinds that are not used.
#[expect(clippy::print_stderr, reason = "a program prints what it left out")]
pub(crate) fn tell_report(report: &Report) -> ExitCode {
    for (kind, count) in &report.passed_over {
        eprintln!("multihoming: ignored: {count} {kind}");
    }
    tell(&report.refused, &report.warnings)
}

/// The worse of two statuses, neither of which is a failure of the program itself.
pub(crate) fn worse(one: ExitCode, other: ExitCode) -> ExitCode {
    if one == ExitCode::SUCCESS { other } else { one }
}
