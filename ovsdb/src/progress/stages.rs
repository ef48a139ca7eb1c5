//! Waiting until the daemons of several stages, one after the other, have confirmed a request.

use std::time::Duration;

use super::error::{Behind, Daemon, ProgressError};
use super::request::{Counters, Request, Shared};
use crate::client::{Cache, Client, WaitError};
use crate::error::{DisconnectReason, Disconnected, Error};

/// The stages that the daemons have reached.
pub(super) struct Reached<T> {
    pub(super) request: Request,
    /// The time from the request until each stage.
    pub(super) stages: Vec<Duration>,
    /// The counters when the last stage was reached.
    #[cfg_attr(
        not(feature = "nb"),
        expect(dead_code, reason = "Open_vSwitch has no times")
    )]
    pub(super) counters: T,
}

/// What is known if the time limit passes.
#[derive(Default)]
struct SoFar {
    request: Option<Request>,
    /// How many stages were reached.
    stages: usize,
}

/// What a view shows of a request.
enum Seen<T> {
    Confirmed(T),
    Obstacle(ProgressError),
    /// It does not show the request.
    Nothing,
}

/// Makes a request, and waits until the daemons of each of these stages have confirmed it.
pub(super) async fn wait<T: Counters>(
    client: &Client<T::Database>,
    stages: &[Daemon],
    limit: Option<Duration>,
) -> Result<Reached<T>, ProgressError> {
    let shared = client.attached::<Shared<T>>();
    let mut so_far = SoFar::default();
    let reached = reach(client, &shared, stages, &mut so_far);
    let Some(limit) = limit else {
        return reached.await;
    };
    if let Ok(reached) = tokio::time::timeout(limit, reached).await {
        return reached;
    }
    let daemon = stages[so_far.stages.min(stages.len() - 1)];
    Err(ProgressError::TimedOut(Box::new(Behind {
        daemon,
        limit,
        requested: so_far.request.map(|request| request.number),
        confirmed: shared.counters().map(|row| row.confirmed(daemon)),
        connection: client.state().get(),
        #[cfg(feature = "sb")]
        chassis: None,
    })))
}

async fn reach<T: Counters>(
    client: &Client<T::Database>,
    shared: &Shared<T>,
    stages: &[Daemon],
    so_far: &mut SoFar,
) -> Result<Reached<T>, ProgressError> {
    let mut arrival = shared.arrive();
    let cache = shared.cache(client).await.map_err(ProgressError::Replica)?;
    loop {
        let request = shared.request(client, arrival).await;
        let request = request.map_err(ProgressError::Request)?;
        *so_far = SoFar {
            request: Some(request),
            stages: 0,
        };
        if let Some(reached) = confirmed(cache, request, stages, so_far).await? {
            return Ok(reached);
        }
        // A current replica shows everything that was committed.
        cache.current().await.map_err(ProgressError::Replica)?;
        let requested = shared.counters().map(|row| row.requested());
        if requested.is_none_or(|requested| requested < request.number) {
            // The database was replaced, or the number was set back: no daemon will confirm this
            // request.
            arrival = shared.arrive();
        }
    }
}

/// Waits for each stage; returns `None` if a view does not show the request.
async fn confirmed<T: Counters>(
    cache: &Cache<T::Database>,
    request: Request,
    stages: &[Daemon],
    so_far: &mut SoFar,
) -> Result<Option<Reached<T>>, ProgressError> {
    let mut durations = Vec::new();
    let mut counters = T::default();
    for daemon in stages {
        let seen = cache.wait_until(None, |view| {
            let row = view.rows::<T>().next();
            let Some(row) = row.filter(|row| row.requested() >= request.number) else {
                return Some(Seen::Nothing);
            };
            if has_reached(row.confirmed(*daemon), request.number) {
                return Some(Seen::Confirmed(T::clone(row)));
            }
            row.obstacle(*daemon).map(Seen::Obstacle)
        });
        match seen.await.map_err(ended)? {
            Seen::Confirmed(row) => counters = row,
            Seen::Obstacle(obstacle) => return Err(obstacle),
            Seen::Nothing => return Ok(None),
        }
        durations.push(request.made.elapsed());
        so_far.stages += 1;
    }
    Ok(Some(Reached {
        request,
        stages: durations,
        counters,
    }))
}

/// Whether a daemon that confirmed one number has confirmed a request with another. Numbers wrap
/// around, so a number that is far above the request is from before the wrap.
const fn has_reached(confirmed: i64, requested: i64) -> bool {
    confirmed >= requested && confirmed.saturating_sub(requested) < i32::MAX as i64
}

fn ended(error: WaitError) -> ProgressError {
    let lost = match error {
        WaitError::Ended(lost) => lost,
        // Without a limit this cannot happen.
        WaitError::TimedOut { .. } => Disconnected::new(DisconnectReason::TimedOut),
    };
    ProgressError::Replica(Error::Disconnected(lost))
}

#[cfg(test)]
mod tests {
    use super::has_reached;

    #[test]
    fn a_number_from_before_the_wrap_around_confirms_nothing() {
        assert!(has_reached(7, 7) && has_reached(8, 7) && !has_reached(6, 7));
        assert!(!has_reached(i64::MAX, 1) && has_reached(i64::MAX, i64::MAX));
        assert!(!has_reached(i64::MIN, i64::MAX));
    }
}
