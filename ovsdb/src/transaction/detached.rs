//! Transactions without a client, for unit tests of code that writes transactions.

use std::sync::Arc;

use ovsdb_schema::DatabaseSchema;

use super::{BuildError, Origin, Transaction};
#[cfg(feature = "server")]
use super::{CommitError, Outcome, Refusal, names};
use crate::model::Database;
use crate::protocol::Request;
#[cfg(feature = "server")]
use crate::server::{Answer, Server};
use crate::value::{Str, Uuid};

/// The uuid before that of the first row. The uuids that [`SnapshotBuilder::insert`] assigns are smaller,
/// so a transaction does not assign the uuid of such a row in the snapshot that it reads.
///
/// [`SnapshotBuilder::insert`]: crate::cache::fixture::SnapshotBuilder::insert
const BEFORE_FIRST: u128 = 1 << 96;

/// What replaces the client of a transaction that has none.
#[derive(Debug, Clone)]
pub(super) struct Detached {
    /// The schema to check against, if one was given.
    pub(super) schema: Option<Arc<DatabaseSchema>>,
    /// The last uuid that was assigned to an inserted row.
    last: u128,
}

impl Detached {
    pub(super) const fn new_uuid(&mut self) -> Uuid {
        self.last += 1;
        Uuid::from_u128(self.last)
    }

    /// Whether the uuid was assigned to an inserted row, as opposed to chosen by the program.
    #[cfg(feature = "server")]
    fn has_assigned(&self, uuid: Uuid) -> bool {
        (BEFORE_FIRST + 1..=self.last).contains(&uuid.as_u128())
    }

    /// Numbers the rows that are inserted from now on after those of `other`, so that no uuid is used
    /// twice.
    pub(super) fn number_after(&mut self, other: &Self) {
        self.last = self.last.max(other.last);
    }
}

impl<D: Database> Transaction<D> {
    /// A new, empty transaction without a client, for unit tests. Code that takes a `&mut Transaction`
    /// writes to it as to any other, without a server, a client or a runtime. The test then reads what
    /// was written: [`inserted`](Self::inserted), [`operations_on`](Self::operations_on),
    /// [`operations`](Self::operations), [`check`](Self::check), [`to_json`](Self::to_json).
    ///
    /// The rows that it inserts get the uuids `00000001-0000-0000-0000-000000000001`,
    /// `...-000000000002` and so on, so two transactions with the same operations have equal operations
    /// and equal JSON.
    ///
    /// The transaction is not checked against a schema; [`detached_for`](Self::detached_for) takes one,
    /// and finds every mistake that a client would find.
    /// [`commit`](Self::commit) returns [`BuildError::Detached`]. With the feature `server`,
    /// `commit_on` commits it on an embedded server.
    ///
    /// ```
    /// # #[cfg(feature = "nb")] {
    /// use ovsdb::nb::{LogicalSwitch as Switch, LogicalSwitchPort as Port, Transaction};
    /// use ovsdb::transaction::TableOperation;
    ///
    /// /// The code to be tested.
    /// fn add_port(txn: &mut Transaction, switch: &str, name: &str) {
    ///     let port = txn.insert(Port { name: name.into(), ..Default::default() });
    ///     txn.mutate(Switch::NAME.eq(switch)).insert(Switch::PORTS, [port]);
    /// }
    ///
    /// let mut txn = Transaction::detached();
    /// add_port(&mut txn, "sw0", "p1");
    ///
    /// let ports = txn.inserted::<Port>();
    /// assert_eq!(ports[0].name, "p1");
    /// let [TableOperation::Mutate { rows, mutations }] = &txn.operations_on::<Switch>()[..] else {
    ///     panic!("one mutation expected: {txn:?}");
    /// };
    /// assert_eq!(*rows, Switch::NAME.eq("sw0"));
    /// assert_eq!(mutations.inserted(Switch::PORTS), [ports[0].reference()].into());
    ///
    /// // Or compare everything at once with another transaction.
    /// let mut expected = Transaction::detached();
    /// let port = expected.insert(Port { name: "p1".into(), ..Default::default() });
    /// expected.mutate(Switch::NAME.eq("sw0")).insert(Switch::PORTS, [port]);
    /// assert_eq!(txn.operations(), expected.operations());
    /// # }
    /// ```
    pub fn detached() -> Self {
        Self::without_client(None)
    }

    /// Like [`detached`](Self::detached), checked as by a client whose server has this schema: columns
    /// that the server lacks, the number of a column's values, inserted rows that nothing refers to.
    /// [`check`](Self::check) returns the first mistake.
    ///
    /// ```
    /// # #[cfg(feature = "nb")] {
    /// use ovsdb::nb::{LogicalSwitchPort, Transaction};
    /// use ovsdb::schema::{DatabaseSchema, bundled};
    /// use ovsdb::transaction::BuildError;
    ///
    /// let schema = bundled("OVN_Northbound").expect("a bundled schema");
    /// let mut txn = Transaction::detached_for(DatabaseSchema::parse(schema)?);
    /// txn.insert(LogicalSwitchPort { name: "p1".into(), ..Default::default() });
    /// assert!(matches!(txn.check(), Err(BuildError::Unreferenced { .. })), "no switch has the port");
    /// # }
    /// # Ok::<(), ovsdb::schema::SchemaError>(())
    /// ```
    pub fn detached_for(schema: impl Into<Arc<DatabaseSchema>>) -> Self {
        Self::without_client(Some(schema.into()))
    }

    /// Like [`detached`](Self::detached), for a transaction that will be [merged](Self::merge) with
    /// `other`, which has no client either. Its inserted rows get the uuids after those that `other`
    /// has used so far, so insert into `other` first: two rows with the same uuid are a [conflict]. The
    /// new transaction is checked against the same schema.
    ///
    /// [conflict]: super::MergeConflict::Row
    ///
    /// ```
    /// # #[cfg(feature = "nb")] {
    /// use ovsdb::nb::{LogicalRouter, LogicalSwitch, Transaction};
    ///
    /// let mut switches = Transaction::detached();
    /// switches.insert(LogicalSwitch::default());
    /// let mut routers = Transaction::detached_after(&switches);
    /// routers.insert(LogicalRouter::default());
    /// switches.merge(&routers)?;
    /// assert_eq!(switches.operations().len(), 2);
    /// # }
    /// # Ok::<(), ovsdb::transaction::MergeConflict>(())
    /// ```
    pub fn detached_after(other: &Self) -> Self {
        let mut txn = Self::without_client(other.origin.schema());
        txn.origin.number_after(&other.origin);
        txn
    }

    fn without_client(schema: Option<Arc<DatabaseSchema>>) -> Self {
        let last = BEFORE_FIRST;
        Self::new(Origin::Detached(Detached { schema, last }), None)
    }

    /// The name of the database on the wire.
    fn database(&self) -> Str {
        match &self.origin {
            Origin::Client(client) => client.database().into(),
            Origin::Detached(Detached { schema, .. }) => {
                let name = schema.as_ref().map(|schema| schema.name.as_str());
                name.unwrap_or(D::NAME).into()
            }
        }
    }

    /// The parameters of the `transact` request that a commit would send (RFC 7047 section 4.1.3): the
    /// database's name and the operations.
    ///
    /// ```
    /// # #[cfg(feature = "nb")] {
    /// use ovsdb::nb::{LogicalSwitch, Transaction};
    ///
    /// let mut txn = Transaction::detached();
    /// txn.delete(LogicalSwitch::NAME.eq("sw0"));
    /// assert_eq!(
    ///     txn.to_json()?,
    ///     r#"["OVN_Northbound",{"op":"delete","table":"Logical_Switch","where":[["name","==","sw0"]]}]"#
    /// );
    /// # }
    /// # Ok::<(), ovsdb::transaction::BuildError>(())
    /// ```
    ///
    /// # Errors
    /// When [`check`](Self::check) finds a mistake: the transaction would not be sent.
    pub fn to_json(&self) -> Result<String, BuildError> {
        self.check_rows()?;
        let sealed = self.clone().sealed();
        let mut params = String::new();
        Request::write_transact(&mut params, &self.database(), &sealed.wire_operations())
            .map_err(|invalid| sealed.without_guards(invalid))?;
        Ok(params)
    }

    /// Commits the transaction on an embedded server, without a client and without a runtime. The
    /// server checks it as it checks a client's: constraints, references, indexes.
    /// [`Server::transactions`] lists the result, and a [`fork`](Server::fork) keeps the server
    /// unchanged for the next test.
    ///
    /// If the transaction has no client, the server chooses the uuids of inserted rows, except those
    /// given to [`insert_with_uuid`](Self::insert_with_uuid), and [`Outcome::inserted`] returns them. So
    /// without `insert_with_uuid`, such a transaction can be committed more than once.
    ///
    /// ```
    /// # #[cfg(feature = "nb")] {
    /// use ovsdb::nb::{self, LogicalSwitch as Switch, LogicalSwitchPort as Port, Transaction};
    /// use ovsdb::server::Server;
    ///
    /// let seed = Server::memory(ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema"))?;
    /// let mut rows = Transaction::detached();
    /// rows.insert(Switch { name: "sw0".into(), ..Default::default() });
    /// rows.commit_on(&seed)?;
    ///
    /// let server = seed.fork();
    /// let mut txn = Transaction::detached();
    /// let port = txn.insert(Port { name: "p1".into(), ..Default::default() });
    /// let added = txn.mutate(Switch::NAME.eq("sw0")).insert(Switch::PORTS, [port]).index();
    /// assert_eq!(txn.commit_on(&server)?.count(added), 1);
    /// let committed = server.transactions::<nb::Database>();
    /// assert_eq!(committed.last().expect("a transaction").inserted::<Port>()[0].name, "p1");
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`commit`](Self::commit), but never [`CommitError::NotSent`] or [`BuildError::Detached`]. A
    /// transaction that has to wait is refused with `timed out`, since nothing else can happen while it
    /// waits. The outcome is unknown when the server does not reply at once: to a durable transaction on
    /// a file, on a relay, or because of a [fault](crate::server::TransactionFault) that a test injected.
    #[cfg(feature = "server")]
    pub fn commit_on(&self, server: &Server) -> Result<Outcome, CommitError> {
        use crate::error::{DisconnectReason, Disconnected};
        use crate::protocol::{Operation, OvsdbError};

        self.check()?;
        let sealed = self.clone().sealed();
        if self.operations.is_empty() {
            return Ok(Outcome::empty());
        }
        let is_counted = |uuid: Uuid| {
            let Origin::Detached(detached) = &self.origin else {
                return false;
            };
            detached.has_assigned(uuid) && self.inserted.contains_key(&uuid)
        };
        let named = sealed.wire_operations().into_owned().into_iter();
        let named = named.map(|operation| match operation {
            Operation::Insert {
                table,
                row,
                uuid: Some(uuid),
                ..
            } if is_counted(uuid) => Operation::Insert {
                table,
                row,
                uuid_name: Some(names::row_name(uuid)),
                uuid: None,
            },
            other => other,
        });
        let operations = names::with_names(named, is_counted);
        let mut params = String::new();
        Request::write_transact(&mut params, &self.database(), &operations)
            .map_err(|invalid| BuildError::InvalidValue(sealed.without_guards(invalid)))?;
        let refused = |error| Err(CommitError::Refused(Box::new(Refusal::of_request(error))));
        match server.transact(&params) {
            Answer::Results(text) => {
                sealed.without_reads(Outcome::read(text, &sealed.operations, &sealed.inserted))
            }
            Answer::Refused(error) => refused(error),
            Answer::Waits => {
                let details =
                    "the transaction waits, but no other client can write while `commit_on` runs";
                refused(OvsdbError::with_details("timed out", details))
            }
            Answer::None => Err(CommitError::Unknown(Disconnected::new(
                DisconnectReason::ByServer,
            ))),
        }
    }
}
