//! The names of generated items: by the rules, or as `rename` says.

use std::collections::BTreeMap;

use ovsdb_schema::{AtomicType, BaseType, ColumnSchema, Constraint, DatabaseSchema};
use proc_macro2::{Ident, Span};
use syn::ext::IdentExt as _;
use syn::{Error, LitStr, Result};

use crate::arguments::Rename;
use crate::names;
use crate::suggest::did_you_mean;

/// The names of everything that is generated.
pub(crate) struct Names {
    renamed: BTreeMap<String, Ident>,
}

/// What a key of `rename` gives a name to.
enum Renamed {
    Type,
    Field,
    Variant,
}

impl Names {
    /// The names by the rules, with these exceptions.
    pub(crate) fn new(schema: &DatabaseSchema, rename: &[Rename]) -> Result<Self> {
        let mut renamed = BTreeMap::new();
        let mut errors: Option<Error> = None;
        for Rename { key, name } in rename {
            let result = find(schema, key)
                .and_then(|what| identifier(&what, name))
                .and_then(|name| match renamed.insert(key.value(), name) {
                    None => Ok(()),
                    Some(_) => {
                        let message = format!("`{}` is renamed twice", key.value());
                        Err(Error::new(key.span(), message))
                    }
                });
            if let Err(error) = result {
                match &mut errors {
                    Some(errors) => errors.combine(error),
                    None => errors = Some(error),
                }
            }
        }
        match errors {
            Some(errors) => Err(errors),
            None => Ok(Self { renamed }),
        }
    }

    /// The type of a table.
    pub(crate) fn table(&self, table: &str) -> Ident {
        let own = self.renamed.get(table).cloned();
        own.unwrap_or_else(|| Ident::new(&names::type_name(table), Span::call_site()))
    }

    /// The field of a column.
    pub(crate) fn field(&self, table: &str, column: &str) -> Ident {
        let own = self.renamed.get(&format!("{table}.{column}")).cloned();
        own.unwrap_or_else(|| names::field(column))
    }

    /// The constant of a column.
    pub(crate) fn constant(&self, table: &str, column: &str) -> Ident {
        match self.renamed.get(&format!("{table}.{column}")) {
            Some(own) => names::constant_of(own),
            None => names::constant(column),
        }
    }

    /// The enum of a column.
    pub(crate) fn enumeration(&self, table: &str, column: &str) -> String {
        let word = match self.renamed.get(&format!("{table}.{column}")) {
            Some(own) => names::type_word(&own.unraw().to_string()),
            None => names::type_word(column),
        };
        format!("{}{word}", self.table(table))
    }

    /// The variant of a value.
    pub(crate) fn variant(&self, table: &str, column: &str, value: &str) -> Ident {
        let own = self.renamed.get(&format!("{table}.{column}.{value}"));
        let by_rule = || Ident::new(&names::variant(value), Span::call_site());
        own.cloned().unwrap_or_else(by_rule)
    }
}

/// The end of an error about two items of the same name: how to rename one.
pub(crate) fn rename_hint(key: &str) -> String {
    format!("give one of them another name: `rename = {{ {key:?} => ... }}`")
}

/// Finds what a key names: `Table`, `Table.column` or `Table.column.value`.
fn find(schema: &DatabaseSchema, key: &LitStr) -> Result<Renamed> {
    let text = key.value();
    let error = |message: String| Err(Error::new(key.span(), message));
    let mut parts = text.splitn(3, '.');
    let table = parts.next().unwrap_or_default();
    let Some(known) = schema.tables.get(table) else {
        let hint = did_you_mean(table, schema.tables.keys().map(String::as_str));
        return error(format!(
            "the database `{}` has no table `{table}`{hint}",
            schema.name
        ));
    };
    let Some(column) = parts.next() else {
        return Ok(Renamed::Type);
    };
    let Some(known) = known.columns.get(column) else {
        let hint = did_you_mean(column, known.columns.keys().map(String::as_str));
        return error(format!(
            "the table `{table}` has no column `{column}`{hint}"
        ));
    };
    let Some(value) = parts.next() else {
        return Ok(Renamed::Field);
    };
    let values = values(known);
    if values.is_empty() {
        return error(format!(
            "no enum is generated for the column `{table}.{column}`, so its value `{value}` has no name"
        ));
    }
    if values.iter().any(|known| known == value) {
        return Ok(Renamed::Variant);
    }
    let hint = did_you_mean(value, values.iter().map(String::as_str));
    error(format!(
        "the schema does not list the value `{value}` for the column `{table}.{column}`{hint}"
    ))
}

/// The strings that the schema lists for a column, each of which becomes a variant of an enum.
fn values(column: &ColumnSchema) -> Vec<String> {
    let of = |base: &BaseType| match &base.constraint {
        Constraint::Enum(values) if base.atomic == AtomicType::String => {
            values.iter().map(ToString::to_string).collect()
        }
        _ => Vec::new(),
    };
    column.kind.atoms().flat_map(of).collect()
}

/// The name as an identifier of its kind.
fn identifier(what: &Renamed, name: &Ident) -> Result<Ident> {
    let text = name.to_string();
    if syn::parse_str::<Ident>(&text).is_ok() && !names::is_keyword(&text) {
        return Ok(name.clone());
    }
    let unusable = matches!(text.as_str(), "self" | "Self" | "super" | "crate" | "_");
    match what {
        Renamed::Field if !unusable => Ok(Ident::new_raw(&text, name.span())),
        _ => Err(Error::new(name.span(), format!("`{name}` is a keyword"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_that_become_variants_can_be_renamed() {
        let schema = DatabaseSchema::parse(
            r#"{"name": "D", "version": "1.0.0", "tables": {"T": {"columns": {
                "text": {"type": {"key": {"type": "string", "enum": ["set", ["5", "6"]]}}},
                "number": {"type": {"key": {"type": "integer", "enum": ["set", [5, 6]]}}}}}}}"#,
        )
        .expect("a schema");
        let rename = |key: &str| {
            let rename = Rename {
                key: LitStr::new(key, Span::call_site()),
                name: Ident::new("Five", Span::call_site()),
            };
            Names::new(&schema, &[rename]).map_err(|error| error.to_string())
        };
        let names = rename("T.text.5").expect("a variant");
        assert_eq!(names.variant("T", "text", "5").to_string(), "Five");
        assert_eq!(
            rename("T.number.5").err().as_deref(),
            Some("no enum is generated for the column `T.number`, so its value `5` has no name")
        );
    }
}
