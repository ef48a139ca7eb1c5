//! Files of manifests. A file is read again only if it has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use super::object::{Entry, entries};
use super::{Manifests, source};
use crate::error::{InputError, Reason};

/// Files and folders of manifests. A file that does not change is read once.
#[derive(Debug)]
pub struct Files {
    paths: Vec<PathBuf>,
    /// The files in their order.
    list: Result<Vec<PathBuf>, InputError>,
    read: BTreeMap<PathBuf, (Stamp, Content)>,
}

/// What is in a file.
type Content = Result<Vec<Entry>, InputError>;

/// The modification time and length of a file; `None` if they cannot be read.
type Stamp = Option<(SystemTime, u64)>;

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Whether a file was written so recently that more may follow.
fn is_young(stamp: &Stamp, settles: Duration) -> bool {
    stamp.is_some_and(|(written, _)| written.elapsed().is_ok_and(|age| age < settles))
}

/// Whether a file of a folder is read, by its name.
#[must_use]
pub fn is_manifest(path: &Path) -> bool {
    let mut known = ["yaml", "yml", "json"].iter();
    path.extension()
        .is_some_and(|found| known.any(|known| found == *known))
}

/// The result of examining files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scan {
    /// Whether files were read or removed, or a folder could not be listed or has no manifest.
    pub changed: bool,
    /// Whether files were not read yet because they were written too recently.
    pub unsettled: bool,
}

impl Files {
    /// No file is read yet.
    #[must_use]
    pub const fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            list: Ok(Vec::new()),
            read: BTreeMap::new(),
        }
    }

    /// Reads every file that was not read yet, or has changed.
    ///
    /// # Errors
    /// As [`Manifests::read`].
    pub fn read(&mut self) -> Result<Manifests, InputError> {
        self.scan(Duration::ZERO);
        self.manifests()
    }

    /// Reads the files that are new or whose modification time or length has changed, unless they were
    /// written less than `settles` ago.
    pub fn scan(&mut self, settles: Duration) -> Scan {
        let mut scan = self.list_again();
        for path in self.list.iter().flatten() {
            let now = stamp(path);
            if self.read.get(path).is_some_and(|(known, _)| *known == now) {
                continue;
            }
            if is_young(&now, settles) {
                scan.unsettled = true;
                continue;
            }
            self.read.insert(path.clone(), (now, content(path)));
            scan.changed = true;
        }
        scan
    }

    /// Reads these files again, and files that were not read yet. Files that were removed from a folder are
    /// forgotten.
    pub fn scan_changed(&mut self, changed: &BTreeSet<PathBuf>) -> Scan {
        let mut scan = Scan::default();
        let is_known = |path: &PathBuf| self.read.contains_key(path) && path.is_file();
        if !changed.iter().all(is_known) {
            scan = self.list_again();
        }
        for path in self.list.iter().flatten() {
            if changed.contains(path) || !self.read.contains_key(path) {
                self.read.insert(path.clone(), (stamp(path), content(path)));
                scan.changed = true;
            }
        }
        scan
    }

    fn list_again(&mut self) -> Scan {
        self.list = all_files(&self.paths);
        let before = self.read.len();
        if let Ok(list) = &self.list {
            let list: BTreeSet<_> = list.iter().collect();
            self.read.retain(|path, _| list.contains(path));
        }
        Scan {
            changed: self.read.len() < before || self.list.is_err(),
            unsettled: false,
        }
    }

    /// Everything that was read.
    ///
    /// # Errors
    /// When a file or folder cannot be read, a folder has no manifest, or a file is too long, not UTF-8,
    /// neither YAML nor JSON, nested too deeply, or many times longer with its aliases resolved.
    pub fn manifests(&self) -> Result<Manifests, InputError> {
        let mut manifests = Manifests::default();
        for path in self.list.as_ref().map_err(Clone::clone)? {
            if let Some((_, content)) = self.read.get(path) {
                let entries = content.as_ref().map_err(Clone::clone)?;
                entries.iter().for_each(|entry| manifests.add(entry));
            }
        }
        Ok(manifests)
    }
}

fn content(path: &Path) -> Content {
    entries(&source::place(path), &source::text(path)?)
}

/// The files at these paths, as `kubectl -f` finds them: in a folder, those with the names of
/// manifests, sorted.
///
/// # Errors
/// When a folder cannot be read, or has no such file.
fn all_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, InputError> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let error = |error: io::Error| InputError::new(&source::place(path), "", error);
            let found = folder(path).map_err(error)?;
            if found.is_empty() {
                return Err(InputError::new(
                    &source::place(path),
                    "",
                    Reason::NoManifests,
                ));
            }
            files.extend(found);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

/// The manifests of a folder.
fn folder(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let path = entry.path();
        // The entry of a link does not tell what it leads to.
        if is_manifest(&path) && (entry.file_type()?.is_file() || path.is_file()) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
