//! `ovsdb-inspect`: databases, tables, rows and changes of any OVSDB server.
//!
//! No schema is compiled in: the server reports its tables and types.

mod condition;
mod show;

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ovsdb::model::{AnyOf, AnyTable};
use ovsdb::schema::nearest;
use ovsdb::{AnyDatabase, CacheBuilder, Client, ErrorChain, TlsConfig};
use serde_json::{Map, Value, json};

/// Shows what an OVSDB server holds: its databases, the tables of one, or the rows of a table.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The server: `unix:PATH`, `tcp:HOST:PORT` or `ssl:HOST:PORT`; several separated by commas
    remote: String,
    /// The database; without it the databases are listed
    database: Option<String>,
    /// The table; without it the tables are listed with their numbers of rows
    table: Option<String>,
    /// Only rows that meet this condition; if it is given several times, any of them. It has a column,
    /// one of `==`, `!=`, `<`, `<=`, `>`, `>=`, `includes`, `excludes`, and a value such as `3`, `a,b`
    /// or `key=value`
    #[arg(long = "where", value_name = "CONDITION", requires = "table")]
    conditions: Vec<String>,
    /// Only these columns, separated by commas
    #[arg(long, value_delimiter = ',', requires = "table")]
    columns: Vec<String>,
    /// Follow the changes of the table, or of all tables, until interrupted
    #[arg(long, requires = "database")]
    watch: bool,
    /// Print JSON: one document, or with --watch one for each change, on a line of its own
    #[arg(long)]
    json: bool,
    /// A PEM file with the certificate of the authority that signed the server's, for `ssl:`
    #[arg(short = 'C', long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// A PEM file with the private key, for `ssl:`
    #[arg(short = 'p', long, value_name = "FILE", requires = "certificate")]
    private_key: Option<PathBuf>,
    /// A PEM file with the certificate of the private key
    #[arg(short = 'c', long, value_name = "FILE", requires = "private_key")]
    certificate: Option<PathBuf>,
}

type Failure = Box<dyn Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // `anstream` removes colours if the output is not a terminal, or NO_COLOR is set.
    match run(&Arguments::parse(), &mut anstream::stdout()).await {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of the output has closed it.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let error = ErrorChain::new(error.as_ref());
            let _ = writeln!(anstream::stderr(), "ovsdb-inspect: {error}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &Failure) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

async fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    // Without a database name, this is a client of `_Server`, in which the server describes itself.
    let server = connect(arguments, None).await?;
    let databases = server.databases().await?;
    let Some(name) = &arguments.database else {
        return Ok(show::databases(&databases, arguments.json, out)?);
    };
    let names = || databases.iter().map(|database| &*database.name);
    if !names().any(|known| known == name) {
        let hint = nearest(name, names()).map(|name| format!("; did you mean `{name}`?"));
        let known: Vec<_> = names().collect();
        let (hint, known) = (hint.unwrap_or_default(), known.join(", "));
        return Err(format!("the server has no database {name:?}; it has {known}{hint}").into());
    }
    let client = connect(arguments, Some(name)).await?;
    if arguments.watch {
        return watch(tables(&client, arguments)?, arguments.json, out).await;
    }
    let view = tables(&client, arguments)?.start().await?.snapshot();
    let Some(table) = &arguments.table else {
        let rows = |table| view.any_rows(table).map_or(0, |rows| rows.len());
        let counts = view.table_names().map(|table| (table, rows(table)));
        return Ok(show::counts(counts.collect(), arguments.json, out)?);
    };
    let mut rows: Vec<_> = view.any_rows(table).into_iter().flatten().collect();
    rows.sort_by_key(|row| row.uuid());
    Ok(show::rows(&rows, arguments.json, out)?)
}

async fn connect(
    arguments: &Arguments,
    database: Option<&str>,
) -> Result<Client<AnyDatabase>, Failure> {
    let mut client = Client::builder().remotes(&*arguments.remote);
    if let Some(database) = database {
        client = client.database(database);
    }
    if let Some(authority) = &arguments.ca_cert {
        let mut tls = TlsConfig::builder().ca_file(authority).verify_name(false);
        if let (Some(certificate), Some(key)) = (&arguments.certificate, &arguments.private_key) {
            tls = tls.client_files(certificate, key);
        }
        client = client.tls(tls.build()?);
    }
    Ok(client.connect().await?)
}

/// The tables, columns and rows that the arguments select.
fn tables(
    client: &Client<AnyDatabase>,
    arguments: &Arguments,
) -> Result<CacheBuilder<AnyDatabase>, Failure> {
    let (schema, mut cache) = (client.server_schema(), client.cache());
    let Some(table) = &arguments.table else {
        if arguments.watch {
            return Ok(cache.any_tables());
        }
        // Counting needs rows, but none of their columns.
        for table in schema.tables.keys() {
            cache = cache.any_columns(table, [""; 0]);
        }
        return Ok(cache);
    };
    cache = cache.any_table(table);
    if !arguments.conditions.is_empty() {
        let columns = schema.tables.get(table).map(|table| &table.columns);
        let mut rows = AnyOf::<AnyTable>::none();
        for text in &arguments.conditions {
            rows = rows.or(condition::parse(text, columns)?);
        }
        cache = cache.any_table_where(table, rows);
    }
    if !arguments.columns.is_empty() {
        cache = cache.any_columns(table, &arguments.columns);
    }
    Ok(cache)
}

/// Prints the rows, then their changes. Changes made while there was no connection are printed combined,
/// once it is back.
async fn watch(
    cache: CacheBuilder<AnyDatabase>,
    json: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mut changes = cache.start().await?.all_changes();
    while let Some(batch) = changes.next().await {
        if batch.kind().is_schema_change() {
            show::schema_change(json, out)?;
        }
        for change in batch.all() {
            show::change(&change, batch.kind().is_start(), json, out)?;
        }
        out.flush()?;
    }
    Ok(())
}

/// A JSON document of these members.
fn object<'a>(members: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let members = members.into_iter();
    json!(
        members
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<Map<_, _>>()
    )
}
