//! Errors in the input, and their places.

use std::fmt;
use std::io;
use std::sync::Arc;

use ipnet::IpNet;

use crate::config::ConfigError;

/// A place in the input.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The file; `-` for the standard input, or `the command line`.
    pub file: String,
    /// The document within the file, counted from 1; 0 for the whole file.
    pub document: usize,
    /// The item of the document's list, counted from 1; 0 if there is no list, or the object has a
    /// name.
    pub item: usize,
    /// The object: its kind and name.
    pub object: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.document > 0 {
            write!(f, ", document {}", self.document)?;
        }
        if self.item > 0 {
            write!(f, ", item {}", self.item)?;
        }
        if !self.object.is_empty() {
            write!(f, ", {}", self.object)?;
        }
        Ok(())
    }
}

/// An error in the input. The wrong object is left out, or the command fails.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}: {}{}", .0.place, field_prefix(&.0.field), .0.reason)]
pub struct InputError(Arc<Details>);

#[derive(Debug)]
struct Details {
    place: Place,
    field: String,
    reason: Reason,
}

pub(crate) fn field_prefix(field: &str) -> String {
    if field.is_empty() {
        String::new()
    } else {
        format!("{field}: ")
    }
}

impl InputError {
    /// An error about a field of the object at `place`.
    pub fn new(place: &Place, field: impl Into<String>, reason: impl Into<Reason>) -> Self {
        Self(Arc::new(Details {
            place: place.clone(),
            field: field.into(),
            reason: reason.into(),
        }))
    }

    /// The place of the object.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// The field within the object, as a path of names; empty for the whole.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.0.field
    }

    /// What is wrong with it.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        &self.0.reason
    }
}

/// What is wrong with the input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// A file or folder cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A file is too long.
    #[error("is longer than {0} bytes")]
    TooLong(u64),
    /// A file is not text.
    #[error("is not UTF-8: byte {offset} is {byte:#04x} (line {line}, byte {column} of the line)")]
    NotUtf8 {
        /// The number of bytes before the first wrong one.
        offset: usize,
        /// That byte.
        byte: u8,
        /// Its line, from 1 on.
        line: usize,
        /// Its position in the line, counted from 1.
        column: usize,
    },
    /// A folder has no manifest.
    #[error("has no .yaml, .yml or .json file")]
    NoManifests,
    /// The text is not YAML.
    #[error("not YAML: {0}")]
    Yaml(String),
    /// A field is missing.
    #[error("is missing")]
    Missing,
    /// The kind does not exist in this API version.
    #[error("is {found}; the kind is served as {served}")]
    NotServed {
        /// The version.
        found: String,
        /// The versions in which it exists.
        served: &'static str,
    },
    /// A field is malformed.
    #[error("{0}")]
    Malformed(String),
    /// Two documents describe the same object in different ways.
    #[error("is described differently in {0}, which is in force")]
    Duplicate(Place),
    /// The network's configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Two names are the same in the database.
    #[error("the name {name:?} and {other:?} of {place} are the same in the database: {mangled:?}")]
    NameCollision {
        /// This object's name.
        name: String,
        /// The other's.
        other: String,
        /// The name that both have in the database.
        mangled: String,
        /// Where the other is.
        place: Box<Place>,
    },
    /// Kubernetes does not allow this name.
    #[error("{0:?} is not a name of lower-case letters, digits, `-` and `.`")]
    BadName(String),
    /// A pod or a policy refers to a NAD that is not among the manifests.
    #[error("the NetworkAttachmentDefinition {0} is not among the manifests")]
    UnknownNad(String),
    /// A policy selects pods on a network that assigns no addresses.
    #[error("pods cannot be selected on the network {0}, which assigns no addresses: use ipBlock")]
    SelectorWithoutIpam(String),
    /// A pod runs on an unknown node, or `--node-subnets` names one.
    #[error("the node {0:?} is not known")]
    UnknownNode(String),
    /// A subnet was requested that another node has, or that the network does not have.
    #[error("{0}")]
    Subnet(String),
    /// A subnet has no address left for a pod.
    #[error("no address is left in {0}")]
    NoAddressLeft(IpNet),
    /// A network has no subnet left for a node.
    #[error("no subnet is left in the network {0}")]
    NoSubnetLeft(String),
    /// An address is taken.
    #[error("the address {address} is taken by {owner}")]
    AddressTaken {
        /// The address.
        address: String,
        /// Its owner.
        owner: String,
    },
    /// In the database, a pod's port is on a switch where it must not be.
    #[error("the port {port} is on the switch {found}, which is not the switch of its pod")]
    WrongSwitch {
        /// The port's name.
        port: String,
        /// The switch it is on.
        found: String,
    },
    /// An address is not of the network.
    #[error("the address {address} is in none of {subnets}")]
    AddressOutside {
        /// The address.
        address: String,
        /// The subnets that the pod may have addresses of.
        subnets: String,
    },
}
