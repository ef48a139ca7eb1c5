//! How the server's schema, which may be older or newer, differs from the compiled tables.

use std::fmt;

use ovsdb_schema::DatabaseSchema;

use crate::protocol::Clause;
use crate::value::Str;

/// One difference between the server's schema and the tables and columns that the program was compiled
/// with, or that it requested by name.
///
/// ```
/// use ovsdb::Skew;
///
/// let skew = Skew::MissingColumn { table: "Bridge".into(), column: "tag".into() };
/// assert_eq!(skew.to_string(), "no column Bridge.tag");
/// assert!(skew.reads_default());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Skew {
    /// The server's schema has no such table: the table is empty in the replica.
    MissingTable {
        /// The table.
        table: Str,
    },
    /// The server's table has no such column. A compiled column reads as its default; rows of a table
    /// known at run time only lack the column.
    MissingColumn {
        /// The table.
        table: Str,
        /// The column.
        column: Str,
    },
    /// The column is of another type: it reads as its default.
    OtherType {
        /// The table.
        table: Str,
        /// The column.
        column: Str,
        /// The compiled type.
        compiled: String,
        /// The server's type.
        server: String,
    },
    /// The server's column holds exactly one value, or at most one, where the compiled type can hold
    /// none or several. All its values can be read. A value with another number of elements is refused
    /// before it is sent ([`BuildError::Count`](crate::transaction::BuildError::Count)).
    Narrower {
        /// The table.
        table: Str,
        /// The column.
        column: Str,
        /// The compiled type.
        compiled: String,
        /// The server's type.
        server: String,
    },
    /// The table's condition needs a column that the server lacks: the cache cannot be started, or
    /// cannot be started again; see [`Cache::monitor_error`](crate::Cache::monitor_error).
    Condition {
        /// The table.
        table: Str,
        /// The column.
        column: Str,
    },
}

impl Skew {
    /// Whether the replica cannot have what the program uses: the server lacks the table or the column,
    /// or the column has another type there. Also true for [`Condition`](Self::Condition).
    #[must_use]
    pub const fn reads_default(&self) -> bool {
        !matches!(self, Self::Narrower { .. })
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingTable { table } => write!(f, "no table {table}"),
            Self::MissingColumn { table, column } => write!(f, "no column {table}.{column}"),
            Self::OtherType {
                table,
                column,
                compiled,
                server,
            } => {
                write!(f, "column {table}.{column} is {server}, not {compiled}")
            }
            Self::Narrower {
                table,
                column,
                compiled,
                server,
            } => write!(
                f,
                "column {table}.{column} is {server}; {compiled} can hold each of its values"
            ),
            Self::Condition { table, column } => {
                write!(f, "no column {table}.{column} for the condition")
            }
        }
    }
}

/// How the server's schema differs from the tables that the program was compiled with, or that it
/// requested by name.
///
/// Tables and columns that only the server has are not reported: they are not requested.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
/// # let cache = client.cache().table::<ovsdb::nb::LogicalSwitch>().start().await?;
/// let skew = cache.skew();
/// if !skew.is_complete() {
///     println!("the server has the schema {:?}", skew.server_version);
///     for difference in &skew.differences {
///         println!("{difference}");
///     }
/// }
/// # assert!(skew.is_complete());
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SkewReport {
    /// The version of the server's schema.
    pub server_version: Option<String>,
    /// The version of the compiled schema.
    pub compiled_version: Option<String>,
    /// The differences.
    pub differences: Vec<Skew>,
}

impl SkewReport {
    /// Whether there is no difference.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.differences.is_empty()
    }

    /// Whether every table and column that the program uses is read from the server, so that none reads
    /// as its default.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.differences.iter().any(Skew::reads_default)
    }

    /// Logs the differences.
    pub(crate) fn log(&self, database: &str) {
        if !self.is_complete() {
            tracing::warn!(database, skew = %self, "the server's schema differs");
        } else if !self.is_empty() {
            tracing::info!(database, skew = %self, "the server's schema differs");
        }
    }
}

impl fmt::Display for SkewReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "?".to_owned());
        let server = version(&self.server_version);
        let compiled = match &self.compiled_version {
            Some(version) => format!("the compiled {version}"),
            None => "the request".to_owned(),
        };
        if self.is_empty() {
            return write!(
                f,
                "the server's schema {server} has every table and column of {compiled}"
            );
        }
        write!(f, "the server's schema {server} differs from {compiled}:")?;
        for (at, skew) in self.differences.iter().enumerate() {
            write!(f, "{} {skew}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// Reports the columns that a table's condition needs and the server's table lacks. Where the server
/// lacks the whole table, nothing is requested.
pub(super) fn check_condition(
    table: &Str,
    condition: &[Clause],
    schema: &DatabaseSchema,
    report: &mut SkewReport,
) {
    let Some(server) = schema.tables.get(table.as_str()) else {
        return;
    };
    for clause in condition {
        let Clause::Compare { column, .. } = clause else {
            continue;
        };
        let skew = Skew::Condition {
            table: table.clone(),
            column: column.clone(),
        };
        // Names that begin with `_` are columns that every table has, without being in the schema.
        if !column.starts_with('_')
            && !server.columns.contains_key(&**column)
            && !report.differences.contains(&skew)
        {
            report.differences.push(skew);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_whether_anything_differs() {
        let mut report = SkewReport {
            server_version: Some("7.0.0".to_owned()),
            compiled_version: Some("7.1.0".to_owned()),
            differences: Vec::new(),
        };
        assert_eq!(
            report.to_string(),
            "the server's schema 7.0.0 has every table and column of the compiled 7.1.0"
        );
        let (table, column) = (Str::from("T"), Str::from("c"));
        let other = Str::from("U");
        report.differences.push(Skew::MissingTable { table: other });
        report
            .differences
            .push(Skew::MissingColumn { table, column });
        assert_eq!(
            report.to_string(),
            "the server's schema 7.0.0 differs from the compiled 7.1.0: no table U, no column T.c"
        );
    }
}
