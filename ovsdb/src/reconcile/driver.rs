//! The task that takes keys from the queue and starts attempts.

use std::future::poll_fn;
use std::hash::Hash;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::attempt::Job;
use super::health::Ended;
use crate::cache::{Freshness, Work, WorkQueue, catching, message};
use crate::model::Database;

/// Takes keys until it is stopped, the client or the cache ends, the queue ends, or a user's function that
/// feeds the queue panics; then waits for the running attempts.
pub(super) async fn drive<D: Database, K>(
    job: Arc<Job<D, K>>,
    queue: WorkQueue<K>,
    concurrency: usize,
    mut stop: watch::Receiver<bool>,
) -> Ended
where
    K: Hash + Eq + Clone + std::fmt::Debug + Send + Sync + 'static,
{
    let mut running = JoinSet::new();
    let mut freshness = job.cache.freshness();
    let ended = loop {
        job.counters.set_queued(queue.len());
        let now = freshness.get();
        if now == Freshness::Ended {
            break Ended::CacheEnded;
        }
        let takes = now == Freshness::Current && running.len() < concurrency;
        tokio::select! {
            biased;
            // An error means that the last handle was dropped.
            _ = stop.wait_for(|stop| *stop) => break Ended::Stopped,
            changed = freshness.changed() => if changed.is_err() {
                break Ended::CacheEnded;
            },
            Some(_) = running.join_next(), if !running.is_empty() => {}
            taken = next(&queue, takes) => match taken {
                Ok(Some(first)) => {
                    let mut keys = vec![first];
                    keys.extend(queue.take_queued(job.settings.shared_commits - 1));
                    let job = job.clone();
                    running.spawn(async move { job.attempt(keys).await });
                }
                Ok(None) => break Ended::QueueEnded,
                Err(panic) => break Ended::Panicked(panic),
            },
        }
    };
    // This also ends the queue's streams, and frees what they hold.
    queue.close();
    while running.join_next().await.is_some() {}
    ended
}

/// The next key, if one may be taken. The queue is fed from changes even if none may, so that its
/// length and the age of its keys are known. The error is the message of a panic in a user's
/// function: one that computes keys, or the predicate of a stream.
async fn next<K: Hash + Eq + Clone + Send + 'static>(
    queue: &WorkQueue<K>,
    takes: bool,
) -> Result<Option<Work<K>>, String> {
    let polled = poll_fn(|context| {
        let polled = catching(|| {
            if takes {
                queue.poll_next(context)
            } else {
                queue.poll_sources(context);
                Poll::Pending
            }
        });
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(message(&*panic).to_owned())),
        }
    });
    polled.await
}
