//! The switches of mutants, in the copy of the library that `cargo xtask mutants` made. At most one is
//! on.

use std::io::Write;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The mutant that is switched on in this process.
static SWITCHED_ON: LazyLock<usize> = LazyLock::new(|| {
    let number = std::env::var("OVSDB_MUTANT");
    number.ok().and_then(|number| number.parse().ok()).unwrap_or(usize::MAX)
});

/// The file to which this process writes the number of each switch that it reaches.
static RECORD: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("OVSDB_MUTANT_RECORD").ok());

static REACHED: [AtomicBool; NUMBER_OF_MUTANTS] = [const { AtomicBool::new(false) }; NUMBER_OF_MUTANTS];

/// Whether this mutant is switched on in this process.
pub(crate) fn on(number: usize) -> bool {
    if let Some(record) = &*RECORD
        && let Some(reached) = REACHED.get(number)
        && !reached.swap(true, Ordering::Relaxed)
    {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(record);
        if let Ok(mut file) = file {
            let _ = file.write_all(format!("{number}\n").as_bytes());
        }
    }
    *SWITCHED_ON == number
}
