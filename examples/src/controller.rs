//! The controller: keeps the northbound database in the state that a folder of manifests describes,
//! until it is stopped.
//!
//! It is level-triggered: after each change of a file, a row or the schema, it compares the whole
//! database with the manifests, plans the differences, and commits them. If only pods have changed in a
//! file, it plans those first, so that they need not wait for the comparison. Only one of several
//! controllers works: the one that holds a lock of the server. Each of its transactions verifies that
//! it still holds the lock.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ovsdb::protocol::ErrorKind;
use ovsdb::{CommitError, Disconnected, ErrorChain, Lock};
use tokio::time::{sleep, sleep_until};
use tracing::{debug, error, info, warn};

use crate::apply::{ApplyError, Grants, Planned, steps, steps_of_pods};
use crate::cluster::{ChangedPods, Cluster, Options};
use crate::database::Northbound;
use crate::error::InputError;
use crate::manifest::Files;
use crate::remove::Others;
use crate::report::Warning;
use crate::watch::{Changed, SETTLES, Watch};

/// The lock that the working controller holds.
pub const LOCK: &str = "multihoming";

/// How long changes of rows are gathered before the next plan.
const GATHER: Duration = Duration::from_millis(10);
/// The wait after a failure; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// The longest wait after a failure.
const LAST_RETRY: Duration = Duration::from_secs(10);

/// The state in which a controller keeps the database.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Files and folders of manifests.
    pub paths: Vec<PathBuf>,
    /// What the command line says in addition.
    pub options: Options,
    /// What to do with rows that are not in the manifests.
    pub others: Others,
}

/// Why a controller ended: a permanent error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControllerError {
    /// The lock cannot be requested.
    #[error("cannot request the lock {LOCK:?}")]
    Lock(#[source] Box<ovsdb::Error>),
    /// The client was closed.
    #[error("the client was closed")]
    Closed(#[source] Disconnected),
}

/// A controller.
#[derive(Debug)]
pub struct Controller {
    northbound: Northbound,
    lock: Lock,
    manifests: Watched,
    /// What was granted. It takes precedence over the rows, which anyone can edit.
    granted: Grants,
    /// Everything that is granted, including to other clients' ports: as found by the last full
    /// comparison, and updated by each plan after it.
    known: Grants,
    failures: u32,
}

/// The manifests, as they were last read.
#[derive(Debug)]
pub struct Watched {
    settings: Settings,
    cluster: Cluster,
    files: Files,
    watch: Watch,
    /// The problems of the last plan of everything, and of the plans of pods since then. They were logged,
    /// and are logged again only after a plan of everything that does not have them.
    reported: BTreeSet<String>,
}

/// What must be examined.
#[derive(Debug)]
enum Scope {
    Everything,
    /// Only these pods have changed.
    Pods(ChangedPods),
}

impl Controller {
    /// Requests the lock. On a clustered database, `northbound` must be connected to the leader,
    /// because each server of a cluster has its own locks.
    ///
    /// # Errors
    /// When the server refuses the lock, its reply is malformed, it does not answer in time (also when there is
    /// no connection), or the client is closed.
    pub async fn start(
        northbound: Northbound,
        manifests: Watched,
    ) -> Result<Self, ControllerError> {
        let lock = northbound.client.lock(LOCK).await;
        let lock = lock.map_err(|error| ControllerError::Lock(Box::new(error)))?;
        Ok(Self {
            northbound: northbound.under(lock.name()),
            lock,
            manifests,
            granted: Grants::new(),
            known: Grants::new(),
            failures: 0,
        })
    }

    /// Works, or waits for the lock, until a permanent error. The future may be dropped at any time:
    /// the next controller completes what is half done.
    ///
    /// # Errors
    /// When the client was closed.
    pub async fn run(mut self) -> Result<Infallible, ControllerError> {
        loop {
            if !self.lock.is_held() {
                info!("another controller works; waiting for the lock");
            }
            self.lock.held().await.map_err(ControllerError::Closed)?;
            info!("working");
            // Another controller may have granted more meanwhile, as the database shows.
            self.granted.clear();
            self.work().await?;
            warn!("the lock is lost");
        }
    }

    /// Works while it holds the lock.
    async fn work(&mut self) -> Result<(), ControllerError> {
        let client = self.northbound.client.clone();
        let mut state = client.state();
        let mut changes = self.northbound.cache.all_changes();
        let mut scope = Scope::Everything;
        loop {
            let retry = self.reconcile(&scope).await;
            let retry_at = tokio::time::Instant::now() + retry.unwrap_or(LAST_RETRY);
            // Wait for a reason to examine the database again.
            scope = loop {
                tokio::select! {
                    // Files come first: a change of pods is planned quickly, and the rows that it
                    // changes cause a full comparison anyway.
                    biased;
                    lost = self.lock.lost() => return lost.map_err(ControllerError::Closed),
                    changed = self.manifests.watch.changed() => {
                        if let Some(scope) = self.manifests.changed(changed) {
                            break scope;
                        }
                    }
                    () = sleep_until(retry_at), if retry.is_some() => break Scope::Everything,
                    batch = changes.next() => {
                        let Some(batch) = batch else { return Ok(()) };
                        if batch.kind().is_schema_change() {
                            info!(skew = %self.northbound.cache.skew(), "the schema changed");
                        }
                        debug!(tables = ?batch.tables().collect::<Vec<_>>(), "rows changed");
                        // Related changes often come in several transactions.
                        sleep(GATHER).await;
                        break Scope::Everything;
                    }
                    changed = state.changed() => {
                        if let Ok(state) = changed {
                            info!(%state, "connection");
                        }
                    }
                }
            };
        }
    }

    fn plan(&mut self, scope: &Scope) -> Result<Planned, ApplyError> {
        let Watched {
            settings, cluster, ..
        } = &self.manifests;
        let (northbound, others) = (&self.northbound, settings.others);
        // After a failure, the contents of the database are not known.
        let pods = match scope {
            Scope::Pods(pods) if self.failures == 0 => pods,
            _ => {
                let planned = steps(northbound, cluster, &self.granted, others)?;
                self.granted.clone_from(&planned.granted);
                self.known.clone_from(&planned.before);
                self.learn(&planned.granted);
                self.manifests.reported = self.manifests.tell(&planned);
                return Ok(planned);
            }
        };
        let planned = steps_of_pods(northbound, cluster, &self.known, others, pods)?;
        for (port, network) in &pods.ports {
            let name = &cluster.networks[*network].config.name;
            if others == Others::Remove
                && let Some(known) = self.known.get_mut(name)
            {
                known.ports.remove(port);
            }
            if let Some(granted) = self.granted.get_mut(name) {
                granted.ports.remove(port);
            }
        }
        for (name, known) in &planned.granted {
            let granted = self.granted.entry(name.clone()).or_default();
            granted.ports.extend(known.ports.clone());
        }
        self.learn(&planned.granted);
        let problems = self.manifests.tell(&planned);
        self.manifests.reported.extend(problems);
        Ok(planned)
    }

    fn learn(&mut self, granted: &Grants) {
        for (name, more) in granted {
            let known = self.known.entry(name.clone()).or_default();
            known.ports.extend(more.ports.clone());
            known.subnets.extend(more.subnets.clone());
        }
    }

    /// Brings the database to the state that the manifests describe. After a failure, returns how long
    /// to wait before the next attempt.
    async fn reconcile(&mut self, scope: &Scope) -> Option<Duration> {
        let begun = Instant::now();
        let mut done = Vec::new();
        let progress = |at, all| {
            if begun.elapsed() > Duration::from_secs(1) {
                info!("{at} of {all} transactions");
            }
        };
        let result = match self.plan(scope) {
            Ok(planned) => planned.steps.commit(&mut done, progress).await,
            Err(error) => Err(error),
        };
        for step in &done {
            debug!("{step}: done");
        }
        match result {
            Ok(()) => {
                if self.failures > 0 {
                    info!("healthy again");
                }
                self.failures = 0;
                if !done.is_empty() {
                    info!(transactions = done.len(), in_ = ?begun.elapsed(), "the database is as the manifests say");
                }
                None
            }
            Err(failure) => {
                self.failures += 1;
                let wait = FIRST_RETRY * 2_u32.saturating_pow(self.failures - 1).min(100);
                let wait = wait.min(LAST_RETRY);
                tell(&failure, wait);
                Some(wait)
            }
        }
    }
}

/// Logs a failure. One that will pass by itself is not logged as an error.
fn tell(failure: &ApplyError, wait: Duration) {
    match failure {
        ApplyError::Commit { title, source } => match &**source {
            CommitError::Refused(refusal) if refusal.error.kind() == ErrorKind::NotOwner => {
                info!("another controller has the lock");
            }
            CommitError::Refused(refusal) => {
                warn!("cannot {title}: {refusal}; trying again in {wait:?}");
            }
            other => {
                let cause = ErrorChain::new(other);
                info!("cannot {title}: {cause}; trying again in {wait:?}");
            }
        },
        // The manifests contradict each other or the database.
        other => error!("{}; trying again in {wait:?}", ErrorChain::new(other)),
    }
}

impl Watched {
    /// Reads the manifests for the first time.
    ///
    /// # Errors
    /// As [`Manifests::read`](crate::manifest::Manifests::read), and when the command line is wrong.
    pub fn new(settings: Settings) -> Result<Self, InputError> {
        // The watch begins before the first read, so that no change is missed.
        let watch = Watch::new(&settings.paths);
        let mut files = Files::new(settings.paths.clone());
        files.scan(Duration::ZERO);
        Ok(Self {
            cluster: read(&files, &settings)?,
            settings,
            files,
            watch,
            reported: BTreeSet::new(),
        })
    }

    /// Logs the problems of a plan that are not in `reported`. Returns all problems of the plan.
    fn tell(&self, planned: &Planned) -> BTreeSet<String> {
        let mut problems = BTreeSet::new();
        let mut is_new = |problem: String| {
            let is_new = !self.reported.contains(&problem);
            problems.insert(problem);
            is_new
        };
        let refused = planned.refused.iter();
        let warnings = planned.warnings.iter();
        tell_all(refused.filter(|wrong| is_new(wrong.to_string())), []);
        tell_all([], warnings.filter(|warning| is_new(warning.to_string())));
        problems
    }

    /// Reads the manifests that may have changed. Returns what must be examined because of that. If a
    /// file cannot be read or parsed, or the command line does not fit the manifests, this is logged, and
    /// the earlier manifests stay in force.
    fn changed(&mut self, changed: Changed) -> Option<Scope> {
        let looked = match changed {
            Changed::Files(files) => self.files.scan_changed(&files),
            Changed::Anything => self.files.scan(SETTLES),
        };
        if looked.unsettled {
            self.watch.scan_in(SETTLES);
        }
        if !looked.changed {
            return None;
        }
        match read(&self.files, &self.settings) {
            Ok(cluster) => {
                let pods = cluster.changed_pods(&self.cluster);
                self.cluster = cluster;
                Some(pods.map_or(Scope::Everything, Scope::Pods))
            }
            Err(wrong) => {
                let wrong = ErrorChain::new(&wrong);
                error!("{wrong}; the earlier manifests stay in force");
                None
            }
        }
    }
}

/// Reads the manifests.
fn read(files: &Files, settings: &Settings) -> Result<Cluster, InputError> {
    let cluster = Cluster::new(&files.manifests()?, &settings.options)?;
    info!(
        networks = cluster.networks.len(),
        nodes = cluster.nodes.len(),
        pods = cluster.pods.len(),
        policies = cluster.policies.len(),
        refused = cluster.report.refused.len(),
        "manifests read"
    );
    let report = &cluster.report;
    tell_all(&report.refused, &report.warnings);
    for (kind, count) in &report.passed_over {
        warn!("ignored: {count} {kind}");
    }
    Ok(cluster)
}

fn tell_all<'a>(
    refused: impl IntoIterator<Item = &'a InputError>,
    warnings: impl IntoIterator<Item = &'a Warning>,
) {
    for wrong in refused {
        error!("{wrong}; left out");
    }
    for warning in warnings {
        warn!("{warning}");
    }
}
