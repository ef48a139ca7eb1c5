//! The server's report on its databases: the table `Database` of its database `_Server`
//! (ovsdb-server(5), "Database Table"), and whether a session should stay with the server.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::DisconnectReason;
use crate::protocol::{
    Columns, Json, MonitorRequest, MonitorRequests, Request, RowUpdate2, TableUpdates2, Wire,
};
use crate::value::json::{DecodeError, Raw, Reader};
use crate::value::{Str, Uuid};

/// The id of the monitor of `_Server`; the ids of the replicas' monitors come after it.
pub(super) const SERVER_MONITOR: u64 = 0;

const COLUMNS: [&str; 7] = [
    "name",
    "model",
    "connected",
    "leader",
    "schema",
    "cid",
    "index",
];

/// The request that monitors the server's databases.
pub(super) fn request() -> Request {
    let table = MonitorRequest {
        columns: Some(COLUMNS.into_iter().map(Str::from).collect()),
        ..MonitorRequest::default()
    };
    Request::MonitorCond {
        database: "_Server".into(),
        id: Json::from(SERVER_MONITOR),
        requests: MonitorRequests::from([("Database".into(), vec![table])]),
    }
}

/// What the server reports about one database.
#[derive(Debug, Clone, Default)]
struct Description {
    name: Option<Str>,
    model: Option<Str>,
    connected: bool,
    leader: bool,
    schema: Option<Str>,
    cluster: Option<Uuid>,
    index: i64,
}

impl Description {
    fn change(&mut self, columns: &Columns) {
        for (column, datum) in columns {
            let text = || datum.as_str().map(Str::from);
            let boolean = datum.as_boolean() == Some(true);
            match &**column {
                "name" => self.name = text(),
                "model" => self.model = text(),
                "connected" => self.connected = boolean,
                "leader" => self.leader = boolean,
                "schema" => self.schema = text(),
                "cid" => self.cluster = datum.as_uuid(),
                "index" => self.index = datum.as_integer().unwrap_or(0),
                _ => {}
            }
        }
    }
}

/// What the server reports about its databases.
#[derive(Debug, Default)]
pub(super) struct ServerDatabases {
    rows: BTreeMap<Uuid, Description>,
}

impl ServerDatabases {
    /// Applies an update of the monitor.
    pub(super) fn apply(&mut self, updates: Raw<'_>) -> Result<(), DecodeError> {
        let updates = TableUpdates2::read(&mut Reader::of(updates))?;
        for (uuid, update) in updates.into_values().flatten() {
            match update {
                RowUpdate2::Initial(columns) | RowUpdate2::Insert(columns) => {
                    let row = self.rows.entry(uuid).or_default();
                    *row = Description::default();
                    row.change(&columns);
                }
                RowUpdate2::Modify(columns) => self.rows.entry(uuid).or_default().change(&columns),
                RowUpdate2::Delete => drop(self.rows.remove(&uuid)),
            }
        }
        Ok(())
    }

    /// The database's schema, as the server reports it.
    pub(super) fn schema(&self, database: &str) -> Option<&Str> {
        self.find(database, None)?.schema.as_ref()
    }

    /// How far the server has applied the log of the database's cluster.
    pub(super) fn index(&self, database: &str) -> i64 {
        self.find(database, None).map_or(0, |row| row.index)
    }

    /// Whether the database is clustered.
    pub(super) fn is_clustered(&self, database: &str, cluster: Option<Uuid>) -> bool {
        let row = self.find(database, cluster);
        row.is_some_and(|row| row.model.as_deref() == Some("clustered"))
    }

    /// Whether the server is a relay of the database.
    pub(super) fn is_relay(&self, database: &str, cluster: Option<Uuid>) -> bool {
        let row = self.find(database, cluster);
        row.is_some_and(|row| row.model.as_deref() == Some("relay"))
    }

    fn find(&self, database: &str, cluster: Option<Uuid>) -> Option<&Description> {
        self.rows.values().find(|row| {
            row.name.as_deref() == Some(database) && (cluster.is_none() || row.cluster == cluster)
        })
    }

    fn has(&self, database: &str) -> bool {
        self.find(database, None).is_some()
    }

    /// The names of all databases, in alphabetical order.
    fn names(&self) -> Vec<Str> {
        let names: BTreeSet<&Str> = self
            .rows
            .values()
            .filter_map(|row| row.name.as_ref())
            .collect();
        names.into_iter().cloned().collect()
    }
}

/// What a session requires of a server.
#[derive(Debug, Clone, Default)]
pub(super) struct ServerRequirements {
    pub(super) leader_only: bool,
    /// The only cluster that is accepted.
    pub(super) cluster: Option<Uuid>,
    /// The cluster that was seen last, and the highest log index seen of it.
    seen: Option<(Option<Uuid>, i64)>,
}

impl ServerRequirements {
    pub(super) const fn new(leader_only: bool, cluster: Option<Uuid>) -> Self {
        Self {
            leader_only,
            cluster,
            seen: None,
        }
    }

    /// Checks that the server meets the requirements.
    pub(super) fn check(
        &mut self,
        server: &ServerDatabases,
        database: &str,
    ) -> Result<(), DisconnectReason> {
        let Some(row) = server.find(database, self.cluster) else {
            if planted!(RemovalIgnored) && self.seen.is_some() {
                return Ok(());
            }
            return Err(match self.cluster {
                Some(wanted) if server.has(database) => DisconnectReason::OtherCluster { wanted },
                _ => DisconnectReason::NoDatabase {
                    database: database.into(),
                    available: server.names(),
                },
            });
        };
        let clustered = match row.model.as_deref() {
            Some("clustered") => true,
            Some("relay") => false,
            _ => return Ok(()),
        };
        if row.schema.is_none() {
            return Err(DisconnectReason::NotJoined);
        }
        let is_accepted = row.connected || clustered && planted!(IsolatedMemberAccepted);
        if !is_accepted {
            return Err(DisconnectReason::NoQuorum);
        }
        if clustered && self.leader_only && !row.leader && !planted!(FollowerAccepted) {
            return Err(DisconnectReason::NotLeader);
        }
        match self.seen {
            // A newly created cluster starts its index again, even under the same name.
            Some((cluster, seen))
                if cluster == row.cluster && row.index < seen && !planted!(IndexIgnored) =>
            {
                let index = row.index;
                Err(DisconnectReason::Stale { index, seen })
            }
            _ => {
                self.seen = Some((row.cluster, row.index));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = "00000000-0000-0000-0000-000000000001";
    const CID: &str = "00000000-0000-0000-0000-00000000000a";
    const OTHER: &str = "00000000-0000-0000-0000-00000000000b";

    fn apply(server: &mut ServerDatabases, kind: &str, columns: &str) {
        let text = format!(r#"{{"Database":{{"{ROW}":{{"{kind}":{columns}}}}}}}"#);
        server
            .apply(Raw {
                text: &text,
                offset: 0,
            })
            .expect("updates");
    }

    fn clustered(cid: &str, index: i64) -> String {
        format!(
            r#"{{"name":"db","model":"clustered","connected":true,"leader":true,"schema":"{{}}",
            "cid":["uuid","{cid}"],"index":{index}}}"#
        )
    }

    #[test]
    fn a_server_that_does_not_meet_the_requirements_is_left() {
        let mut requires = ServerRequirements::new(true, None);
        let mut server = ServerDatabases::default();
        assert!(matches!(
            requires.check(&server, "db"),
            Err(DisconnectReason::NoDatabase { database, available })
                if database == "db" && available.is_empty()
        ));
        apply(&mut server, "initial", &clustered(CID, 5));
        requires
            .check(&server, "db")
            .expect("a leader with the schema");
        for (change, back) in [
            (r#"{"leader":false}"#, r#"{"leader":true}"#),
            (r#"{"connected":false}"#, r#"{"connected":true}"#),
            (r#"{"schema":["set",[]]}"#, r#"{"schema":"{}"}"#),
            (r#"{"index":4}"#, r#"{"index":6}"#),
        ] {
            apply(&mut server, "modify", change);
            let refused = requires.check(&server, "db").expect_err(change);
            assert!(
                matches!(
                    (change.as_bytes()[2], &refused),
                    (b'l', DisconnectReason::NotLeader)
                        | (b'c', DisconnectReason::NoQuorum)
                        | (b's', DisconnectReason::NotJoined)
                        | (b'i', DisconnectReason::Stale { index: 4, seen: 5 })
                ),
                "{change}: {refused}"
            );
            apply(&mut server, "modify", back);
            requires.check(&server, "db").expect(back);
        }
        // A cluster that was created again starts its index again.
        apply(&mut server, "insert", &clustered(OTHER, 1));
        requires.check(&server, "db").expect("another cluster");
        let cluster = OTHER.parse().ok();
        let mut requires = ServerRequirements::new(false, cluster);
        requires.check(&server, "db").expect("the required cluster");
        apply(&mut server, "insert", &clustered(CID, 9));
        assert!(matches!(
            requires.check(&server, "db"),
            Err(DisconnectReason::OtherCluster { .. })
        ));
        apply(&mut server, "delete", "null");
        assert!(matches!(
            requires.check(&server, "db"),
            Err(DisconnectReason::NoDatabase { database, available })
                if database == "db" && available.is_empty()
        ));
    }

    #[test]
    fn standalone_servers_and_relays_need_no_leader() {
        let mut requires = ServerRequirements::new(true, None);
        let mut server = ServerDatabases::default();
        apply(
            &mut server,
            "initial",
            r#"{"name":"db","model":"standalone"}"#,
        );
        requires.check(&server, "db").expect("standalone");
        apply(
            &mut server,
            "insert",
            r#"{"name":"db","model":"relay","schema":"{}","connected":true}"#,
        );
        requires.check(&server, "db").expect("a relay");
        apply(&mut server, "modify", r#"{"connected":false}"#);
        assert!(matches!(
            requires.check(&server, "db"),
            Err(DisconnectReason::NoQuorum)
        ));
    }

    #[test]
    fn the_database_is_distinguished_from_others_of_the_same_name() {
        let mut server = ServerDatabases::default();
        assert_eq!((server.schema("db"), server.index("db")), (None, 0));
        assert!(!server.is_clustered("db", None) && !server.is_relay("db", None));
        apply(&mut server, "initial", &clustered(CID, 5));
        assert_eq!(server.schema("db").map(Str::as_str), Some("{}"));
        assert_eq!((server.index("db"), server.index("other")), (5, 0));
        let [own, other] = [CID, OTHER].map(|cluster| cluster.parse().ok());
        assert!(server.is_clustered("db", None) && server.is_clustered("db", own));
        assert!(!server.is_clustered("db", other) && !server.is_clustered("other", None));
        assert!(!server.is_relay("db", own));
        apply(&mut server, "modify", r#"{"model":"relay"}"#);
        assert!(server.is_relay("db", own) && !server.is_relay("db", other));
        assert!(!server.is_clustered("db", own));
        assert_eq!(server.names(), ["db"]);
    }
}
