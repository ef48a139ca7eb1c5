//! Runs programs and waits for them. A program that fails is an error, except in [`attempt`].

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::Result;

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().map_or(xtask.clone(), PathBuf::from)
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// A program that runs in the workspace's folder.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    // `cargo run` sets these variables for this program. The build script of ring depends on them: if cargo ran with
    // them once and without them the next time, ring and everything that depends on it would be built again.
    for (name, _) in std::env::vars_os() {
        let of_cargo = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if of_cargo {
            command.env_remove(name);
        }
    }
    command
}

/// Shows the command and runs it.
pub(crate) fn run(command: &mut Command) -> Result {
    let shown = shown(command);
    println!("\n$ {shown}");
    let status = command
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("`{shown}` cannot be run: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("`{shown}` failed: {status}").into())
}

/// cargo with these arguments, separated by blanks.
pub(crate) fn cargo_command(arguments: &str) -> Command {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    command(&cargo(), &arguments)
}

/// Shows the command, and runs cargo with these arguments, separated by blanks.
pub(crate) fn run_cargo(arguments: &str) -> Result {
    run(&mut cargo_command(arguments))
}

/// Runs a program. Returns its standard output.
///
/// # Errors
/// When it cannot be run, or fails. The error contains the command and its output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let (succeeded, text) = attempt(command)?;
    if succeeded {
        return Ok(text);
    }
    Err(format!("{command:?} failed: {}", text.trim()).into())
}

/// Runs a program. Returns what it printed to standard output and standard error.
///
/// # Errors
/// When it cannot be run, or fails. The error contains the command and its output.
pub(crate) fn all_output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{command:?} cannot be run: {error}"))?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text += &String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Ok(text);
    }
    Err(format!("`{}` failed: {}", shown(command), text.trim()).into())
}

/// Runs a program that may fail. Returns whether it succeeded, and its standard output; if it failed, with its
/// standard error.
///
/// # Errors
/// When it cannot be run.
pub(crate) fn attempt(command: &mut Command) -> Result<(bool, String)> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{command:?} cannot be run: {error}"))?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        text.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    Ok((output.status.success(), text))
}

fn shown(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let program = program.rsplit('/').next().unwrap_or_default();
    let mut shown = program.to_owned();
    for argument in command.get_args() {
        shown.push(' ');
        shown += &argument.to_string_lossy();
    }
    shown
}
