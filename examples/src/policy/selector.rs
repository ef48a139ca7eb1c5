//! Label selectors: whom they select, and the text by which OVN-Kubernetes knows them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// A label selector. The empty one selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    #[serde(default)]
    match_labels: Labels,
    #[serde(default)]
    match_expressions: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    key: String,
    operator: Operator,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Requirement {
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
    /// Whether it has no requirement.
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

    /// What is wrong with it, if anything: the path of the field, and why.
    #[must_use]
    pub fn mistake(&self) -> Option<(String, &'static str)> {
        self.match_expressions
            .iter()
            .enumerate()
            .find_map(|(at, requirement)| {
                let takes_values = matches!(requirement.operator, Operator::In | Operator::NotIn);
                let why = match (takes_values, requirement.values.is_empty()) {
                    (true, true) => "values for this operator",
                    (false, false) => "absent for this operator",
                    _ => return None,
                };
                Some((format!("matchExpressions[{at}].values"), why))
            })
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
        serde_json::from_value(value).expect("a selector")
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
        let wrong = selector(json!({"matchExpressions": [{"key": "a", "operator": "In"}]}));
        assert_eq!(
            wrong.mistake().expect("wrong").0,
            "matchExpressions[0].values"
        );
        assert!(serde_json::from_value::<Selector>(json!({"labels": {}})).is_err());
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
