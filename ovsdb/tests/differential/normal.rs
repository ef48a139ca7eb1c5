//! Messages in a form that does not depend on what a server may choose: uuids, the order of sets.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// The uuids that both servers know, by the names that the test has for them.
#[derive(Debug, Default)]
pub struct Names {
    names: HashMap<String, String>,
}

impl Names {
    /// Notes that a server calls this row so.
    pub fn add(&mut self, uuid: &str, name: String) {
        self.names.insert(uuid.to_owned(), name);
    }

    /// The text with names instead of uuids, and `?` for one that has no name.
    fn rename(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(uuid) = rest.get(..36).filter(|part| is_uuid(part)) {
                let name = self.names.get(uuid);
                out.push_str(name.map_or("?", String::as_str));
                rest = &rest[36..];
            } else {
                let next = rest.chars().next().map_or(1, char::len_utf8);
                out.push_str(&rest[..next]);
                rest = &rest[next..];
            }
        }
        out
    }

    /// The value in a form that is the same for both servers.
    pub fn normal(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.rename(text)),
            Value::Number(number) => match number.as_f64() {
                // Reals are written with 15 digits by the one, with all that count by the other.
                Some(real) if !number.is_i64() => Value::String(format!("{:.13e}", real + 0.0)),
                _ => Value::String(format!(
                    "{:.13e}",
                    number.as_i64().unwrap_or_default() as f64
                )),
            },
            Value::Array(items) => {
                let mut items: Vec<_> = items.iter().map(|item| self.normal(item)).collect();
                if let [Value::String(tag), Value::Array(elements)] = &mut items[..]
                    && matches!(&**tag, "set" | "map")
                {
                    elements.sort_by_key(Value::to_string);
                }
                Value::Array(items)
            }
            Value::Object(members) => Value::Object(self.members(members)),
            other => other.clone(),
        }
    }

    /// A message in normal form; `None` for an update that tells nothing.
    ///
    /// ovsdb-server sends such where a column has changed that only a condition names, its own or
    /// that of another session which monitors the same.
    pub fn message(&self, message: &Value) -> Option<Value> {
        let mut message = self.normal(message);
        if !is_update(&message) {
            return Some(message);
        }
        let updates = message.get_mut("params")?.as_array_mut()?.last_mut()?;
        let tables = updates.as_object_mut()?;
        for rows in tables.values_mut().filter_map(Value::as_object_mut) {
            rows.retain(|_, row| {
                let is_empty = |name| row.get(name) == Some(&Value::Object(Map::new()));
                let is_modify = row.get("old").is_some() && row.get("new").is_some();
                let tells_nothing = is_empty("modify") || (is_modify && is_empty("old"));
                !tells_nothing
            });
        }
        tables.retain(|_, rows| rows.as_object().is_none_or(|rows| !rows.is_empty()));
        let tells = !tables.is_empty();
        tells.then_some(message)
    }

    /// How the details of an error begin: of several that are wrong either server takes any, and the
    /// wording differs between versions of ovsdb-server.
    fn wording(&self, details: &str) -> String {
        let words: Vec<_> = details.split_ascii_whitespace().take(2).collect();
        match &words[..] {
            // What is wrong with a schema is worded by a parser of its own.
            ["the" | "Parsing", _] => "a parse error".into(),
            // The embedded server names the column that a conversion does not fit.
            ["table" | "expected", _] => "a value of another type".into(),
            // Which of the two depends on whether a millisecond has passed.
            ["\"wait\"", "timed"] | ["\"where\"", "clause"] => "a wait that failed".into(),
            ["Weak" | "Deletion", _] => "a weak reference".into(),
            [_, "is" | "length"] => "a value is not allowed".into(),
            [first, ..] => self.rename(first),
            [] => String::new(),
        }
    }

    fn members(&self, members: &Map<String, Value>) -> Map<String, Value> {
        let is_error = members.contains_key("error") && !members.contains_key("id");
        let mut normal = Map::new();
        let mut nameless = Vec::new();
        for (name, value) in members {
            if is_error && name == "syntax" {
                continue;
            }
            if is_error
                && name == "details"
                && let Value::String(details) = value
            {
                normal.insert(name.clone(), self.wording(details).into());
                continue;
            }
            // RFC 7047 has it null in the reply to a request that failed, ovsdb-server leaves it out.
            if name == "result" && value.is_null() {
                continue;
            }
            let mut value = self.normal(value);
            if name == "rows"
                && let Value::Array(rows) = &mut value
            {
                rows.sort_by_key(Value::to_string);
            }
            match self.rename(name) {
                unknown if unknown == "?" => nameless.push(value),
                known => drop(normal.insert(known, value)),
            }
        }
        nameless.sort_by_key(Value::to_string);
        for (at, value) in nameless.into_iter().enumerate() {
            normal.insert(format!("?{at}"), value);
        }
        normal
    }
}

/// Whether the message is an update of a monitor.
pub fn is_update(message: &Value) -> bool {
    let method = message.get("method").and_then(Value::as_str);
    method.is_some_and(|method| method.starts_with("update"))
}

fn is_uuid(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}
