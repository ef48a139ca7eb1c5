//! The databases that the command line names.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ovsdb::schema::{BUNDLED, bundled};

use super::Failure;

/// Where a database comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// An empty one with this schema.
    Memory { schema: String },
    /// A file.
    File { path: PathBuf },
    /// A file, created with this schema unless it exists.
    Create { path: PathBuf, schema: String },
}

impl Source {
    /// Reads one of the program's arguments.
    pub(super) fn new(argument: &str, no_file: bool) -> Result<Self, Failure> {
        if no_file {
            let schema = read_schema(argument)?;
            return Ok(Self::Memory { schema });
        }
        // An existing file whose name contains `=` is served as it is.
        if !Path::new(argument).exists()
            && let Some((path, schema)) = argument.rsplit_once('=')
        {
            let (path, schema) = (path.into(), read_schema(schema)?);
            return Ok(Self::Create { path, schema });
        }
        let path = PathBuf::from(argument);
        match is_schema(&path) {
            Ok(true) => Err(format!(
                "{argument} is a schema, not a database; `FILE={argument}` makes a database file with it, \
                 `--no-file {argument}` serves it in memory"
            )
            .into()),
            Ok(false) => Ok(Self::File { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(format!(
                "there is no file {argument}; `{argument}=SCHEMA` makes a database with a schema"
            )
            .into()),
            Err(error) => Err(format!("{argument} cannot be read: {error}").into()),
        }
    }
}

/// A schema is JSON, while a database file begins with `OVSDB`.
fn is_schema(path: &Path) -> io::Result<bool> {
    let mut first = [0; 64];
    let count = File::open(path)?.read(&mut first)?;
    let text = first.get(..count).unwrap_or_default().trim_ascii_start();
    Ok(text.starts_with(b"{"))
}

/// The schema with this name, or in this file.
fn read_schema(name: &str) -> Result<String, Failure> {
    if let Some(schema) = bundled(name) {
        return Ok(schema.to_owned());
    }
    fs::read_to_string(name).map_err(|error| {
        let known = BUNDLED.join(", ");
        format!("schema {name}: {error}; it is neither a readable file nor one of {known}").into()
    })
}
