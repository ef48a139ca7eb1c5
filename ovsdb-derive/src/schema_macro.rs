//! `schema!`: from a schema to a module of typed tables.

use std::collections::{BTreeMap, BTreeSet};

use ovsdb_schema::{
    AtomicType, BaseType, ColumnSchema, Constraint, DatabaseSchema, EnumValue, TableSchema,
    bundled_notes,
};
use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{Error, LitStr, Result};

use crate::arguments::Arguments;
use crate::column::accessors;
use crate::docs::Facts;
use crate::indexes::Indexed;
use crate::notes::Notes;
use crate::rename::{Names, rename_hint};
use crate::suggest::did_you_mean;
use crate::{default, docs, indexes, source};

/// The library's types that get an alias for the database, and the documentation of the aliases. An alias is omitted
/// where a table or an enum has its name.
const ALIASES: &[(&str, &str)] = &[
    (
        "AllChanges",
        "A stream of the changes of all tables of a cache of this database.",
    ),
    ("Cache", "A replica of tables of this database."),
    (
        "CacheBuilder",
        "Configures which tables and rows a cache of this database replicates.",
    ),
    ("Client", "A client of this database."),
    (
        "ClientBuilder",
        "Configures where and how a client of this database connects.",
    ),
    (
        "Desired",
        "The rows that a controller wants in this database.",
    ),
    (
        "Plan",
        "The operations that bring this database into the desired state.",
    ),
    (
        "Reconciler",
        "Runs a controller of this database, whose objects have keys of the type `K`.",
    ),
    ("Runner", "A running controller of this database."),
    (
        "Snapshot",
        "A view of a cache of this database at one moment.",
    ),
    ("Transaction", "A transaction on this database."),
];

/// Expands the macro.
pub(crate) fn expand(input: TokenStream) -> Result<TokenStream> {
    let arguments: Arguments = syn::parse2(input)?;
    let source = source::load(&arguments.schema)?;
    let mut module = module(&source.schema, &arguments)?;
    module.extend(source.watch());
    Ok(module)
}

/// Everything that a schema expands to.
pub(crate) fn module(schema: &DatabaseSchema, arguments: &Arguments) -> Result<TokenStream> {
    let tables = match &arguments.tables {
        Some(tables) => chosen(schema, tables)?,
        None => schema.tables.keys().map(String::as_str).collect(),
    };
    Module {
        schema,
        tables,
        names: Names::new(schema, &arguments.rename)?,
        facts: Facts {
            schema,
            notes: bundled_notes(&arguments.schema.value())
                .map_or_else(Notes::default, Notes::parse),
            manual: arguments.manual.as_ref(),
        },
        span: arguments.schema.span(),
        made_from: BTreeMap::new(),
        enums: TokenStream::new(),
    }
    .expand()
}

/// The tables that the argument `tables` names.
fn chosen<'a>(schema: &'a DatabaseSchema, tables: &[LitStr]) -> Result<BTreeSet<&'a str>> {
    let mut chosen = BTreeSet::new();
    for table in tables {
        let name = table.value();
        let Some((known, _)) = schema.tables.get_key_value(&name) else {
            let hint = did_you_mean(&name, schema.tables.keys().map(String::as_str));
            let message = format!("the database `{}` has no table `{name}`{hint}", schema.name);
            return Err(Error::new(table.span(), message));
        };
        chosen.insert(known.as_str());
    }
    Ok(chosen)
}

/// The module while it is generated.
struct Module<'a> {
    schema: &'a DatabaseSchema,
    /// The tables that are generated.
    tables: BTreeSet<&'a str>,
    names: Names,
    facts: Facts<'a>,
    /// Where the schema is named.
    span: Span,
    /// The items so far by name, and what each was generated from, to find duplicates.
    made_from: BTreeMap<String, String>,
    enums: TokenStream,
}

/// A column as a field of its struct.
struct Field<'a> {
    name: &'a str,
    schema: &'a ColumnSchema,
    ident: Ident,
    constant: Ident,
    rust_type: TokenStream,
}

impl<'a> Module<'a> {
    fn expand(mut self) -> Result<TokenStream> {
        let mut tokens = self.database()?;
        for table in self.tables.clone() {
            let name = self.names.table(table).to_string();
            self.add(&name, format!("the table `{table}`"), table)?;
        }
        let schema = self.schema;
        for (name, table) in &schema.tables {
            if self.tables.contains(name.as_str()) {
                let items = self.table(name, table)?;
                tokens.extend(std::mem::take(&mut self.enums));
                tokens.extend(items);
            }
        }
        tokens.extend(self.aliases());
        let types = self.tables.iter().map(|table| self.names.table(table));
        tokens.extend(quote! { ::ovsdb::__serialize_tables!(#(#types)*); });
        Ok(tokens)
    }

    /// The aliases of the library's types for this database, except those whose name an item has.
    fn aliases(&self) -> TokenStream {
        let free = ALIASES
            .iter()
            .filter(|(name, _)| !self.made_from.contains_key(*name));
        free.map(|(name, doc)| {
            let ident = Ident::new(name, Span::call_site());
            let path = match *name {
                "AllChanges" => quote! { ::ovsdb::cache::#ident },
                "Plan" => quote! { ::ovsdb::desired::#ident },
                _ => quote! { ::ovsdb::#ident },
            };
            let (own, further) = match *name {
                "Reconciler" | "Runner" => (quote! { <K> }, quote! { , K }),
                _ => Default::default(),
            };
            quote! {
                #[doc = #doc]
                pub type #ident #own = #path<Database #further>;
            }
        })
        .collect()
    }

    /// Records an item and refuses duplicates; `key` is what `rename` calls it.
    fn add(&mut self, name: &str, from: String, key: &str) -> Result<()> {
        match self.made_from.insert(name.to_owned(), from.clone()) {
            None => Ok(()),
            Some(other) => {
                let rename_hint = rename_hint(key);
                let message =
                    format!("both {other} and {from} would be called `{name}`; {rename_hint}");
                Err(Error::new(self.span, message))
            }
        }
    }

    fn database(&mut self) -> Result<TokenStream> {
        self.add("Database", "the type of the database".to_owned(), "")?;
        let name = &self.schema.name;
        let version = match &self.schema.version {
            Some(version) => quote! { ::core::option::Option::Some(#version) },
            None => quote! { ::core::option::Option::None },
        };
        let tables = &self.tables;
        let types: Vec<Ident> = tables.iter().map(|table| self.names.table(table)).collect();
        let tables = tables.iter();
        let doc = match &self.schema.version {
            Some(version) => format!("The database `{name}`, schema version {version}."),
            None => format!("The database `{name}`."),
        };
        let visitor = free_name("V", &types);
        Ok(quote! {
            #[doc = #doc]
            #[derive(
                ::core::fmt::Debug,
                ::core::clone::Clone,
                ::core::marker::Copy,
                ::core::cmp::PartialEq,
                ::core::cmp::Eq,
            )]
            pub struct Database;

            impl ::ovsdb::Database for Database {
                const NAME: &'static str = #name;
                const VERSION: ::core::option::Option<&'static str> = #version;
                const TABLES: &'static [&'static str] = &[#(#tables),*];

                fn with_all_tables<#visitor: ::ovsdb::TableVisitor<Self>>(visitor: &mut #visitor) {
                    #( visitor.table::<#types>(); )*
                }
            }
        })
    }

    fn table(&mut self, name: &str, table: &'a TableSchema) -> Result<TokenStream> {
        let mut fields = Vec::new();
        for (column, schema) in &table.columns {
            fields.push(Field {
                name: column,
                schema,
                ident: self.names.field(name, column),
                constant: self.names.constant(name, column),
                rust_type: self.column_type(name, column, schema)?,
            });
        }
        self.distinct(name, &fields)?;

        let table_type = self.names.table(name);
        let doc = docs::table(&self.facts, name);
        let (mut definitions, mut constants) = (Vec::new(), Vec::new());
        for (index, field) in fields.iter().enumerate() {
            let (ident, constant, rust_type) = (&field.ident, &field.constant, &field.rust_type);
            let doc = docs::column(&self.facts, name, field.name);
            let unique = table.indexes.iter().any(|index| *index == [field.name]);
            let marker = indexes::marker(field.schema.mutable, unique);
            definitions.push(quote! { #[doc = #doc] pub #ident: #rust_type });
            constants.push(quote! {
                #[doc = #doc]
                pub const #constant: ::ovsdb::Column<Self, #rust_type #marker> =
                    ::ovsdb::Column::new(#index, |row: &Self| &row.#ident);
            });
        }
        let columns = fields.iter().map(|field| {
            let (name, rust_type) = (field.name, &field.rust_type);
            quote! { ::ovsdb::ColumnInfo::new::<#rust_type>(#name) }
        });
        let place = |column: &String| {
            fields
                .iter()
                .position(|field| field.name == column.as_str())
        };
        let indexes: Vec<Vec<usize>> = table
            .indexes
            .iter()
            .map(|index| index.iter().filter_map(place).collect())
            .collect();
        let indexed: Vec<Indexed<'_>> = fields
            .iter()
            .map(|field| Indexed {
                name: field.name,
                constant: &field.constant,
                rust_type: &field.rust_type,
            })
            .collect();
        let rename_hint = |column: &str| rename_hint(&format!("{name}.{column}"));
        let index_constants = indexes::constants(&indexes, &indexed, self.span, rename_hint)?;
        let indexes = indexes.iter().map(|places| quote! { &[#(#places),*] });
        let idents: Vec<Ident> = fields.iter().map(|field| field.ident.clone()).collect();
        let accessors = accessors(&idents);
        let bases = fields.iter().flat_map(|field| field.schema.kind.atoms());
        let targets: BTreeSet<&str> = bases
            .filter_map(|base| base.ref_table.as_deref())
            .filter(|target| self.tables.contains(target))
            .collect();
        let targets = targets.iter().map(|target| self.names.table(target));
        let defaults = fields.iter().map(|field| {
            (
                &field.ident,
                default::value_of_own(&field.rust_type, &field.schema.kind),
            )
        });
        let default = default::implementation(&table_type, defaults);
        Ok(quote! {
            #[doc = #doc]
            #[derive(
                ::core::fmt::Debug,
                ::core::clone::Clone,
                ::core::cmp::PartialEq,
                ::core::cmp::Eq,
            )]
            pub struct #table_type {
                #( #definitions, )*
            }

            #default

            impl #table_type {
                #( #constants )*
                #index_constants
            }

            impl ::ovsdb::Table for #table_type {
                type Database = Database;
                const TABLE: &'static str = #name;
                const COLUMNS: &'static [::ovsdb::ColumnInfo] = &[#(#columns),*];
                const INDEXES: &'static [&'static [usize]] = &[#(#indexes),*];

                #accessors
            }

            #( impl ::ovsdb::model::RefersTo<#targets> for #table_type {} )*
        })
    }

    /// Refuses columns whose fields or constants would have the same name, such as `Name` and `name`.
    fn distinct(&self, table: &str, fields: &[Field<'_>]) -> Result<()> {
        let (mut idents, mut constants) = (BTreeMap::new(), BTreeMap::new());
        for field in fields {
            let same_field = idents.insert(field.ident.to_string(), field.name);
            let same_constant = constants.insert(field.constant.to_string(), field.name);
            let (other, what) = match (same_field, same_constant) {
                (Some(other), _) => (other, format!("field, `{}`", field.ident)),
                (None, Some(other)) => (other, format!("constant, `{}`", field.constant)),
                (None, None) => continue,
            };
            let name = field.name;
            let rename_hint = rename_hint(&format!("{table}.{name}"));
            let message = format!(
                "both columns `{other}` and `{name}` of `{table}` would be one {what}; {rename_hint}"
            );
            return Err(Error::new(self.span, message));
        }
        Ok(())
    }

    fn column_type(
        &mut self,
        table: &str,
        column: &str,
        schema: &ColumnSchema,
    ) -> Result<TokenStream> {
        let kind = &schema.kind;
        let Some(value) = &kind.value else {
            let atom = self.atom_type(&kind.key, table, column, "")?;
            return Ok(if kind.is_scalar() {
                atom
            } else if kind.is_optional() {
                quote! { ::core::option::Option<#atom> }
            } else {
                quote! { ::ovsdb::Set<#atom> }
            });
        };
        let key = self.atom_type(&kind.key, table, column, "Key")?;
        let value = self.atom_type(value, table, column, "Value")?;
        Ok(quote! { ::ovsdb::Map<#key, #value> })
    }

    fn atom_type(
        &mut self,
        base: &BaseType,
        table: &str,
        column: &str,
        suffix: &str,
    ) -> Result<TokenStream> {
        Ok(match (base.atomic, &base.ref_table, &base.constraint) {
            (AtomicType::Uuid, Some(target), _) if self.tables.contains(target.as_str()) => {
                let target = self.names.table(target);
                quote! { ::ovsdb::Ref<#target> }
            }
            (AtomicType::String, _, Constraint::Enum(values)) => {
                let name = format!("{}{suffix}", self.names.enumeration(table, column));
                let key = format!("{table}.{column}");
                self.add(&name, format!("the values of `{key}`"), &key)?;
                let ident = Ident::new(&name, self.span);
                let enumeration = self.enumeration(&ident, values, table, column)?;
                self.enums.extend(enumeration);
                quote! { #ident }
            }
            (AtomicType::Integer, ..) => quote! { i64 },
            (AtomicType::Real, ..) => quote! { ::ovsdb::Real },
            (AtomicType::Boolean, ..) => quote! { bool },
            (AtomicType::String, ..) => quote! { ::ovsdb::Str },
            (AtomicType::Uuid, ..) => quote! { ::ovsdb::Uuid },
        })
    }

    fn enumeration(
        &self,
        ident: &Ident,
        values: &[EnumValue],
        table: &str,
        column: &str,
    ) -> Result<TokenStream> {
        let other = "any value that the schema does not list".to_owned();
        let mut seen = BTreeMap::from([("Unknown".to_owned(), other)]);
        let mut variants = Vec::new();
        for value in values {
            let text = value.to_string();
            let name = self.names.variant(table, column, &text);
            let doc = format!("`{text}`");
            if let Some(other) = seen.insert(name.to_string(), doc.clone()) {
                let rename_hint = rename_hint(&format!("{table}.{column}.{text}"));
                let message = format!(
                    "the values of `{table}.{column}`: both {other} and {doc} would be `{name}`; {rename_hint}"
                );
                return Err(Error::new(self.span, message));
            }
            variants.push(quote! { #[doc = #doc] #name = #text });
        }
        let doc = format!("The values of `{table}.{column}`.");
        Ok(quote! {
            ::ovsdb::__enumeration! {
                #[doc = #doc]
                pub enum #ident { #( #variants, )* }
            }
        })
    }
}

/// A name for a type parameter that none of these types has.
fn free_name(name: &str, types: &[Ident]) -> Ident {
    let mut name = name.to_owned();
    while types.iter().any(|known| *known == name) {
        name.push('_');
    }
    Ident::new(&name, Span::call_site())
}
