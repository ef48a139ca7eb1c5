//! Label selectors: which objects they select, and the text that identifies them in OVN-Kubernetes.

use std::collections::BTreeMap;
use std::fmt;

use crate::field::{Field, Wrong};

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// A label selector. The empty one selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    match_labels: Labels,
    match_expressions: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Requirement {
    fn read(field: &Field<'_>) -> Result<Self, Wrong> {
        field.only(&["key", "operator", "values"])?;
        let word = field.member("operator")?;
        let operator = match word.text()? {
            Some("In") => Operator::In,
            Some("NotIn") => Operator::NotIn,
            Some("Exists") => Operator::Exists,
            Some("DoesNotExist") => Operator::DoesNotExist,
            _ => return Err(word.must_be("one of In, NotIn, Exists, DoesNotExist")),
        };
        let listed = field.member("values")?;
        let elements = listed.list()?;
        let texts = elements
            .iter()
            .map(|value| value.required_text().map(str::to_owned));
        let values: Vec<String> = texts.collect::<Result<_, _>>()?;
        let takes_values = matches!(operator, Operator::In | Operator::NotIn);
        match (takes_values, values.is_empty()) {
            (true, true) => Err(listed.wrong(format!("must not be empty for {operator:?}"))),
            (false, false) => Err(listed.wrong(format!("must be absent for {operator:?}"))),
            _ => Ok(Self {
                key: field.member("key")?.required_text()?.to_owned(),
                operator,
                values,
            }),
        }
    }

    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

impl Selector {
    /// Reads a selector, unless it is absent.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn read(field: &Field<'_>) -> Result<Option<Self>, Wrong> {
        field.only(&["matchLabels", "matchExpressions"])?;
        if field.value().is_none() {
            return Ok(None);
        }
        let requirements = field.member("matchExpressions")?.list()?;
        let requirements = requirements.iter().map(Requirement::read);
        Ok(Some(Self {
            match_labels: field.member("matchLabels")?.texts()?,
            match_expressions: requirements.collect::<Result<_, _>>()?,
        }))
    }

    /// Whether it has no requirements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// Whether it selects an object with these labels.
    #[must_use]
    pub fn selects(&self, labels: &Labels) -> bool {
        self.match_labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
            && self
                .match_expressions
                .iter()
                .all(|requirement| requirement.holds(labels))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LS{")?;
        if !self.match_labels.is_empty() {
            f.write_str("ML:{")?;
            for (key, value) in &self.match_labels {
                write!(f, "{key}: {value},")?;
            }
            f.write_str("},")?;
        }
        if !self.match_expressions.is_empty() {
            let texts = self.match_expressions.iter().map(|requirement| {
                let Requirement {
                    key,
                    operator,
                    values,
                } = requirement;
                format!(
                    "LSR{{Key:{key},Operator:{operator:?},Values:[{}],}}",
                    values.join(" ")
                )
            });
            let mut texts: Vec<String> = texts.collect();
            texts.sort();
            write!(f, "ME:{{{}}},", texts.join(","))?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn selector(value: serde_json::Value) -> Selector {
        let read = Selector::read(&Field::new("podSelector", Some(&value)));
        read.expect("a selector").unwrap_or_default()
    }

    #[test]
    fn selectors_select_by_labels() {
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        let web = labels(&[("app", "web"), ("tier", "1")]);
        for (value, selected) in [
            (json!({}), true),
            (json!({"matchLabels": {"app": "web"}}), true),
            (json!({"matchLabels": {"app": "web", "tier": "2"}}), false),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "web"]}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}),
                false,
            ),
            (
                json!({"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["web"]}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}),
                false,
            ),
        ] {
            assert_eq!(selector(value.clone()).selects(&web), selected, "{value}");
        }
        for null in [
            json!(null),
            json!({"matchLabels": null, "matchExpressions": null}),
        ] {
            assert!(selector(null).is_empty());
        }
        let exists =
            json!({"matchExpressions": [{"key": "app", "operator": "Exists", "values": null}]});
        assert!(selector(exists).selects(&web));
    }

    #[test]
    fn malformed_selectors_are_reported_with_their_field() {
        for (value, message) in [
            (json!([]), "podSelector: must be a mapping, not a list"),
            (
                json!({"labels": {}}),
                "podSelector.labels: is not a field here; there are matchLabels, matchExpressions",
            ),
            (
                json!({"matchLabels": {"app": 1}}),
                "podSelector.matchLabels.app: must be a string, not the number 1",
            ),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "In"}]}),
                "podSelector.matchExpressions[0].values: must not be empty for In",
            ),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]}),
                "podSelector.matchExpressions[0].values: must be absent for Exists",
            ),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "in", "values": ["x"]}]}),
                "podSelector.matchExpressions[0].operator: must be one of In, NotIn, Exists, \
                 DoesNotExist, not \"in\"",
            ),
            (
                json!({"matchExpressions": [null]}),
                "podSelector.matchExpressions[0].operator: is missing; it must be one of In, NotIn, \
                 Exists, DoesNotExist",
            ),
        ] {
            let wrong =
                Selector::read(&Field::new("podSelector", Some(&value))).expect_err("wrong");
            assert_eq!(wrong.to_string(), message);
        }
    }

    #[test]
    fn selectors_have_the_text_of_kubernetes() {
        assert_eq!(Selector::default().to_string(), "LS{}");
        let labels = json!({"matchLabels": {"app": "nginx1"}});
        assert_eq!(selector(labels).to_string(), "LS{ML:{app: nginx1,},}");
        let both = json!({"matchLabels": {"b": "2", "a": "1"}, "matchExpressions": [
            {"key": "z", "operator": "Exists"},
            {"key": "k", "operator": "In", "values": ["v1", "v2"]},
        ]});
        assert_eq!(
            selector(both).to_string(),
            "LS{ML:{a: 1,b: 2,},ME:{LSR{Key:k,Operator:In,Values:[v1 v2],},\
             LSR{Key:z,Operator:Exists,Values:[],}},}"
        );
    }
}
