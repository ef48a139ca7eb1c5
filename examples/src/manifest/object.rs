//! The objects in a file's text.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::document::Document;
use super::{NAD, Nad, Namespace, Node, POLICY, Pod, Policy, is_name, source};
use crate::error::{InputError, Place, Reason};
use crate::field::{Field, Wrong};
use crate::report::Kind;

/// The result of reading a document, or an item of a list.
#[derive(Debug)]
pub(super) enum Entry {
    /// It is not a mapping, its kind or name is missing or malformed, its API version or namespace is
    /// malformed, a mapping in it has a key twice, or it is a `List` whose `items` are not a list.
    Unknown(InputError),
    /// Its kind is not read.
    NotRead(Kind),
    /// Its kind is read.
    Object(Box<Found>),
}

/// An object of a kind that is read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) place: Place,
    /// Its kind, namespace and name.
    pub(super) name: (String, String, String),
    /// What distinguishes it from others with the same name; `None` if its API version is refused.
    pub(super) digest: Option<[u8; 32]>,
    pub(super) object: Result<Object, InputError>,
}

#[derive(Debug)]
pub(super) enum Object {
    Nad(Nad),
    Node(Node),
    Pod(Arc<Pod>),
    Namespace(Namespace),
    Policy(Policy),
}

/// Reads the documents of a file's text.
///
/// # Errors
/// When it is neither YAML nor JSON, is nested too deeply, or is many times longer with its aliases resolved.
pub(super) fn entries(file: &Place, text: &str) -> Result<Vec<Entry>, InputError> {
    let mut entries = Vec::new();
    source::documents(file, text, |number, document| {
        let place = Place {
            document: number,
            ..file.clone()
        };
        match document {
            Ok(document) => add_document(&mut entries, &place, document),
            Err(error) => entries.push(Entry::Unknown(error)),
        }
    })?;
    Ok(entries)
}

fn add_document(entries: &mut Vec<Entry>, place: &Place, document: Document) {
    match document {
        Document::Object(value) => {
            let entry = entry(place, &Field::new("", Some(&value)));
            entries.push(entry.unwrap_or_else(|wrong| Entry::Unknown(wrong.at(place))));
        }
        Document::List(items) => {
            for (item, number) in items.into_iter().zip(1..) {
                let place = Place {
                    item: number,
                    ..place.clone()
                };
                add_document(entries, &place, item);
            }
        }
    }
}

fn entry(place: &Place, object: &Field<'_>) -> Result<Entry, Wrong> {
    let (kind, version) = kind(object)?;
    let served = served(kind, version.unwrap_or_default());
    if matches!(served, Served::Not) {
        return Ok(Entry::NotRead(Kind {
            kind: kind.to_owned(),
            version: version.unwrap_or("no apiVersion").to_owned(),
        }));
    }
    let (namespace, name) = names(object)?;
    let full_name = match kind {
        "Node" | "Namespace" => name.to_owned(),
        _ => format!("{namespace}/{name}"),
    };
    let place = Place {
        object: format!("{kind} {full_name}"),
        item: 0,
        ..place.clone()
    };
    let refused = match (version, served) {
        (None, _) => Some(Reason::Missing),
        (Some(found), Served::Otherwise(served)) => {
            let found = found.to_owned();
            Some(Reason::NotServed { found, served })
        }
        _ => None,
    };
    let (digest, object) = match refused {
        Some(reason) => (None, Err(InputError::new(&place, "apiVersion", reason))),
        None => {
            let text = object.value().map(ToString::to_string).unwrap_or_default();
            let read = read(kind, &place, namespace, name, object);
            let read = read.map_err(|wrong| wrong.at(&place));
            (Some(Sha256::digest(text).into()), read)
        }
    };
    Ok(Entry::Object(Box::new(Found {
        name: (kind.to_owned(), namespace.to_owned(), name.to_owned()),
        place,
        digest,
        object,
    })))
}

fn read(
    kind: &str,
    place: &Place,
    namespace: &str,
    name: &str,
    object: &Field<'_>,
) -> Result<Object, Wrong> {
    let metadata = object.member("metadata")?;
    let spec = object.member("spec")?;
    let annotations = metadata.member("annotations")?;
    let (place, namespace, name) = (place.clone(), namespace.to_owned(), name.to_owned());
    Ok(match kind {
        NAD => Object::Nad(Nad {
            place,
            key: format!("{namespace}/{name}"),
            config: spec
                .member("config")?
                .text()?
                .unwrap_or_default()
                .to_owned(),
        }),
        POLICY => Object::Policy(Policy {
            place,
            namespace,
            name,
            annotations: annotations.texts()?,
            spec: spec.value().cloned().unwrap_or_default(),
        }),
        "Namespace" => Object::Namespace(Namespace {
            place,
            name,
            labels: metadata.member("labels")?.texts()?,
            annotations: annotations.texts()?,
        }),
        "Node" => Object::Node(Node {
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
            Object::Pod(Arc::new(Pod {
                place,
                namespace,
                name,
                uid: text(metadata.member("uid")?)?,
                labels: metadata.member("labels")?.texts()?,
                annotations: annotations.texts()?,
                node: text(spec.member("nodeName")?)?.or(text(selected)?),
                host_network: spec.member("hostNetwork")?.boolean()?.unwrap_or_default(),
                completed: matches!(phase, Some("Succeeded" | "Failed")),
            }))
        }
    })
}

/// An object's kind and API version.
fn kind<'a>(object: &Field<'a>) -> Result<(&'a str, Option<&'a str>), Wrong> {
    let field = object.member("kind")?;
    let kind = field.text()?.filter(|kind| !kind.is_empty());
    let kind = kind.ok_or_else(|| field.wrong("is missing"))?;
    // A document that is a list of objects was split before.
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

/// Whether a kind is read in an API version.
enum Served {
    /// It is.
    Here,
    /// It is read, but in other versions.
    Otherwise(&'static str),
    /// It is not read.
    Not,
}

fn served(kind: &str, version: &str) -> Served {
    let (versions, told): (&[&str], _) = match kind {
        NAD => (&["k8s.cni.cncf.io/v1"], "k8s.cni.cncf.io/v1"),
        POLICY => (
            &["k8s.cni.cncf.io/v1beta1", "k8s.cni.cncf.io/v1beta2"],
            "k8s.cni.cncf.io/v1beta1 or k8s.cni.cncf.io/v1beta2",
        ),
        // Other projects use the same names of kinds, in API groups with their own domains.
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
