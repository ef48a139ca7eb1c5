//! Fields of objects, read by their paths. Errors use the words of the manifest.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::error::{InputError, Place, Reason};

/// A field with the wrong type or a wrong value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Wrong {
    /// The path of the field.
    pub field: String,
    /// What it must be, and what was found.
    pub reason: String,
}

/// A value with its path. Null counts as absent.
#[derive(Debug, Clone)]
pub struct Field<'a> {
    path: String,
    value: Option<&'a Value>,
}

impl Wrong {
    /// The error about the object at `place`.
    #[must_use]
    pub fn at(self, place: &Place) -> InputError {
        InputError::new(place, self.field, Reason::Malformed(self.reason))
    }
}

impl<'a> Field<'a> {
    /// A value at a path.
    pub fn new(path: impl Into<String>, value: Option<&'a Value>) -> Self {
        Self {
            path: path.into(),
            value: value.filter(|value| !value.is_null()),
        }
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value, unless it is absent.
    #[must_use]
    pub const fn value(&self) -> Option<&'a Value> {
        self.value
    }

    /// An error about the field.
    pub fn wrong(&self, reason: impl Into<String>) -> Wrong {
        Wrong {
            field: self.path.clone(),
            reason: reason.into(),
        }
    }

    /// An error that says what the field must be.
    #[must_use]
    pub fn must_be(&self, expected: impl fmt::Display) -> Wrong {
        match self.value {
            None => self.wrong(format!("is missing; it must be {expected}")),
            Some(value) => self.wrong(format!("must be {expected}, not {}", described(value))),
        }
    }

    /// A member of a mapping; absent if the mapping is absent.
    ///
    /// # Errors
    /// When the value is not a mapping.
    pub fn member(&self, name: &str) -> Result<Self, Wrong> {
        let path = self.member_path(name);
        match self.value {
            None => Ok(Self { path, value: None }),
            Some(Value::Object(members)) => Ok(Self::new(path, members.get(name))),
            Some(_) => Err(self.must_be("a mapping")),
        }
    }

    fn member_path(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// The members of a mapping whose names are data.
    ///
    /// # Errors
    /// When the value is not a mapping.
    pub fn entries(&self) -> Result<Vec<(&'a str, Self)>, Wrong> {
        match self.value {
            None => Ok(Vec::new()),
            Some(Value::Object(members)) => Ok(members
                .iter()
                .map(|(name, value)| {
                    let path = format!("{}[{name:?}]", self.path);
                    (name.as_str(), Self::new(path, Some(value)))
                })
                .collect()),
            Some(_) => Err(self.must_be("a mapping")),
        }
    }

    /// Checks that a mapping has no other members than these.
    ///
    /// # Errors
    /// When it has other members, or the value is not a mapping.
    pub fn only(&self, known: &[&str]) -> Result<(), Wrong> {
        let members = match self.value {
            None => return Ok(()),
            Some(Value::Object(members)) => members,
            Some(_) => return Err(self.must_be("a mapping")),
        };
        let unknown = members.keys().find(|name| !known.contains(&name.as_str()));
        match unknown {
            None => Ok(()),
            Some(name) => Err(Wrong {
                field: self.member_path(name),
                reason: format!("is not a field here; there are {}", known.join(", ")),
            }),
        }
    }

    /// The elements of a list; none where the list is absent.
    ///
    /// # Errors
    /// When the value is not a list.
    pub fn list(&self) -> Result<Vec<Self>, Wrong> {
        match self.value {
            None => Ok(Vec::new()),
            Some(Value::Array(elements)) => Ok(elements
                .iter()
                .enumerate()
                .map(|(at, element)| Self::new(format!("{}[{at}]", self.path), Some(element)))
                .collect()),
            Some(_) => Err(self.must_be("a list")),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// When the value is not a string.
    pub fn text(&self) -> Result<Option<&'a str>, Wrong> {
        match self.value {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.must_be("a string")),
        }
    }

    /// True or false.
    ///
    /// # Errors
    /// When the value is neither.
    pub fn boolean(&self) -> Result<Option<bool>, Wrong> {
        match self.value {
            None => Ok(None),
            Some(Value::Bool(boolean)) => Ok(Some(*boolean)),
            Some(_) => Err(self.must_be("true or false")),
        }
    }

    /// A text that must not be absent.
    ///
    /// # Errors
    /// When it is absent, or the value is not a string.
    pub fn required_text(&self) -> Result<&'a str, Wrong> {
        self.text()?.ok_or_else(|| self.must_be("a string"))
    }

    /// A string that is parsed; an empty one counts as absent.
    ///
    /// # Errors
    /// When the value is not a text, or not what is expected.
    pub fn parsed<T: FromStr>(&self, expected: &str) -> Result<Option<T>, Wrong> {
        let text = self.text()?.filter(|text| !text.is_empty());
        text.map(|text| text.parse().map_err(|_| self.must_be(expected)))
            .transpose()
    }

    /// Parses a string that must not be absent, such as an element of a list.
    ///
    /// # Errors
    /// When it is absent, no text, or not what is expected.
    pub fn required<T: FromStr>(&self, expected: &str) -> Result<T, Wrong> {
        let text = self.text()?.and_then(|text| text.parse().ok());
        text.ok_or_else(|| self.must_be(expected))
    }

    /// Texts by name.
    ///
    /// # Errors
    /// When the value is not a mapping of texts.
    pub fn texts<C: FromIterator<(String, String)>>(&self) -> Result<C, Wrong> {
        let members = match self.value {
            None => return Ok(C::from_iter([])),
            Some(Value::Object(members)) => members,
            Some(_) => return Err(self.must_be("a mapping")),
        };
        let texts = members.iter().map(|(name, value)| match value {
            Value::String(text) => Ok((name.clone(), text.clone())),
            // To Go, a null in a mapping of texts is the empty text.
            Value::Null => Ok((name.clone(), String::new())),
            other => Err(Self::new(self.member_path(name), Some(other)).must_be("a string")),
        });
        texts.collect()
    }
}

/// A description of a value for error messages.
fn described(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => format!("the number {value}"),
        Value::String(text) if text.chars().count() > 60 => {
            let start: String = text.chars().take(60).collect();
            format!("a text that begins with {start:?}")
        }
        Value::String(text) => format!("{text:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn mistakes_name_the_field_and_what_was_expected() {
        let value = json!({"a": {"b": [1, "x", null]}, "n": null, "t": "text"});
        let root = Field::new("spec", Some(&value));
        let a = root.member("a").expect("a member");
        let b = a.member("b").expect("a member");
        let elements = b.list().expect("a list");
        for (wrong, text) in [
            (
                root.list().expect_err("a mapping"),
                "spec: must be a list, not a mapping",
            ),
            (
                b.member("c").expect_err("a list"),
                "spec.a.b: must be a mapping, not a list",
            ),
            (
                b.text().expect_err("a list"),
                "spec.a.b: must be a string, not a list",
            ),
            (
                elements[0].text().expect_err("a number"),
                "spec.a.b[0]: must be a string, not the number 1",
            ),
            (
                elements[1]
                    .required::<u8>("a number below 256")
                    .expect_err("a text"),
                "spec.a.b[1]: must be a number below 256, not \"x\"",
            ),
            (
                elements[2].required_text().expect_err("null"),
                "spec.a.b[2]: is missing; it must be a string",
            ),
            (
                root.only(&["a", "n"]).expect_err("one more"),
                "spec.t: is not a field here; there are a, n",
            ),
        ] {
            assert_eq!(wrong.to_string(), text);
        }
        let null = root.member("n").expect("a member");
        assert!(null.value().is_none() && null.list().expect("none").is_empty());
        assert!(null.member("deeper").expect("none").text() == Ok(None));
    }
}
