//! Messages in a form that does not depend on what a server may choose, such as uuids and the order of
//! sets.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// The names that the test gives to the uuids of one server.
#[derive(Debug, Default)]
pub struct Names {
    names: HashMap<String, String>,
}

impl Names {
    /// Records that a server uses this uuid for a row.
    pub fn add(&mut self, uuid: &str, name: String) {
        self.names.insert(uuid.to_owned(), name);
    }

    /// The text with names instead of uuids; a uuid without a name becomes `?`.
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
                // One server writes reals with 15 digits, the other with all significant ones.
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

    /// A message in normal form; `None` for an update without changes.
    ///
    /// ovsdb-server sends these when a column changed that is only in a condition, of this session or
    /// of another one with the same monitor.
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

    /// The beginning of an error's details: of several errors, each server may find any, and versions
    /// of ovsdb-server word them differently.
    fn wording(&self, details: &str) -> String {
        let words: Vec<_> = details.split_ascii_whitespace().take(2).collect();
        match &words[..] {
            // Each server has its own parser for schemas, with its own words for errors.
            ["the" | "Parsing", _] => "a parse error".into(),
            // The embedded server names the column whose values do not fit after a conversion.
            ["table" | "expected", _] => "a value of another type".into(),
            // Which of the two it is depends on whether a millisecond has passed.
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
            // RFC 7047 requires null in the reply to a request that failed; ovsdb-server omits it.
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
