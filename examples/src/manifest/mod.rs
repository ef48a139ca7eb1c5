//! Kubernetes manifests: the objects that matter here, and where each was found.

mod document;
mod files;
mod kind;
mod object;
mod source;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

pub use self::files::{Files, Scan, is_manifest};
pub use self::kind::{NAD, POLICY};
use self::object::{Entry, Found, Object, entries};
use crate::error::{InputError, Place, Reason};
use crate::report::Report;

/// A NetworkAttachmentDefinition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nad {
    /// Where it was found.
    pub place: Place,
    /// Its key, `namespace/name`.
    pub key: String,
    /// The text of `spec.config`; empty where there is none.
    pub config: String,
}

/// A Node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it was found.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// Those of its annotations that OVN-Kubernetes or Multus defines.
    pub annotations: BTreeMap<String, String>,
}

/// A Pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pod {
    /// Where it was found.
    pub place: Place,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid, which a manifest that was never applied lacks.
    pub uid: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Those of its annotations that OVN-Kubernetes or Multus defines.
    pub annotations: BTreeMap<String, String>,
    /// The node it runs on, or must run on.
    pub node: Option<String>,
    /// Whether it uses the node's own network, and so has no port.
    pub host_network: bool,
    /// Whether it has completed.
    pub completed: bool,
}

/// A Namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Where it was found.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Those of its annotations that OVN-Kubernetes or Multus defines.
    pub annotations: BTreeMap<String, String>,
}

/// A MultiNetworkPolicy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Where it was found.
    pub place: Place,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Those of its annotations that OVN-Kubernetes or Multus defines.
    pub annotations: BTreeMap<String, String>,
    /// Its `spec`.
    pub spec: Value,
}

/// All objects that were read.
#[derive(Debug, Clone, Default)]
pub struct Manifests {
    /// The NADs in the order of the files.
    pub nads: Vec<Nad>,
    /// The nodes in the order of the files.
    pub nodes: Vec<Node>,
    /// The pods in the order of the files.
    pub pods: Vec<Arc<Pod>>,
    /// The namespaces in the order of the files.
    pub namespaces: Vec<Namespace>,
    /// The policies in the order of the files.
    pub policies: Vec<Policy>,
    /// What was left out, and why.
    pub report: Report,
    /// Where each object was found, and a digest that distinguishes a repetition from a contradiction.
    seen: HashMap<String, (Place, [u8; 32])>,
}

impl Manifests {
    /// Reads files and folders as `kubectl -f` does: the `.yaml`, `.yml` and `.json` files of a
    /// folder in the order of their names, `-` for the standard input, several documents a file,
    /// lists of objects (`List`, `PodList`). A malformed object is left out and noted in the report.
    ///
    /// # Errors
    /// When a file or folder cannot be read, a folder has no manifest, or a file is too long, not UTF-8,
    /// neither YAML nor JSON, nested too deeply, or many times longer with its aliases resolved.
    pub fn read(paths: &[PathBuf]) -> Result<Self, InputError> {
        Files::new(paths.to_vec()).read()
    }

    /// Reads the documents of one file's text.
    ///
    /// # Errors
    /// When it is neither YAML nor JSON, is nested too deeply, or is many times longer with its aliases resolved.
    pub fn add_text(&mut self, file: &Place, text: &str) -> Result<(), InputError> {
        for entry in &entries(file, text)? {
            self.add(entry);
        }
        Ok(())
    }

    fn add(&mut self, entry: &Entry) {
        let found = match entry {
            Entry::Object(found) => found,
            Entry::NotRead(kind) => {
                *self.report.passed_over.entry(kind.clone()).or_default() += 1;
                return;
            }
            Entry::Unknown(error) => {
                self.report.refused.push(error.clone());
                self.report.kept.keep_everything();
                return;
            }
        };
        let Found { place, digest, .. } = &**found;
        if let Some(digest) = digest {
            match self.seen.get(&place.object) {
                Some((_, known)) if known == digest => return,
                Some((other, _)) => {
                    // If it contradicts an earlier object, the earlier one is kept.
                    let error = InputError::new(place, "", Reason::Duplicate(other.clone()));
                    self.report.refused.push(error);
                    return;
                }
                None => {}
            }
            let seen = (place.clone(), *digest);
            self.seen.insert(place.object.clone(), seen);
        }
        match &found.object {
            Ok(Object::Nad(nad)) => self.nads.push(nad.clone()),
            Ok(Object::Node(node)) => self.nodes.push(node.clone()),
            Ok(Object::Pod(pod)) => self.pods.push(pod.clone()),
            Ok(Object::Namespace(namespace)) => self.namespaces.push(namespace.clone()),
            Ok(Object::Policy(policy)) => self.policies.push(policy.clone()),
            Err(error) => {
                let (kind, namespace, name) = &found.name;
                self.report.kept.keep_object(kind, namespace, name);
                self.report.refused.push(error.clone());
            }
        }
    }
}

/// Whether a text is a DNS subdomain, as the names of objects must be.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let label = |label: &str| {
        let bytes = label.as_bytes();
        bytes.iter().all(|byte| letter(*byte) || *byte == b'-')
            && bytes.first().is_some_and(|byte| letter(*byte))
            && bytes.last().is_some_and(|byte| letter(*byte))
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests;
