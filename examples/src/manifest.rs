//! Kubernetes manifests: the objects that matter here, and where each was found.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{InputError, Place, Reason};

/// The longest file that is read.
const LONGEST: u64 = 64 << 20;

/// A NetworkAttachmentDefinition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nad {
    /// Where it was found.
    pub place: Place,
    /// `namespace/name`.
    pub key: String,
    /// The text of `spec.config`.
    pub config: String,
}

/// A Node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it was found.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// Its annotations.
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
    /// Its annotations.
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
    /// Its annotations.
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
    /// Its annotations.
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
    /// Objects of kinds that do not matter here.
    pub ignored: Vec<Place>,
    /// What each object looked like, to tell a repetition from a contradiction.
    seen: BTreeMap<String, (Place, Value)>,
}

impl Manifests {
    /// Reads files and folders as `kubectl -f` does: the `.yaml`, `.yml` and `.json` files of a
    /// folder in the order of their names, `-` for the standard input, several documents a file,
    /// objects of the kind `List`.
    ///
    /// # Errors
    /// When something cannot be read, or an object is malformed; the first error in the order of
    /// the files.
    pub fn read<P: AsRef<Path>>(paths: &[P]) -> Result<Self, InputError> {
        let mut manifests = Self::default();
        for path in paths {
            let path = path.as_ref();
            let place = Place {
                file: path.display().to_string(),
                ..Place::default()
            };
            let unreadable = |error: io::Error| InputError::new(&place, "", error);
            if path == Path::new("-") {
                let mut text = String::new();
                io::stdin()
                    .take(LONGEST)
                    .read_to_string(&mut text)
                    .map_err(unreadable)?;
                manifests.add_text(&place, &text)?;
            } else if path.is_dir() {
                let files = folder(path).map_err(unreadable)?;
                if files.is_empty() {
                    return Err(InputError::new(&place, "", Reason::NoManifests));
                }
                for file in files {
                    manifests.add_file(&file)?;
                }
            } else {
                manifests.add_file(path)?;
            }
        }
        Ok(manifests)
    }

    fn add_file(&mut self, path: &Path) -> Result<(), InputError> {
        let place = Place {
            file: path.display().to_string(),
            ..Place::default()
        };
        let unreadable = |error: io::Error| InputError::new(&place, "", error);
        if fs::metadata(path).map_err(unreadable)?.len() > LONGEST {
            return Err(InputError::new(&place, "", Reason::TooLong(LONGEST)));
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        self.add_text(&place, &text)
    }

    /// Reads the documents of one file's text.
    ///
    /// # Errors
    /// When an object is malformed.
    pub fn add_text(&mut self, file: &Place, text: &str) -> Result<(), InputError> {
        // As kubectl: `n`, `on` and `0755` are strings, a key that stands twice is an error.
        let options = serde_saphyr::options! {
            strict_booleans: true,
            leading_zero_numbers_as_strings: true,
            with_snippet: false,
        };
        let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)
            .map_err(|error| InputError::new(file, "", Reason::Yaml(error.to_string())))?;
        for (index, document) in documents.iter().enumerate() {
            let place = Place {
                document: index + 1,
                ..file.clone()
            };
            if !document.is_null() {
                self.add_object(&place, document)?;
            }
        }
        Ok(())
    }

    fn add_object(&mut self, place: &Place, value: &Value) -> Result<(), InputError> {
        let object = Object { place, value };
        let kind = object.required_text(&["kind"])?;
        if kind == "List" || value.get("items").is_some_and(|_| kind.ends_with("List")) {
            let Some(items) = value.get("items").and_then(Value::as_array) else {
                return Err(InputError::new(place, "items", Reason::Expected("a list")));
            };
            return items
                .iter()
                .try_for_each(|item| self.add_object(place, item));
        }
        let version = object.required_text(&["apiVersion"])?;
        let name = object.name(&["metadata", "name"])?;
        let name = name.ok_or_else(|| InputError::new(place, "metadata.name", Reason::Missing))?;
        let namespace = object.name(&["metadata", "namespace"])?;
        let namespace = namespace.unwrap_or_else(|| "default".to_owned());
        let full_name = if kind == "Node" || kind == "Namespace" {
            name.clone()
        } else {
            format!("{namespace}/{name}")
        };
        let place = Place {
            object: format!("{kind} {full_name}"),
            ..place.clone()
        };
        let object = Object {
            place: &place,
            value,
        };

        if let Some((other, known)) = self.seen.get(&place.object) {
            if known == value {
                return Ok(());
            }
            return Err(InputError::new(
                &place,
                "",
                Reason::Duplicate(other.clone()),
            ));
        }
        self.seen
            .insert(place.object.clone(), (place.clone(), value.clone()));

        match (version.as_str(), kind.as_str()) {
            ("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition") => {
                let config = object.required_text(&["spec", "config"])?;
                self.nads.push(Nad {
                    place,
                    key: full_name,
                    config,
                });
            }
            ("k8s.cni.cncf.io/v1beta1" | "k8s.cni.cncf.io/v1beta2", "MultiNetworkPolicy") => {
                let annotations = object.annotations()?;
                let spec = object.get(&["spec"])?.cloned();
                self.policies.push(Policy {
                    place,
                    namespace,
                    name,
                    annotations,
                    spec: spec.unwrap_or_else(|| Value::Object(serde_json::Map::new())),
                });
            }
            ("v1", "Namespace") => {
                let labels = object.texts(&["metadata", "labels"])?;
                let annotations = object.annotations()?;
                self.namespaces.push(Namespace {
                    place,
                    name,
                    labels,
                    annotations,
                });
            }
            ("v1", "Node") => {
                let annotations = object.annotations()?;
                self.nodes.push(Node {
                    place,
                    name,
                    annotations,
                });
            }
            ("v1", "Pod") => {
                let pod = object.pod(namespace, name)?;
                self.pods.push(pod);
            }
            _ => self.ignored.push(place),
        }
        Ok(())
    }
}

/// The files that [`Manifests::read`] would read at these paths, as far as they are there.
#[must_use]
pub fn files(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(folder(path).unwrap_or_default());
        } else {
            files.push(path.clone());
        }
    }
    files
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

/// The manifests of a folder.
fn folder(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let known = path
            .extension()
            .is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        if known && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// An object whose fields are read by their paths.
struct Object<'a> {
    place: &'a Place,
    value: &'a Value,
}

impl Object<'_> {
    fn error<T>(&self, path: &[&str], reason: Reason) -> Result<T, InputError> {
        Err(InputError::new(self.place, path.join("."), reason))
    }

    /// The value at a path; absent and null are the same.
    fn get(&self, path: &[&str]) -> Result<Option<&Value>, InputError> {
        let mut value = self.value;
        for (depth, name) in path.iter().enumerate() {
            let Value::Object(members) = value else {
                return self.error(&path[..depth], Reason::Expected("a mapping"));
            };
            match members.get(*name) {
                None | Some(Value::Null) => return Ok(None),
                Some(next) => value = next,
            }
        }
        Ok(Some(value))
    }

    fn text(&self, path: &[&str]) -> Result<Option<String>, InputError> {
        match self.get(path)? {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => self.error(path, Reason::Expected("a string")),
        }
    }

    fn required_text(&self, path: &[&str]) -> Result<String, InputError> {
        match self.text(path)? {
            Some(text) if !text.is_empty() => Ok(text),
            _ => self.error(path, Reason::Missing),
        }
    }

    /// A name as Kubernetes takes it: a DNS subdomain.
    fn name(&self, path: &[&str]) -> Result<Option<String>, InputError> {
        let name = self.text(path)?.filter(|name| !name.is_empty());
        match name {
            Some(name) if !is_name(&name) => self.error(path, Reason::BadName(name)),
            other => Ok(other),
        }
    }

    fn annotations(&self) -> Result<BTreeMap<String, String>, InputError> {
        self.texts(&["metadata", "annotations"])
    }

    /// A mapping of texts.
    fn texts(&self, path: &[&str]) -> Result<BTreeMap<String, String>, InputError> {
        let texts = match self.get(path)? {
            None => return Ok(BTreeMap::new()),
            Some(Value::Object(texts)) => texts,
            Some(_) => return self.error(path, Reason::Expected("a mapping")),
        };
        let pairs = texts.iter().map(|(key, value)| match value {
            Value::String(text) => Ok((key.clone(), text.clone())),
            _ => {
                let path: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
                self.error(&path, Reason::Expected("a string"))
            }
        });
        pairs.collect()
    }

    fn pod(&self, namespace: String, name: String) -> Result<Pod, InputError> {
        let selected = self.text(&["spec", "nodeSelector", "kubernetes.io/hostname"])?;
        let node = self
            .text(&["spec", "nodeName"])?
            .filter(|node| !node.is_empty())
            .or(selected);
        let host_network = match self.get(&["spec", "hostNetwork"])? {
            None => false,
            Some(Value::Bool(host_network)) => *host_network,
            Some(_) => {
                return self.error(&["spec", "hostNetwork"], Reason::Expected("true or false"));
            }
        };
        let phase = self.text(&["status", "phase"])?.unwrap_or_default();
        Ok(Pod {
            place: self.place.clone(),
            namespace,
            name,
            uid: self
                .text(&["metadata", "uid"])?
                .filter(|uid| !uid.is_empty()),
            labels: self.texts(&["metadata", "labels"])?,
            annotations: self.annotations()?,
            node,
            host_network,
            completed: ["Succeeded", "Failed"].contains(&phase.as_str()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Manifests, InputError> {
        let mut manifests = Manifests::default();
        let place = Place {
            file: "f.yaml".into(),
            ..Place::default()
        };
        manifests.add_text(&place, text)?;
        Ok(manifests)
    }

    #[test]
    fn objects_are_found_in_documents_and_lists() {
        let manifests = read(
            "apiVersion: v1\nkind: Node\nmetadata: {name: n1, annotations: {a: 'b'}}\n---\n---\n\
             apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  \
             metadata: {name: p, uid: u}\n  spec: {nodeSelector: {kubernetes.io/hostname: n1}}\n\
             - {apiVersion: v1, kind: Service, metadata: {name: s}}\n",
        )
        .expect("manifests");
        assert_eq!(manifests.nodes[0].annotations["a"], "b");
        let pod = &manifests.pods[0];
        assert_eq!(
            (pod.namespace.as_str(), pod.node.as_deref()),
            ("default", Some("n1"))
        );
        assert_eq!(manifests.ignored[0].object, "Service default/s");
    }

    #[test]
    fn malformed_objects_are_named_with_their_field() {
        for (text, document, field) in [
            ("kind: Pod", 1, "apiVersion"),
            (
                "apiVersion: v1\nkind: Pod\nmetadata: {}",
                1,
                "metadata.name",
            ),
            ("apiVersion: v1\nkind: Pod\nmetadata: x", 1, "metadata"),
            (
                "apiVersion: v1\nkind: Pod\nmetadata: {name: A_b}",
                1,
                "metadata.name",
            ),
            ("---\nfoo: 1", 1, "kind"),
            ("kind: List", 1, "items"),
            (
                "apiVersion: v1\nkind: Node\nmetadata: {name: n}\n---\n\
                 apiVersion: v1\nkind: Pod\nmetadata: {name: p, annotations: {a: 1}}",
                2,
                "metadata.annotations.a",
            ),
            (
                "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {hostNetwork: 'yes'}",
                1,
                "spec.hostNetwork",
            ),
            (
                "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n\
                 metadata: {name: n}\nspec: {}",
                1,
                "spec.config",
            ),
        ] {
            let error = read(text).expect_err(text);
            assert_eq!(
                (error.place().document, error.field()),
                (document, field),
                "{error}"
            );
            assert!(
                error.to_string().starts_with("f.yaml, document "),
                "{error}"
            );
        }
        assert!(matches!(
            read("a: [1").expect_err("YAML").reason(),
            Reason::Yaml(_)
        ));
    }

    #[test]
    fn an_object_twice_must_be_the_same() {
        let node = "apiVersion: v1\nkind: Node\nmetadata: {name: n}\n";
        let twice = read(&format!("{node}---\n{node}")).expect("the same twice");
        assert_eq!(twice.nodes.len(), 1);
        let other = "apiVersion: v1\nkind: Node\nmetadata: {name: n, annotations: {a: b}}\n";
        let error = read(&format!("{node}---\n{other}")).expect_err("two descriptions");
        assert!(
            matches!(error.reason(), Reason::Duplicate(Place { document: 1, .. })),
            "{error}"
        );
    }
}
