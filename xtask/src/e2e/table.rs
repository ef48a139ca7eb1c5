//! The tables of the databases, as a test looks at them.

use ovsdb::testing::Server;
use serde_json::Value;

use crate::Result;

/// The rows of a table as objects, their columns in the JSON of RFC 7047.
pub(super) fn rows(server: &Server, database: &str, table: &str) -> Result<Vec<Value>> {
    let dump: Value = serde_json::from_str(&server.dump(database, Some(table))?)?;
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
