//! JSON as Go's `encoding/json` reads it into a struct, which is how OVN-Kubernetes and Multus read
//! configurations and annotations: the names of members match in any case, the last of several wins (but
//! objects are merged), null counts as absent, and unknown members are ignored (here they are reported).

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Which members a JSON value may have.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// A value whose members are not checked.
    Any,
    /// An object with these members.
    Object(&'static [(&'static str, Self)]),
    /// A list of values of one shape.
    List(&'static Self),
    /// An object whose names are data, with values of one shape.
    Map(&'static Self),
}

/// A value whose members have the names in the shape.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Read {
    /// The value; members that are null are left out.
    pub value: Value,
    /// The paths of members that are not in the shape.
    pub unknown: Vec<String>,
}

/// The place at which a text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not JSON: {message} (line {line}, column {column} of the text)")]
pub struct Syntax {
    /// The parser's message.
    pub message: String,
    /// The line, from 1 on.
    pub line: usize,
    /// The column, from 1 on.
    pub column: usize,
}

impl From<&serde_json::Error> for Syntax {
    fn from(error: &serde_json::Error) -> Self {
        let message = error.to_string();
        // The parser's message ends with the place, which is shown separately here.
        let message = message.split(" at line ").next().unwrap_or_default();
        Self {
            message: message.to_owned(),
            line: error.line(),
            column: error.column(),
        }
    }
}

/// Reads a text.
///
/// # Errors
/// When it is not JSON.
pub fn read(text: &str, shape: Shape) -> Result<Read, Syntax> {
    let unknown = RefCell::default();
    let root = Node {
        shape,
        path: String::new(),
        unknown: &unknown,
    };
    let mut parser = serde_json::Deserializer::from_str(text);
    let value = root.deserialize(&mut parser);
    let value = value.and_then(|value| parser.end().map(|()| value));
    let value = value.map_err(|error| Syntax::from(&error))?;
    Ok(Read {
        value,
        unknown: unknown.into_inner(),
    })
}

/// Whether Go treats the two names as the same.
fn is_same_name(one: &str, other: &str) -> bool {
    // The only letters outside ASCII that Unicode folds to ASCII letters.
    let fold = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        letter => letter.to_ascii_lowercase(),
    };
    one.chars().map(fold).eq(other.chars().map(fold))
}

/// A value that is being read, and its expected shape.
struct Node<'u> {
    shape: Shape,
    path: String,
    unknown: &'u RefCell<Vec<String>>,
}

impl Node<'_> {
    fn at(&self, shape: Shape, path: String) -> Self {
        Self {
            shape,
            path,
            unknown: self.unknown,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let shape = match self.shape {
            Shape::List(shape) => *shape,
            _ => Shape::Any,
        };
        let mut list = Vec::new();
        loop {
            let node = self.at(shape, format!("{}[{}]", self.path, list.len()));
            match access.next_element_seed(node)? {
                Some(value) => list.push(value),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let (name, node) = match self.shape {
                Shape::Object(known) => {
                    let exact = known.iter().find(|(known, _)| *known == name);
                    let similar = || known.iter().find(|(known, _)| is_same_name(known, &name));
                    let Some((known, shape)) = exact.or_else(similar) else {
                        self.unknown
                            .borrow_mut()
                            .push(member_path(&self.path, &name));
                        access.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    let path = member_path(&self.path, known);
                    ((*known).to_owned(), self.at(*shape, path))
                }
                Shape::Map(shape) => {
                    let path = format!("{}[{name:?}]", self.path);
                    (name, self.at(*shape, path))
                }
                Shape::Any | Shape::List(_) => (name, self.at(Shape::Any, String::new())),
            };
            let shape = node.shape;
            let value = access.next_value_seed(node)?;
            set(&mut members, name, value, shape);
        }
        Ok(Value::Object(members))
    }
}

/// Assigns a member as Go does; it may have been assigned before.
fn set(members: &mut Map<String, Value>, name: String, value: Value, shape: Shape) {
    match (shape, value) {
        (Shape::List(_) | Shape::Map(_), Value::Null) => {
            members.remove(&name);
        }
        (_, Value::Null) => {}
        (Shape::Object(_), Value::Object(more)) => {
            match members.get_mut(&name) {
                Some(Value::Object(before)) => before.extend(more),
                _ => {
                    members.insert(name, Value::Object(more));
                }
            };
        }
        (_, value) => {
            members.insert(name, value);
        }
    }
}

fn member_path(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SHAPE: Shape = Shape::Object(&[
        ("vlanID", Shape::Any),
        ("name", Shape::Any),
        ("NAME", Shape::Any),
        (
            "ipam",
            Shape::Object(&[("type", Shape::Any), ("kind", Shape::Any)]),
        ),
        ("ips", Shape::List(&Shape::Any)),
        (
            "routes",
            Shape::List(&Shape::Object(&[("nextHop", Shape::Any)])),
        ),
        ("grants", Shape::Map(&Shape::Object(&[("mac", Shape::Any)]))),
    ]);

    #[test]
    fn names_match_in_any_case() {
        for (text, value, unknown) in [
            (r#"{"vlanId": 1}"#, json!({"vlanID": 1}), vec![]),
            (
                r#"{"VLANID": 1, "vlanid": 2}"#,
                json!({"vlanID": 2}),
                vec![],
            ),
            (
                r#"{"vlanID": 1, "vlanId": 2}"#,
                json!({"vlanID": 2}),
                vec![],
            ),
            (
                r#"{"NAME": 1, "name": 2, "Name": 3}"#,
                json!({"NAME": 1, "name": 3}),
                vec![],
            ),
            (r#"{"ipſ": ["a"]}"#, json!({"ips": ["a"]}), vec![]),
            (
                r#"{"vlan": 1, "name": 2}"#,
                json!({"name": 2}),
                vec!["vlan"],
            ),
            (
                r#"{"IPAM": {"Type": "x", "size": {"a": 1}}}"#,
                json!({"ipam": {"type": "x"}}),
                vec!["ipam.size"],
            ),
            (
                r#"{"routes": [{"NextHop": 1}, {"nexthopp": 1}]}"#,
                json!({"routes": [{"nextHop": 1}, {}]}),
                vec!["routes[1].nexthopp"],
            ),
            (
                r#"{"grants": {"a/B": {"Mac": 1, "macs": 2}}}"#,
                json!({"grants": {"a/B": {"mac": 1}}}),
                vec![r#"grants["a/B"].macs"#],
            ),
            // A value of another type is not examined here; the code that reads it reports what it
            // should be.
            (
                r#"{"routes": {"a": 1}}"#,
                json!({"routes": {"a": 1}}),
                vec![],
            ),
        ] {
            let read = read(text, SHAPE).expect(text);
            assert_eq!(read.value, value, "{text}");
            assert_eq!(read.unknown, unknown, "{text}");
        }
    }

    #[test]
    fn null_is_absent_and_structs_are_filled_in() {
        for (text, value) in [
            (
                r#"{"vlanID": null, "ipam": {"type": null}}"#,
                json!({"ipam": {}}),
            ),
            (r#"{"vlanID": 1, "vlanId": null}"#, json!({"vlanID": 1})),
            (r#"{"ips": ["a"], "IPs": null}"#, json!({})),
            (
                r#"{"ipam": {"type": 1}, "IPAM": {"kind": 2}}"#,
                json!({"ipam": {"type": 1, "kind": 2}}),
            ),
            ("null", json!(null)),
        ] {
            assert_eq!(read(text, SHAPE).expect(text).value, value, "{text}");
        }
    }

    #[test]
    fn the_place_of_a_mistake_is_reported_once() {
        for (text, message) in [
            (
                "{\n  \"name\" 1}",
                "not JSON: expected `:` (line 2, column 10 of the text)",
            ),
            (
                "[1",
                "not JSON: EOF while parsing a list (line 1, column 2 of the text)",
            ),
            (
                "{} x",
                "not JSON: trailing characters (line 1, column 4 of the text)",
            ),
        ] {
            assert_eq!(read(text, SHAPE).expect_err(text).to_string(), message);
        }
    }
}
