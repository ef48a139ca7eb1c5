//! JSON values with their paths in the schema, for error messages.

use std::collections::BTreeMap;

use crate::error::{SchemaError, SchemaErrorReason as Reason};
use crate::number::Number;
use crate::text::{self, Malformed};

pub(crate) type Result<T, E = SchemaError> = std::result::Result<T, E>;

/// A value and the path to it.
///
/// The value stays text until a method reads it as some type.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    raw: &'a str,
    path: Path<'a>,
    /// Whether the schema comes from a server, which may be newer than this parser.
    lenient: bool,
}

/// A path as a linked list on the stack, which is extended without allocation.
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

/// An object that records which members were read, so that the others can be reported.
pub(crate) struct Object<'a> {
    node: Node<'a>,
    members: BTreeMap<String, &'a str>,
    taken: Vec<&'static str>,
}

/// Checks that the text is one JSON value, and trims it.
pub(crate) fn document(text: &str) -> Result<&str> {
    text::document(text).map_err(|Malformed { offset, expected }| {
        let before = &text.as_bytes()[..offset];
        let line = before
            .rsplit(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        SchemaError {
            path: String::new(),
            reason: Reason::Json {
                line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
                column: line.len() + 1,
                message: format!("expected {expected}"),
            },
        }
    })
}

impl<'a> Node<'a> {
    pub(crate) const fn root(raw: &'a str, lenient: bool) -> Self {
        Self {
            raw,
            path: Path::Root,
            lenient,
        }
    }

    const fn inner<'b>(&self, raw: &'b str, path: Path<'b>) -> Node<'b> {
        Node {
            raw,
            path,
            lenient: self.lenient,
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

    pub(crate) fn is_string(&self) -> bool {
        self.raw.starts_with('"')
    }

    pub(crate) fn string(&self) -> Result<String> {
        match text::string(self.raw) {
            // RFC 7047 section 3.1.
            Some(text) if text.contains('\0') => self.error(Reason::Nul),
            Some(text) => Ok(text),
            None => self.expected("a string"),
        }
    }

    pub(crate) fn boolean(&self) -> Result<bool> {
        self.raw.parse().or_else(|_| self.expected("a boolean"))
    }

    /// An integer, however it is written: `1`, `1.0` and `1e0` are the same in OVSDB.
    pub(crate) fn integer(&self) -> Result<i64> {
        match Number::parse(self.raw) {
            Ok(Number::Integer(integer)) => Ok(integer),
            _ => self.expected("an integer"),
        }
    }

    /// The length of a string.
    pub(crate) fn length(&self) -> Result<u64> {
        u32::try_from(self.integer()?)
            .map(u64::from)
            .or_else(|_| self.expected("a number from 0 to 4294967295"))
    }

    #[expect(clippy::cast_precision_loss, reason = "a real column holds doubles")]
    pub(crate) fn real(&self) -> Result<f64> {
        let text = self.raw;
        // The server writes some reals that its own parser refuses.
        let readable = |real: f64| !real.is_subnormal() && text.parse().is_ok_and(f64::is_finite);
        match Number::parse(text) {
            Ok(Number::Integer(integer)) => Ok(integer as f64),
            Ok(Number::Real(real)) if self.lenient || readable(real) => Ok(real),
            _ => self.expected("a number"),
        }
    }

    fn raw_members(&self) -> Result<BTreeMap<String, &'a str>> {
        let Some(members) = text::members(self.raw) else {
            return self.expected("an object");
        };
        let members = members
            .into_iter()
            .map(|(key, value)| match text::string(key) {
                Some(key) => Ok((key, value)),
                None => self.expected("an object"),
            });
        members.collect()
    }

    /// Calls `each` with every member of the object.
    pub(crate) fn members(&self, mut each: impl FnMut(&str, Node<'_>) -> Result<()>) -> Result<()> {
        for (name, raw) in self.raw_members()? {
            let path = Path::Member(&self.path, &name);
            each(&name, self.inner(raw, path))?;
        }
        Ok(())
    }

    /// The elements, if the value is an array.
    pub(crate) fn array(&self) -> Option<Vec<&'a str>> {
        text::elements(self.raw)
    }

    /// Calls `each` with every element of the array.
    pub(crate) fn elements(&self, mut each: impl FnMut(Node<'_>) -> Result<()>) -> Result<()> {
        let Some(elements) = self.array() else {
            return self.expected("an array");
        };
        for (index, raw) in elements.into_iter().enumerate() {
            let path = Path::Element(&self.path, index);
            each(self.inner(raw, path))?;
        }
        Ok(())
    }

    pub(crate) fn object(self) -> Result<Object<'a>> {
        Ok(Object {
            members: self.raw_members()?,
            node: self,
            taken: Vec::new(),
        })
    }
}

impl Object<'_> {
    /// Reads an optional member.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Node<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        self.taken.push(name);
        let Some(raw) = self.members.get(name) else {
            return Ok(None);
        };
        let path = Path::Member(&self.node.path, name);
        read(self.node.inner(raw, path)).map(Some)
    }

    /// Reads a required member.
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

    /// Refuses members that were not read.
    pub(crate) fn end(self) -> Result<()> {
        let left = self
            .members
            .keys()
            .find(|name| !self.taken.contains(&name.as_str()));
        match left {
            Some(name) if !self.node.lenient => {
                self.node.error(Reason::UnknownMember(name.clone()))
            }
            _ => Ok(()),
        }
    }
}
