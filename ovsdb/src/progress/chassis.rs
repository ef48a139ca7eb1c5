//! Finds the chassis that have not applied what the southbound database says.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::client::Client;
use crate::model::AllOf;
use crate::transaction::CommitError;
use crate::value::{Map, Ref, Str};

/// The columns of `Chassis_Private` that are used here.
#[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
#[ovsdb(database = ovsdb::sb::Database, table = "Chassis_Private", schema = "OVN_Southbound")]
pub(super) struct ChassisPrivate {
    name: Str,
    chassis: Option<Ref<Chassis>>,
    nb_cfg: i64,
    nb_cfg_timestamp: i64,
}

/// The columns of `Chassis` that are used here.
#[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
#[ovsdb(database = ovsdb::sb::Database, table = "Chassis", schema = "OVN_Southbound")]
pub(super) struct Chassis {
    hostname: Str,
    other_config: Map<Str, Str>,
}

/// A chassis whose ovn-controller has not confirmed a request.
///
/// ```
/// # #[cfg(feature = "sb")]
/// # async fn example(southbound: ovsdb::sb::Client) -> Result<(), ovsdb::CommitError> {
/// for chassis in ovsdb::sb::lagging_chassis(&southbound, 7).await? {
///     match &chassis.hostname {
///         Some(hostname) => println!("is ovn-controller running on {hostname}?"),
///         None => println!("what is left of {}: ovn-sbctl destroy chassis_private", chassis.name),
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaggingChassis {
    /// The chassis' name (its `system-id`).
    pub name: Str,
    /// Its host. `None` if it has a row only in `Chassis_Private`, and none in `Chassis`: its
    /// ovn-controller has ended, and the row left over holds `hv_cfg` back until it is deleted.
    pub hostname: Option<Str>,
    /// The last request that it confirmed.
    pub nb_cfg: i64,
    /// When it confirmed that, by its own clock; `None` if it never did.
    pub confirmed_at: Option<SystemTime>,
}

impl fmt::Display for LaggingChassis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        match &self.hostname {
            Some(hostname) if *hostname == self.name || hostname.is_empty() => {}
            Some(hostname) => write!(f, " on {hostname}")?,
            None => write!(f, ", which has no row in Chassis")?,
        }
        write!(f, " (at {})", self.nb_cfg)
    }
}

/// The chassis that have not confirmed the request `nb_cfg`, sorted by name. Chassis of other
/// availability zones (`other_config:is-remote`) are left out, as ovn-northd does for `hv_cfg`.
///
/// The request's number is `requested` in `progress::Behind` (with the feature `nb`). A chassis without
/// a row in `Chassis_Private` is not listed, since that row holds the number it has confirmed.
///
/// ```
/// # #[cfg(all(feature = "sb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Southbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::sb::Client::builder().server(&server).connect().await?;
/// use ovsdb::sb;
///
/// let mut txn = client.transaction();
/// txn.insert(sb::ChassisPrivate { name: "c0".into(), nb_cfg: 6, ..Default::default() });
/// txn.commit().await?;
/// let lagging = sb::lagging_chassis(&client, 7).await?;
/// assert_eq!((lagging[0].name.as_str(), lagging[0].nb_cfg), ("c0", 6));
/// # Ok(()) }
/// # #[cfg(not(all(feature = "sb", feature = "server")))] fn main() {}
/// ```
///
/// # Errors
/// As [`commit`](crate::Transaction::commit): for instance when the southbound database does not answer
/// within the client's [request timeout](crate::ClientBuilder::request_timeout), or refuses the query.
/// [`CommitError::Answer`] when its rows do not fit.
pub async fn lagging_chassis(
    client: &Client<ovsdb::sb::Database>,
    nb_cfg: i64,
) -> Result<Vec<LaggingChassis>, CommitError> {
    let limit = client.request_timeout();
    lagging_within(client, nb_cfg, limit).await
}

pub(super) async fn lagging_within(
    client: &Client<ovsdb::sb::Database>,
    nb_cfg: i64,
    limit: Option<Duration>,
) -> Result<Vec<LaggingChassis>, CommitError> {
    let mut txn = client.transaction();
    txn.timeout(limit);
    let behind = txn.select(ChassisPrivate::NB_CFG.lt(nb_cfg));
    let hosts = txn.select(AllOf::<Chassis>::all());
    let outcome = txn.commit().await?;
    let hosts = outcome.rows(&hosts).map_err(CommitError::Answer)?;
    let behind = outcome.rows(&behind).map_err(CommitError::Answer)?;
    let mut lagging: Vec<_> = behind
        .iter()
        .filter_map(|row| {
            let host = hosts
                .iter()
                .find(|host| Some(host.reference()) == row.chassis);
            let is_remote = host.and_then(|host| host.other_config.get("is-remote"));
            if is_remote.is_some_and(|is_remote| *is_remote == *"true") {
                return None;
            }
            Some(LaggingChassis {
                name: row.name.clone(),
                hostname: host.map(|host| host.hostname.clone()),
                nb_cfg: row.nb_cfg,
                confirmed_at: super::time(row.nb_cfg_timestamp),
            })
        })
        .collect();
    lagging.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(lagging)
}
