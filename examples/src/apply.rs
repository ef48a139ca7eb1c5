//! From a request to its result: assign, plan, commit.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use ovsdb::desired::{Conflict, Step};
use ovsdb::nb::{Database, Transaction};
use ovsdb::{CommitError, Retry};

use crate::assign::{Assignment, Known, assign, assign_some};
use crate::cluster::{ChangedPods, Cluster};
use crate::database::{Northbound, View, known};
use crate::error::InputError;
use crate::remove;
pub use crate::remove::Others;
use crate::report::Warning;
use crate::topology::{self, Draft, Policies};

/// How often to plan and commit, at most, if commits fail for reasons that may pass, such as a change
/// by another client.
const ATTEMPTS: u32 = 5;
/// How long to wait for a current replica before the next plan.
const CURRENT: Duration = Duration::from_secs(60);

/// Why nothing was done, or only a part.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The command line is wrong; nothing was written.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The rows cannot be made as requested.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// A step failed; the steps before it are done.
    #[error("cannot {step}", step = .title)]
    Commit {
        /// The step's title.
        title: String,
        /// The cause.
        #[source]
        source: Box<CommitError>,
    },
}

/// What was granted on each network, by network name.
pub type Grants = BTreeMap<String, Known>;

/// What a network had been granted before this plan: from `granted`, or else from the database.
fn before(cluster: &Cluster, view: &View, name: &str, granted: &Grants, others: Others) -> Known {
    let mut before = known(view, name);
    if others == Others::Remove {
        let kept = remove::kept_ports(view, cluster);
        let attachments = cluster.pods.iter().flat_map(|pod| &pod.attachments);
        let ports: HashSet<&str> = attachments.map(|found| found.port.as_str()).collect();
        let stays = |port: &str| ports.contains(port) || kept.contains(port);
        before.ports.retain(|port, _| stays(port));
        before
            .subnets
            .retain(|node, _| cluster.node(node).is_some() || cluster.report.kept.node(node));
    }
    if let Some(granted) = granted.get(name) {
        before.subnets.extend(granted.subnets.clone());
        before.ports.extend(granted.ports.clone());
    }
    before
}

/// Steps that bring the database to the desired state, each of which is one transaction.
#[derive(Debug)]
pub struct Steps {
    steps: Vec<Step<Database>>,
    /// The operations at the beginning of each transaction.
    beginning: Transaction,
}

impl Steps {
    /// The steps from the database in the draft's view to the desired state.
    ///
    /// # Errors
    /// When the rows cannot be made as requested.
    pub fn new(draft: &Draft<'_>) -> Result<Self, Conflict> {
        Ok(Self {
            steps: draft.desired.plan(&draft.view)?.into_steps(),
            beginning: draft.beginning.clone(),
        })
    }

    /// The steps; none where there is nothing to do.
    pub fn steps(&self) -> &[Step<Database>] {
        &self.steps
    }

    /// Commits the steps in order, and records the titles of those that are done. `progress` is called
    /// before each step and at the end, with the number of steps that are done and of all steps.
    ///
    /// # Errors
    /// When a step fails; the steps before it are done.
    pub async fn commit(
        self,
        done: &mut Vec<String>,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<(), ApplyError> {
        let all = self.steps.len();
        for (at, step) in self.steps.into_iter().enumerate() {
            progress(at, all);
            let title = step.title().to_owned();
            let mut transaction = self.beginning.clone();
            step.write(&mut transaction);
            if let Err(error) = transaction.commit().await {
                let source = Box::new(error);
                return Err(ApplyError::Commit { title, source });
            }
            done.push(title);
        }
        progress(all, all);
        Ok(())
    }
}

/// What will be done.
#[derive(Debug)]
pub struct Planned {
    /// The steps that bring the database to the requested state.
    pub steps: Steps,
    /// What was granted before, on the networks that were examined; empty in a plan of
    /// [`steps_of_pods`].
    pub before: Grants,
    /// What is granted.
    pub granted: Grants,
    /// What is left out in addition to the cluster's report, and why.
    pub refused: Vec<InputError>,
    /// What is done, but may not have been intended.
    pub warnings: Vec<Warning>,
}

/// Plans the steps that bring the database to the state that the cluster requests. Subnets and
/// addresses that the cluster does not request are assigned as in `granted`, or else as in the
/// database; otherwise the next free ones are assigned.
///
/// # Errors
/// When the command line is wrong, or the rows cannot be made as requested.
pub fn steps(
    northbound: &Northbound,
    cluster: &Cluster,
    granted: &Grants,
    others: Others,
) -> Result<Planned, ApplyError> {
    let mut draft = Draft::new(northbound);
    let names = cluster.networks.iter().map(|network| &network.config.name);
    let before = names.map(|name| {
        let known = before(cluster, &draft.view, name, granted, others);
        (name.clone(), known)
    });
    let before: Grants = before.collect();
    let networks = cluster.networks.iter().enumerate();
    let assignments = networks.map(|(place, network)| {
        let before = &before[&network.config.name];
        assign(cluster, place, before)
    });
    let assignments = assignments.collect::<Result<_, _>>()?;
    match others {
        Others::Keep => remove::completed(&mut draft, cluster),
        Others::Remove => remove::stale(&mut draft, cluster),
    }
    let choices = (others, Policies::Added);
    planned(draft, cluster, before, assignments, choices)
}

/// Like [`steps`], for some pods only: only these have changed since the database was in the requested
/// state. `before` has all grants of that time.
///
/// # Errors
/// As [`steps`].
pub fn steps_of_pods(
    northbound: &Northbound,
    cluster: &Cluster,
    before: &Grants,
    others: Others,
    changed: &ChangedPods,
) -> Result<Planned, ApplyError> {
    let mut draft = Draft::new(northbound);
    let nothing = Known::default();
    let assignments = changed.networks.iter().map(|place| {
        let name = &cluster.networks[*place].config.name;
        let known = before.get(name).unwrap_or(&nothing);
        assign_some(cluster, *place, known, |pod| changed.places.contains(&pod))
    });
    let assignments = assignments.collect::<Result<_, _>>()?;
    remove::some(&mut draft, cluster, &changed.ports, others);
    let choices = (others, Policies::None);
    planned(draft, cluster, Grants::new(), assignments, choices)
}

fn planned(
    mut draft: Draft<'_>,
    cluster: &Cluster,
    before: Grants,
    mut assignments: Vec<Assignment<'_>>,
    (others, policies): (Others, Policies),
) -> Result<Planned, ApplyError> {
    let mut refused = Vec::new();
    let mut warnings = Vec::new();
    for assignment in &mut assignments {
        refused.append(&mut assignment.refused);
        warnings.append(&mut assignment.warnings);
    }
    refused.extend(topology::add(
        &mut draft,
        cluster,
        &assignments,
        others,
        policies,
    ));
    let granted = assignments.iter().map(|assignment| {
        let network = &cluster.networks[assignment.network];
        (network.config.name.clone(), assignment.known())
    });
    Ok(Planned {
        steps: Steps::new(&draft)?,
        granted: granted.collect(),
        before,
        refused,
        warnings,
    })
}

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct Done {
    /// The titles of the steps.
    pub steps: Vec<String>,
    /// What was granted.
    pub granted: Grants,
    /// What was left out in addition to the cluster's report, and why.
    pub refused: Vec<InputError>,
    /// What was done, but may not have been intended.
    pub warnings: Vec<Warning>,
}

/// Brings the database to the state that the cluster requests. `progress` is called as in
/// [`Steps::commit`].
///
/// # Errors
/// When the command line is wrong (nothing was written then), or the rows cannot be made as requested.
/// When a step fails and [must not be retried](Retry::Never). When it may be retried: after the fifth
/// attempt, or if the replica is not current within 60 s after a failed attempt.
pub async fn apply(
    northbound: &Northbound,
    cluster: &Cluster,
    granted: &Grants,
    others: Others,
    mut progress: impl FnMut(usize, usize),
) -> Result<Done, ApplyError> {
    let mut done = Done::default();
    for attempt in 1.. {
        let planned = steps(northbound, cluster, granted, others)?;
        done.granted = planned.granted;
        done.refused = planned.refused;
        done.warnings = planned.warnings;
        match planned.steps.commit(&mut done.steps, &mut progress).await {
            Err(ApplyError::Commit { title, source })
                if attempt < ATTEMPTS && source.retry() != Retry::Never =>
            {
                // The change that caused the conflict may take a moment to reach the replica.
                tokio::time::sleep(Duration::from_millis(50) * attempt).await;
                let current = northbound.cache.current();
                if !matches!(tokio::time::timeout(CURRENT, current).await, Ok(Ok(()))) {
                    return Err(ApplyError::Commit { title, source });
                }
            }
            other => return other.map(|()| done),
        }
    }
    unreachable!("the last attempt returns")
}
