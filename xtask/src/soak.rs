//! `cargo xtask soak`: caches and writers on a real cluster whose leader hands over and whose members are
//! killed.

use crate::Result;
use crate::command::{cargo, command, run};
use crate::packages;

/// The options of the program.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Options of the soak program, such as `--minutes 2 --rows 5000 --peers`; `--help` after `--` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn soak(arguments: &Arguments) -> Result {
    packages::ensure(packages::DATABASE)?;
    let mut all = vec!["run", "--release", "--package=ovsdb-benches", "--bin=soak"];
    all.extend(["--locked", "--quiet", "--"]);
    all.extend(arguments.arguments.iter().map(String::as_str));
    run(&mut command(&cargo(), &all))
}
