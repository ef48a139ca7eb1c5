//! Reads tables of the databases, for tests.

use serde_json::Value;

use super::database::Databases;
use crate::Result;

/// The rows of a table as objects, their columns in the JSON of RFC 7047.
pub(super) fn rows(databases: &Databases, database: &str, table: &str) -> Result<Vec<Value>> {
    let dump: Value = serde_json::from_str(&databases.dump(database, table)?)?;
    let list = |name: &str| dump[name].as_array().cloned().unwrap_or_default();
    let headings = list("headings");
    let rows = list("data").into_iter().map(|row| {
        let columns = headings.iter().zip(row.as_array().into_iter().flatten());
        let columns = columns.map(|(name, value)| {
            let name = name.as_str().unwrap_or_default().to_owned();
            (name, value.clone())
        });
        Value::Object(columns.collect())
    });
    Ok(rows.collect())
}
