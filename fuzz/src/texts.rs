//! The fuzz targets `schemas` and `remotes`: texts that people write.

#![allow(unreachable_pub, reason = "a module of two crates")]

use std::net::SocketAddr;

use ovsdb::model::AnyColumn;
use ovsdb::protocol::{Columns, Mutation, Mutator};
use ovsdb::schema::DatabaseSchema;
use ovsdb::server::{PassiveRemote, Server};
use ovsdb::transaction::Transaction;
use ovsdb::value::Datum;
use ovsdb::{AnyDatabase, ErrorChain, IntoRemotes as _, Remote, parse_remotes};

/// The embedded server refuses every schema that the client refuses. If both accept it, operations on its
/// tables that pass the client's check have the right types for the server too.
///
/// # Panics
/// When that does not hold, the lenient parser reads a valid schema differently, or the server cannot convert a
/// database to its own schema.
pub fn schemas(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let parsed = DatabaseSchema::parse(text);
    let server = Server::memory(text);
    let schema = match parsed {
        Ok(schema) => schema,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(server.is_err(), "only the server accepts it: {error}");
            let _ = DatabaseSchema::parse_lenient(text);
            return;
        }
    };
    assert_eq!(DatabaseSchema::parse_lenient(text), Ok(schema.clone()));
    let Ok(server) = server else {
        return;
    };
    // Convert to the same schema.
    for database in server.databases() {
        let again = server.convert(&database, text);
        assert!(again.is_ok(), "{again:?}");
    }
    for (name, table) in &schema.tables {
        let mut row = Columns::new();
        for (column, kind) in &table.columns {
            row.insert(column.as_str(), Datum::default_of(&kind.kind));
        }
        for (column, value) in &row {
            let one: Columns = [(column.clone(), value.clone())].into_iter().collect();
            agree(&schema, &server, |txn| {
                txn.any_table(name).insert(one.clone());
            });
            agree(&schema, &server, |txn| {
                let rows = AnyColumn::new(column).includes(value.clone());
                txn.any_table(name).update(rows, one.clone());
            });
            agree(&schema, &server, |txn| {
                let rows = AnyColumn::new(column).lt(value.clone());
                let mutation = Mutation::new(column, Mutator::Insert, value.clone());
                txn.any_table(name).mutate(rows, [mutation]);
            });
        }
    }
}

/// Checks that operations that pass the client's check have the right types for the server.
fn agree(schema: &DatabaseSchema, server: &Server, write: impl Fn(&mut Transaction<AnyDatabase>)) {
    let mut txn = Transaction::<AnyDatabase>::detached_for(schema.clone());
    write(&mut txn);
    if txn.check().is_ok()
        && let Err(error) = txn.commit_on(&server.fork())
    {
        let error = ErrorChain::new(&error).to_string();
        assert!(!error.contains("syntax error"), "{error}");
    }
}

/// A text is a remote or an error. A remote that is written and parsed again stays the same.
///
/// # Panics
/// When a remote does not stay the same, or an error names a text that is not in the input.
pub fn remotes(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match text.parse::<Remote>() {
        Ok(remote) => same(&remote),
        Err(error) => assert_eq!(error.remote, text),
    }
    match parse_remotes(text) {
        Ok(remotes) => {
            let texts: Vec<_> = remotes.iter().map(Remote::to_string).collect();
            assert_eq!(texts.join(",").into_remotes(), Ok(remotes.clone()));
            assert_eq!(parse_remotes(&texts.join(" , ")), Ok(remotes));
        }
        Err(error) => assert!(text.contains(&error.remote)),
    }
    match text.parse::<PassiveRemote>() {
        Ok(remote) => {
            let written = remote.to_string();
            assert_eq!(written.parse(), Ok(remote), "{written}");
        }
        Err(error) => assert_eq!(error.remote, text),
    }
    if let Ok(address) = text.parse::<SocketAddr>()
        && address.port() > 0
    {
        same(&Remote::from(address));
    }
}

fn same(remote: &Remote) {
    let written = remote.to_string();
    assert_eq!(written.parse().as_ref(), Ok(remote), "{written}");
}
