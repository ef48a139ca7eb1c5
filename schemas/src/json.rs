//! JSON values that know their place in the schema.

use serde_json::{Map, Value};

use crate::error::{SchemaError, SchemaErrorReason as Reason};

pub(crate) type Result<T, E = SchemaError> = std::result::Result<T, E>;

/// A value and the path to it.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    pub(crate) value: &'a Value,
    path: Path<'a>,
}

/// A path, as a list that grows at its end without allocation.
#[derive(Clone, Copy)]
enum Path<'a> {
    Root,
    Member(&'a Self, &'a str),
    Element(&'a Self, usize),
}

impl Path<'_> {
    fn text(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Member(Path::Root, name) => (*name).to_owned(),
            Self::Member(parent, name) => format!("{}.{name}", parent.text()),
            Self::Element(parent, index) => format!("{}[{index}]", parent.text()),
        }
    }
}

/// An object whose members are taken out one by one, so that the rest is known.
pub(crate) struct Object<'a> {
    node: Node<'a>,
    members: &'a Map<String, Value>,
    taken: Vec<&'static str>,
    lenient: bool,
}

impl<'a> Node<'a> {
    pub(crate) const fn root(value: &'a Value) -> Self {
        Self {
            value,
            path: Path::Root,
        }
    }

    pub(crate) fn error<T>(&self, reason: Reason) -> Result<T> {
        Err(SchemaError {
            path: self.path.text(),
            reason,
        })
    }

    pub(crate) fn expected<T>(&self, what: &'static str) -> Result<T> {
        self.error(Reason::Expected(what))
    }

    pub(crate) fn string(&self) -> Result<&'a str> {
        self.value
            .as_str()
            .map_or_else(|| self.expected("a string"), Ok)
    }

    pub(crate) fn boolean(&self) -> Result<bool> {
        self.value
            .as_bool()
            .map_or_else(|| self.expected("a boolean"), Ok)
    }

    /// An integer, however it is written: `1`, `1.0` and `1e0` are the same in OVSDB.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "checked"
    )]
    pub(crate) fn integer(&self) -> Result<i64> {
        if let Some(integer) = self.value.as_i64() {
            return Ok(integer);
        }
        match self.value.as_f64() {
            Some(real) if real.fract() == 0.0 && real.abs() < (1_u64 << 53) as f64 => {
                Ok(real as i64)
            }
            _ => self.expected("an integer"),
        }
    }

    pub(crate) fn count(&self) -> Result<u64> {
        self.integer()?
            .try_into()
            .or_else(|_| self.expected("a number from 0 on"))
    }

    pub(crate) fn real(&self) -> Result<f64> {
        self.value
            .as_f64()
            .map_or_else(|| self.expected("a number"), Ok)
    }

    /// Calls `each` with every member of the object.
    pub(crate) fn members(&self, mut each: impl FnMut(&str, Node<'_>) -> Result<()>) -> Result<()> {
        let Some(members) = self.value.as_object() else {
            return self.expected("an object");
        };
        for (name, value) in members {
            each(
                name,
                Node {
                    value,
                    path: Path::Member(&self.path, name),
                },
            )?;
        }
        Ok(())
    }

    /// Calls `each` with every element of the array.
    pub(crate) fn elements(&self, mut each: impl FnMut(Node<'_>) -> Result<()>) -> Result<()> {
        let Some(elements) = self.value.as_array() else {
            return self.expected("an array");
        };
        for (index, value) in elements.iter().enumerate() {
            each(Node {
                value,
                path: Path::Element(&self.path, index),
            })?;
        }
        Ok(())
    }

    pub(crate) fn object(self, lenient: bool) -> Result<Object<'a>> {
        match self.value.as_object() {
            Some(members) => Ok(Object {
                node: self,
                members,
                taken: Vec::new(),
                lenient,
            }),
            None => self.expected("an object"),
        }
    }
}

impl Object<'_> {
    /// Reads a member if it is there.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Node<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        self.taken.push(name);
        let Some(value) = self.members.get(name) else {
            return Ok(None);
        };
        read(Node {
            value,
            path: Path::Member(&self.node.path, name),
        })
        .map(Some)
    }

    /// Reads a member that must be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Node<'_>) -> Result<T>,
    ) -> Result<T> {
        match self.optional(name, read)? {
            Some(value) => Ok(value),
            None => self.node.error(Reason::Missing(name)),
        }
    }

    /// Demands that nothing is left.
    pub(crate) fn end(self) -> Result<()> {
        let left = self
            .members
            .keys()
            .find(|name| !self.taken.contains(&name.as_str()));
        match left {
            Some(name) if !self.lenient => self.node.error(Reason::UnknownMember(name.clone())),
            _ => Ok(()),
        }
    }
}
