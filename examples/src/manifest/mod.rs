//! Kubernetes manifests: the objects that matter here, and where each was found.

mod document;
mod kind;
mod source;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use self::document::Document;
pub use self::kind::{NAD, POLICY};
pub use self::source::files;
use crate::error::{InputError, Place, Reason};
use crate::field::{Field, Wrong};
use crate::report::{Kind, Report};

/// A NetworkAttachmentDefinition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nad {
    /// Where it was found.
    pub place: Place,
    /// `namespace/name`.
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
    /// Those of its annotations that the program reads.
    pub annotations: BTreeMap<String, String>,
}

/// A Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Those of its annotations that the program reads.
    pub annotations: BTreeMap<String, String>,
    /// The node it runs on, or must run on.
    pub node: Option<String>,
    /// Whether it has the node's own network, and no port.
    pub host_network: bool,
    /// Whether it has run to its end.
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
    /// Those of its annotations that the program reads.
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
    /// Those of its annotations that the program reads.
    pub annotations: BTreeMap<String, String>,
    /// Its `spec`.
    pub spec: Value,
}

/// Everything that was read.
#[derive(Debug, Clone, Default)]
pub struct Manifests {
    /// The NADs in the order of the files.
    pub nads: Vec<Nad>,
    /// The nodes in the order of the files.
    pub nodes: Vec<Node>,
    /// The pods in the order of the files.
    pub pods: Vec<Pod>,
    /// The namespaces in the order of the files.
    pub namespaces: Vec<Namespace>,
    /// The policies in the order of the files.
    pub policies: Vec<Policy>,
    /// What was left out, and why.
    pub report: Report,
    /// Where each object was found, and a digest that tells a repetition from a contradiction.
    seen: HashMap<String, (Place, [u8; 32])>,
}

impl Manifests {
    /// Reads files and folders as `kubectl -f` does: the `.yaml`, `.yml` and `.json` files of a
    /// folder in the order of their names, `-` for the standard input, several documents a file,
    /// objects of the kind `List`. A malformed object is left out and noted in the report.
    ///
    /// # Errors
    /// When a file cannot be read, or is neither YAML nor JSON.
    pub fn read<P: AsRef<Path>>(paths: &[P]) -> Result<Self, InputError> {
        let mut manifests = Self::default();
        for path in source::all_files(paths)? {
            let text = source::text(&path)?;
            manifests.add_text(&source::place(&path), &text)?;
        }
        Ok(manifests)
    }

    /// Reads the documents of one file's text.
    ///
    /// # Errors
    /// When it is neither YAML nor JSON.
    pub fn add_text(&mut self, file: &Place, text: &str) -> Result<(), InputError> {
        source::documents(file, text, |number, document| {
            let place = Place {
                document: number,
                ..file.clone()
            };
            match document {
                Ok(document) => self.add_document(&place, document),
                Err(error) => {
                    self.report.refused.push(error);
                    self.report.kept.keep_everything();
                }
            }
        })
    }

    fn add_document(&mut self, place: &Place, document: Document) {
        match document {
            Document::Object(value) => self.add_object(place, &value),
            Document::List(items) => {
                for (item, number) in items.into_iter().zip(1..) {
                    let place = Place {
                        item: number,
                        ..place.clone()
                    };
                    self.add_document(&place, item);
                }
            }
        }
    }

    fn add_object(&mut self, place: &Place, value: &Value) {
        let object = Field::new("", Some(value));
        let wrong = |report: &mut Report, wrong: Wrong| {
            report.refused.push(wrong.at(place));
            report.kept.keep_everything();
        };
        let (kind, version) = match kind(&object) {
            Ok(kind) => kind,
            Err(error) => return wrong(&mut self.report, error),
        };
        match served(kind, version.unwrap_or_default()) {
            Served::Here => {}
            Served::Not => {
                let kind = Kind {
                    kind: kind.to_owned(),
                    version: version.unwrap_or("no apiVersion").to_owned(),
                };
                *self.report.passed_over.entry(kind).or_default() += 1;
                return;
            }
            Served::Otherwise(_) => {}
        }
        let (namespace, name) = match names(&object) {
            Ok(names) => names,
            Err(error) => return wrong(&mut self.report, error),
        };
        let full_name = match kind {
            "Node" | "Namespace" => name.to_owned(),
            _ => format!("{namespace}/{name}"),
        };
        let place = Place {
            object: format!("{kind} {full_name}"),
            item: 0,
            ..place.clone()
        };
        let read = Identity {
            kind,
            version: version.unwrap_or_default(),
            namespace,
            name,
            full_name: &full_name,
        };
        if let Err(error) = self.add(&read, &place, &object) {
            // One that contradicts an earlier one takes nothing away.
            if !matches!(error.reason(), Reason::Duplicate(_)) {
                self.report.kept.keep_object(kind, namespace, name);
            }
            self.report.refused.push(error);
        }
    }

    fn add(
        &mut self,
        identity: &Identity<'_>,
        place: &Place,
        object: &Field<'_>,
    ) -> Result<(), InputError> {
        let Identity { kind, version, .. } = *identity;
        if version.is_empty() {
            return Err(InputError::new(place, "apiVersion", Reason::Missing));
        }
        if let Served::Otherwise(served) = served(kind, version) {
            let found = version.to_owned();
            return Err(InputError::new(
                place,
                "apiVersion",
                Reason::NotServed { found, served },
            ));
        }
        let text = object.value().map(ToString::to_string).unwrap_or_default();
        let digest = Sha256::digest(text).into();
        match self.seen.get(&place.object) {
            Some((_, known)) if *known == digest => return Ok(()),
            Some((other, _)) => {
                return Err(InputError::new(place, "", Reason::Duplicate(other.clone())));
            }
            None => {}
        }
        self.seen
            .insert(place.object.clone(), (place.clone(), digest));
        self.add_known(identity, place, object)
            .map_err(|wrong| wrong.at(place))
    }

    fn add_known(
        &mut self,
        identity: &Identity<'_>,
        place: &Place,
        object: &Field<'_>,
    ) -> Result<(), Wrong> {
        let metadata = object.member("metadata")?;
        let spec = object.member("spec")?;
        let annotations = metadata.member("annotations")?;
        let place = place.clone();
        let (namespace, name) = (identity.namespace.to_owned(), identity.name.to_owned());
        match identity.kind {
            NAD => self.nads.push(Nad {
                place,
                key: identity.full_name.to_owned(),
                config: spec
                    .member("config")?
                    .text()?
                    .unwrap_or_default()
                    .to_owned(),
            }),
            POLICY => self.policies.push(Policy {
                place,
                namespace,
                name,
                annotations: annotations.texts()?,
                spec: spec.value().cloned().unwrap_or_default(),
            }),
            "Namespace" => self.namespaces.push(Namespace {
                place,
                name,
                labels: metadata.member("labels")?.texts()?,
                annotations: annotations.texts()?,
            }),
            "Node" => self.nodes.push(Node {
                place,
                name,
                annotations: annotations.texts()?,
            }),
            _ => {
                let text = |field: Field<'_>| -> Result<Option<String>, Wrong> {
                    let text = field.text()?.filter(|text| !text.is_empty());
                    Ok(text.map(str::to_owned))
                };
                let selected = spec
                    .member("nodeSelector")?
                    .member("kubernetes.io/hostname")?;
                let phase = object.member("status")?.member("phase")?.text()?;
                self.pods.push(Pod {
                    place,
                    namespace,
                    name,
                    uid: text(metadata.member("uid")?)?,
                    labels: metadata.member("labels")?.texts()?,
                    annotations: annotations.texts()?,
                    node: text(spec.member("nodeName")?)?.or(text(selected)?),
                    host_network: spec.member("hostNetwork")?.boolean()?.unwrap_or_default(),
                    completed: matches!(phase, Some("Succeeded" | "Failed")),
                });
            }
        }
        Ok(())
    }
}

/// What an object is, and what it is called.
struct Identity<'a> {
    kind: &'a str,
    version: &'a str,
    namespace: &'a str,
    name: &'a str,
    full_name: &'a str,
}

/// An object's kind and API version.
fn kind<'a>(object: &Field<'a>) -> Result<(&'a str, Option<&'a str>), Wrong> {
    let field = object.member("kind")?;
    let kind = field.text()?.filter(|kind| !kind.is_empty());
    let kind = kind.ok_or_else(|| field.wrong("is missing"))?;
    // A document that is a list of objects was taken apart before.
    if kind == "List" {
        return Err(Field::new("items", None).wrong("must be a list"));
    }
    let version = object.member("apiVersion")?.text()?;
    Ok((kind, version.filter(|version| !version.is_empty())))
}

/// An object's namespace and name.
fn names<'a>(object: &Field<'a>) -> Result<(&'a str, &'a str), Wrong> {
    let metadata = object.member("metadata")?;
    let name = |field: &Field<'a>| match field.text()?.filter(|name| !name.is_empty()) {
        Some(name) if !is_name(name) => {
            Err(field.wrong(Reason::BadName(name.to_owned()).to_string()))
        }
        name => Ok(name),
    };
    let namespace = name(&metadata.member("namespace")?)?;
    let field = metadata.member("name")?;
    let name = name(&field)?.ok_or_else(|| field.wrong("is missing"))?;
    Ok((namespace.unwrap_or("default"), name))
}

/// Whether a kind of objects is read in a version.
enum Served {
    /// It is.
    Here,
    /// It is in other versions.
    Otherwise(&'static str),
    /// It is none of ours.
    Not,
}

fn served(kind: &str, version: &str) -> Served {
    let (versions, told): (&[&str], _) = match kind {
        NAD => (&["k8s.cni.cncf.io/v1"], "k8s.cni.cncf.io/v1"),
        POLICY => (
            &["k8s.cni.cncf.io/v1beta1", "k8s.cni.cncf.io/v1beta2"],
            "k8s.cni.cncf.io/v1beta1 or k8s.cni.cncf.io/v1beta2",
        ),
        // Others have kinds of these names, too: they are in API groups of a domain.
        "Pod" | "Node" | "Namespace" if version.contains('.') => return Served::Not,
        "Pod" | "Node" | "Namespace" => (&["v1"], "v1"),
        _ => return Served::Not,
    };
    if versions.contains(&version) {
        Served::Here
    } else {
        Served::Otherwise(told)
    }
}

/// Whether a text is a DNS subdomain, as names of objects are.
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
