//! What a run could leave behind on the machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::wait::eventually;
use crate::Result;

/// The environment variable of every process of a run, with the run's token.
pub(super) const TOKEN: &str = "OVSDB_E2E";

/// Folders that list network interfaces and named network namespaces, and the default folders of the daemons.
const FOLDERS: [&str; 7] = [
    "/etc/openvswitch",
    "/run/netns",
    "/run/openvswitch",
    "/run/ovn",
    "/sys/class/net",
    "/var/log/openvswitch",
    "/var/log/ovn",
];

/// The machine's mounts, and what is in [`FOLDERS`]: network interfaces, namespaces, sockets, logs.
#[derive(Debug)]
pub(super) struct Footprint(BTreeSet<String>);

impl Footprint {
    pub(super) fn of_machine() -> Result<Self> {
        let mut all = BTreeSet::new();
        for mount in fs::read_to_string("/proc/self/mountinfo")?.lines() {
            all.insert(format!("the mount {mount}"));
        }
        for folder in FOLDERS {
            // Some of the folders do not exist on every machine.
            for entry in fs::read_dir(folder).into_iter().flatten() {
                all.insert(entry?.path().display().to_string());
            }
        }
        Ok(Self(all))
    }

    /// Waits until nothing is left of the run with this token: no process, and nothing that did not
    /// exist before.
    ///
    /// # Errors
    /// When something is left, or the machine cannot be examined; the error lists what was left.
    pub(super) fn wait_until_gone(&self, token: &str) -> Result {
        let mut left = Vec::new();
        // The kernel ends processes and frees their resources asynchronously.
        let gone = eventually("the end of everything", || {
            let now = Self::of_machine()?.0;
            left = processes(token)?;
            left.extend(now.difference(&self.0).cloned());
            Ok(left.is_empty().then_some(()))
        });
        match left.as_slice() {
            [] => gone,
            left => Err(format!("the run has left behind:\n{}", left.join("\n")).into()),
        }
    }
}

/// The processes of the run with this token, except this one.
pub(super) fn processes(token: &str) -> Result<Vec<String>> {
    let mark = format!("{TOKEN}={token}");
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let id = path.file_name().unwrap_or_default().to_string_lossy();
        if id == *own || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        if has_variable(&path, &mark) {
            let command = fs::read(path.join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            found.push(format!("process {id}: {command}"));
        }
    }
    Ok(found)
}

/// Whether a process has this variable. A process that is ending has none.
fn has_variable(process: &Path, mark: &str) -> bool {
    let variables = fs::read(process.join("environ")).unwrap_or_default();
    let mut variables = variables.split(|byte| *byte == 0);
    variables.any(|variable| variable == mark.as_bytes())
}
