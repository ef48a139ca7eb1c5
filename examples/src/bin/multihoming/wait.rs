//! Waiting until OVN has applied what was written.

use std::io::Write as _;
use std::time::Duration;

use clap::{Args, ValueEnum};
use multihoming::connection::Connection;
use ovsdb::nb::{self, Stage};
use ovsdb::progress::{Behind, Daemon, LaggingChassis, ProgressError};
use ovsdb::sb;

use crate::connection::{NorthboundDatabase, OptionError, SouthboundDatabase};
use crate::failure::{Failure, warn};

/// The time allowed for reading from the southbound database which chassis are late.
const SOUTHBOUND_LIMIT: Duration = Duration::from_secs(10);

/// What to wait for, and how long.
#[derive(Debug, Args)]
pub(crate) struct Waiting {
    /// Wait until OVN has applied what the northbound database says, even if nothing had to be
    /// written
    ///
    /// ovn-nbctl does not wait if it has written nothing. This command does, so it can be repeated
    /// after its time limit.
    #[arg(long, value_enum, value_name = "STAGE", default_value_t)]
    wait: Until,
    /// How many seconds to wait at most
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
    #[command(flatten)]
    southbound: SouthboundDatabase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Until {
    /// Do not wait
    #[default]
    None,
    /// Until ovn-northd has written the southbound database (`sb` for ovn-nbctl)
    #[value(alias = "sb")]
    Northd,
    /// Also until all chassis have installed their flows (`hv` for ovn-nbctl)
    #[value(alias = "hv")]
    Hypervisors,
}

/// What is waited for.
#[derive(Debug)]
pub(crate) struct Wait {
    stage: Stage,
    limit: Duration,
    southbound: Connection,
}

impl Waiting {
    /// What to wait for, if anything.
    pub(crate) fn wait(&self, database: &NorthboundDatabase) -> Result<Option<Wait>, OptionError> {
        let stage = match self.wait {
            Until::None => return Ok(None),
            Until::Northd => Stage::Northd,
            Until::Hypervisors => Stage::Hypervisors,
        };
        Ok(Some(Wait {
            stage,
            limit: Duration::from_secs(self.timeout),
            southbound: database.southbound(&self.southbound)?,
        }))
    }
}

impl Wait {
    /// Waits. If `print`, also prints how long each stage took.
    pub(crate) async fn run(self, client: &nb::Client, print: bool) -> Result<(), Failure> {
        let realized = nb::realized(client, self.stage).timeout(self.limit).await;
        let realized = match realized {
            Ok(realized) => realized,
            Err(error) => return Err(explain(error, self.southbound).await.into()),
        };
        if print {
            let mut out = std::io::stdout().lock();
            writeln!(
                out,
                "northd: done after {:.3} s",
                realized.northd.as_secs_f64()
            )?;
            if let Some(hypervisors) = realized.hypervisors {
                writeln!(
                    out,
                    "hypervisors: done after {:.3} s",
                    hypervisors.as_secs_f64()
                )?;
            }
        }
        Ok(())
    }
}

/// Adds the late chassis to the error if chassis, not ovn-northd, are late. Only then is the southbound
/// database needed.
async fn explain(error: ProgressError, southbound: Connection) -> ProgressError {
    let ProgressError::TimedOut(mut behind) = error else {
        return error;
    };
    if behind.daemon == Daemon::Controllers {
        let lagging = lagging(&behind, southbound);
        let lagging = tokio::time::timeout(SOUTHBOUND_LIMIT, lagging).await;
        match lagging.unwrap_or_else(|late| Err(late.into())) {
            Ok(chassis) => behind.chassis = Some(chassis),
            Err(failure) => warn(
                "cannot ask the southbound database which chassis are late",
                &failure,
            ),
        }
    }
    ProgressError::TimedOut(behind)
}

async fn lagging(behind: &Behind, southbound: Connection) -> Result<Vec<LaggingChassis>, Failure> {
    let southbound: sb::Client = southbound.connect().await?;
    let requested = behind.requested.unwrap_or_default();
    Ok(sb::lagging_chassis(&southbound, requested).await?)
}
