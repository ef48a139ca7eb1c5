//! Watches files for changes, and reports each file once it is completely written.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use crate::manifest::is_manifest;

/// How long changes are gathered, since related changes come in several files.
const GATHER: Duration = Duration::from_millis(3);
/// After this time, a file counts as complete even if it was not closed.
pub const SETTLES: Duration = Duration::from_millis(150);
/// How long changes are gathered at most, if they do not stop.
const LONGEST: Duration = Duration::from_secs(1);
/// How often all files are examined, for file systems that do not report changes.
const SCAN: Duration = Duration::from_secs(10);
/// The same, if no watch could be set up.
const SCAN_OFTEN: Duration = Duration::from_secs(1);

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// These files, which are completely written or were removed.
    Files(BTreeSet<PathBuf>),
    /// Unknown: anything may have changed.
    Anything,
}

/// Watches files, and the files of folders.
#[derive(Debug)]
pub struct Watch {
    /// The paths, each with its absolute form.
    paths: Vec<(PathBuf, PathBuf)>,
    /// The watch works as long as this lives.
    watcher: Option<RecommendedWatcher>,
    events: UnboundedReceiver<notify::Result<Event>>,
    /// Files that are being written.
    open: BTreeSet<PathBuf>,
    whole: BTreeSet<PathBuf>,
    anything: bool,
    /// When the first and the last of these changes were reported.
    first_and_last: Option<(Instant, Instant)>,
    scan_at: Instant,
}

impl Watch {
    /// Watches these files and folders.
    #[must_use]
    pub fn new(paths: &[PathBuf]) -> Self {
        let (sender, events) = unbounded_channel();
        let report = move |event| drop(sender.send(event));
        let absolute = |path: &PathBuf| {
            let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            (path.clone(), absolute)
        };
        let paths: Vec<_> = paths.iter().map(absolute).collect();
        let watch = || {
            let mut watcher = notify::recommended_watcher(report)?;
            for (path, absolute) in paths.iter().filter(|(path, _)| *path != *Path::new("-")) {
                // Watch the folder, since a file may be replaced by another one with the same name.
                let folder = if path.is_dir() {
                    Some(absolute.as_path())
                } else {
                    absolute.parent()
                };
                let folder = folder.unwrap_or(absolute);
                watcher.watch(folder, RecursiveMode::NonRecursive)?;
            }
            Ok::<_, notify::Error>(watcher)
        };
        let watcher = watch();
        if let Err(error) = &watcher {
            warn!("cannot watch the manifests; they are examined every second instead: {error}");
        }
        let mut watch = Self {
            watcher: watcher.ok(),
            paths,
            events,
            open: BTreeSet::new(),
            whole: BTreeSet::new(),
            anything: false,
            first_and_last: None,
            scan_at: Instant::now(),
        };
        watch.look_regularly();
        watch
    }

    fn look_regularly(&mut self) {
        let has_watcher = self.watcher.is_some();
        self.scan_in(if has_watcher { SCAN } else { SCAN_OFTEN });
    }

    /// Waits until something may have changed. Cancel-safe: the future may be dropped at any time.
    pub async fn changed(&mut self) -> Changed {
        loop {
            let whole_at = self.first_and_last.map(|(first, last)| {
                let wait = if self.open.is_empty() {
                    GATHER
                } else {
                    SETTLES
                };
                (last + wait).min(first + LONGEST)
            });
            tokio::select! {
                event = self.events.recv(), if self.watcher.is_some() => match event {
                    Some(event) => self.note(event),
                    None => self.watcher = None,
                },
                () = sleep_until(whole_at.unwrap_or(self.scan_at)), if whole_at.is_some() => {
                    self.first_and_last = None;
                    let mut files = std::mem::take(&mut self.whole);
                    files.append(&mut self.open);
                    return match std::mem::take(&mut self.anything) {
                        true => Changed::Anything,
                        false => Changed::Files(files),
                    };
                }
                () = sleep_until(self.scan_at) => {
                    self.look_regularly();
                    return Changed::Anything;
                }
            }
        }
    }

    /// Reports a change after this time, even if nothing was noticed.
    pub fn scan_in(&mut self, wait: Duration) {
        self.scan_at = Instant::now() + wait;
    }

    fn note(&mut self, event: notify::Result<Event>) {
        let Ok(event) = event else {
            return self.note_time(true);
        };
        let is_open = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => return,
            EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => true,
            _ => false,
        };
        let mut anything = event.need_rescan();
        let mut known = false;
        for reported in &event.paths {
            let given = self.paths.iter().find_map(|(path, absolute)| {
                let rest = reported.strip_prefix(absolute).ok()?;
                let is_it = rest.as_os_str().is_empty();
                Some((is_it, if is_it { path.clone() } else { path.join(rest) }))
            });
            match given {
                Some((is_it, path)) if is_it || is_manifest(&path) => {
                    known = true;
                    self.open.remove(&path);
                    let files = if is_open {
                        &mut self.open
                    } else {
                        &mut self.whole
                    };
                    files.insert(path);
                }
                // A link to the folder of the manifests may have been replaced.
                Some(_) => anything |= reported.is_dir(),
                None => {}
            }
        }
        if known || anything {
            self.note_time(anything);
        }
    }

    fn note_time(&mut self, anything: bool) {
        self.anything |= anything;
        let now = Instant::now();
        let first = self.first_and_last.map_or(now, |(first, _)| first);
        self.first_and_last = Some((first, now));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn files_are_reported_once_they_are_completely_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let mut watch = Watch::new(&[folder.path().to_owned()]);
        let mut changed = async || {
            let changed = watch.changed();
            let limit = Duration::from_secs(5);
            tokio::time::timeout(limit, changed)
                .await
                .expect("a change")
        };
        let mut file = fs::File::create(path("a.yaml")).expect("a file");
        file.write_all(b"kind: ").expect("a text");
        file.write_all(b"Pod").expect("a text");
        drop(file);
        fs::write(path("other"), "nothing").expect("a file");
        assert_eq!(changed().await, Changed::Files([path("a.yaml")].into()));
        fs::write(path("new"), "kind: Pod").expect("a file");
        fs::rename(path("new"), path("b.json")).expect("a name");
        assert_eq!(changed().await, Changed::Files([path("b.json")].into()));
        fs::remove_file(path("a.yaml")).expect("no file");
        assert_eq!(changed().await, Changed::Files([path("a.yaml")].into()));
        // As Kubernetes replaces volumes.
        fs::create_dir(path("folder")).expect("a folder");
        fs::rename(path("folder"), path("..data")).expect("a name");
        assert_eq!(changed().await, Changed::Anything);
    }
}
