//! `schema!`: from a schema to a module of typed tables.

use std::collections::BTreeMap;

use ovsdb_schema::{
    AtomicType, BaseType, ColumnSchema, Constraint, DatabaseSchema, EnumValue, TableSchema,
};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::{Error, LitStr, Result};

use crate::{docs, names, source};

/// Expands the macro.
pub(crate) fn expand(input: TokenStream) -> Result<TokenStream> {
    let name: LitStr = syn::parse2(input)?;
    let source = source::load(&name)?;
    let mut module = module(&source.schema, name.span())?;
    if let Some(file) = source.file {
        // Makes the compiler look at the file's date.
        module.extend(quote! { const _: &str = ::core::include_str!(#file); });
    }
    Ok(module)
}

/// The items that are generated, to find two of one name.
struct Items {
    span: Span,
    made_from: BTreeMap<String, String>,
}

impl Items {
    fn add(&mut self, name: &str, from: String) -> Result<Ident> {
        let other = self.made_from.insert(name.to_owned(), from.clone());
        match other {
            Some(other) => {
                let message = format!("both {other} and {from} would be called `{name}`");
                Err(Error::new(self.span, message))
            }
            None => Ok(Ident::new(name, self.span)),
        }
    }
}

/// Everything that a schema expands to.
pub(crate) fn module(schema: &DatabaseSchema, span: Span) -> Result<TokenStream> {
    let mut items = Items {
        span,
        made_from: BTreeMap::new(),
    };
    let database = database(schema, &mut items)?;
    for table in schema.tables.keys() {
        items.add(&names::type_name(table), format!("the table `{table}`"))?;
    }
    let mut tokens = database;
    for (name, table) in &schema.tables {
        tokens.extend(table_items(name, table, &mut items)?);
    }
    Ok(tokens)
}

fn type_ident(table: &str) -> Ident {
    Ident::new(&names::type_name(table), Span::call_site())
}

fn database(schema: &DatabaseSchema, items: &mut Items) -> Result<TokenStream> {
    items.add("Database", "the database's label".to_owned())?;
    let name = &schema.name;
    let version = match &schema.version {
        Some(version) => quote! { ::core::option::Option::Some(#version) },
        None => quote! { ::core::option::Option::None },
    };
    let tables = schema.tables.keys();
    let types = schema.tables.keys().map(|table| type_ident(table));
    let doc = match &schema.version {
        Some(version) => format!("The database `{name}`, schema version {version}."),
        None => format!("The database `{name}`."),
    };
    Ok(quote! {
        #[doc = #doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Database;

        impl ::ovsdb::Database for Database {
            const NAME: &'static str = #name;
            const VERSION: ::core::option::Option<&'static str> = #version;
            const TABLES: &'static [&'static str] = &[#(#tables),*];

            fn with_all_tables<V: ::ovsdb::TableVisitor<Self>>(visitor: &mut V) {
                #( visitor.table::<#types>(); )*
            }
        }
    })
}

/// A column as its struct has it.
struct Field<'a> {
    name: &'a str,
    schema: &'a ColumnSchema,
    rust_type: TokenStream,
}

fn table_items(name: &str, table: &TableSchema, items: &mut Items) -> Result<TokenStream> {
    let mut enums = TokenStream::new();
    let mut fields = Vec::new();
    for (column, schema) in &table.columns {
        let rust_type = column_type(name, column, schema, &mut enums, items)?;
        fields.push(Field {
            name: column,
            schema,
            rust_type,
        });
    }
    distinct(name, &fields, items.span)?;

    let table_type = type_ident(name);
    let doc = docs::table(name, table);
    let (mut definitions, mut constants) = (Vec::new(), Vec::new());
    for (index, field) in fields.iter().enumerate() {
        let ident = names::field(field.name);
        let constant = names::constant(field.name);
        let doc = docs::column(field.name, field.schema, table);
        let rust_type = &field.rust_type;
        definitions.push(quote! { #[doc = #doc] pub #ident: #rust_type });
        constants.push(quote! {
            #[doc = #doc]
            pub const #constant: ::ovsdb::Column<Self, #rust_type> = ::ovsdb::Column::new(#index);
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
    let indexes = table.indexes.iter().map(|index| {
        let places = index.iter().filter_map(place);
        quote! { &[#(#places),*] }
    });
    let idents: Vec<Ident> = fields
        .iter()
        .map(|field| names::field(field.name))
        .collect();
    let accessors = accessors(&idents);
    Ok(quote! {
        #enums

        #[doc = #doc]
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct #table_type {
            #( #definitions, )*
        }

        impl #table_type {
            #( #constants )*
        }

        impl ::ovsdb::Table for #table_type {
            type Database = Database;
            const TABLE: &'static str = #name;
            const COLUMNS: &'static [::ovsdb::ColumnInfo] = &[#(#columns),*];
            const INDEXES: &'static [&'static [usize]] = &[#(#indexes),*];

            #accessors
        }
    })
}

/// The functions that find a column by its index, and the one that reads all of several rows.
pub(crate) fn accessors(fields: &[Ident]) -> TokenStream {
    let places: Vec<usize> = (0..fields.len()).collect();
    quote! {
        #[inline]
        fn column(&self, index: usize) -> ::core::option::Option<&dyn ::ovsdb::ColumnValue> {
            match index {
                #( #places => ::core::option::Option::Some(&self.#fields), )*
                _ => ::core::option::Option::None,
            }
        }

        fn column_mut(
            &mut self,
            index: usize,
        ) -> ::core::option::Option<&mut dyn ::ovsdb::ColumnValue> {
            match index {
                #( #places => ::core::option::Option::Some(&mut self.#fields), )*
                _ => ::core::option::Option::None,
            }
        }

        fn warm(rows: &[&Self]) -> usize {
            0 #( ^ rows
                .iter()
                .fold(0, |read, row| read ^ ::ovsdb::ColumnValue::warm(&row.#fields)) )*
        }
    }
}

/// Column names that differ in case only would be one field.
fn distinct(table: &str, fields: &[Field<'_>], span: Span) -> Result<()> {
    let mut seen = BTreeMap::new();
    for field in fields {
        if let Some(other) = seen.insert(names::field(field.name).to_string(), field.name) {
            let message = format!(
                "both columns `{other}` and `{}` of `{table}` would be one field",
                field.name
            );
            return Err(Error::new(span, message));
        }
    }
    Ok(())
}

fn column_type(
    table: &str,
    column: &str,
    schema: &ColumnSchema,
    enums: &mut TokenStream,
    items: &mut Items,
) -> Result<TokenStream> {
    let kind = &schema.kind;
    let name = format!("{}{}", names::type_name(table), names::type_name(column));
    let from = format!("the values of `{table}.{column}`");
    let Some(value) = &kind.value else {
        let atom = atom_type(&kind.key, &name, &from, enums, items)?;
        return Ok(if kind.is_scalar() {
            atom
        } else if kind.is_optional() {
            quote! { ::core::option::Option<#atom> }
        } else {
            quote! { ::ovsdb::Set<#atom> }
        });
    };
    let key = atom_type(&kind.key, &format!("{name}Key"), &from, enums, items)?;
    let value = atom_type(value, &format!("{name}Value"), &from, enums, items)?;
    Ok(quote! { ::ovsdb::Map<#key, #value> })
}

fn atom_type(
    base: &BaseType,
    enum_name: &str,
    from: &str,
    enums: &mut TokenStream,
    items: &mut Items,
) -> Result<TokenStream> {
    Ok(match (base.atomic, &base.ref_table, &base.constraint) {
        (AtomicType::Uuid, Some(table), _) => {
            let table = type_ident(table);
            quote! { ::ovsdb::Ref<#table> }
        }
        (AtomicType::String, _, Constraint::Enum(values)) => {
            let ident = items.add(enum_name, from.to_owned())?;
            enums.extend(enumeration(&ident, values, from, items.span)?);
            quote! { #ident }
        }
        (AtomicType::Integer, ..) => quote! { i64 },
        (AtomicType::Real, ..) => quote! { ::ovsdb::Real },
        (AtomicType::Boolean, ..) => quote! { bool },
        (AtomicType::String, ..) => quote! { ::ovsdb::Str },
        (AtomicType::Uuid, ..) => quote! { ::ovsdb::Uuid },
    })
}

fn enumeration(ident: &Ident, values: &[EnumValue], from: &str, span: Span) -> Result<TokenStream> {
    let mut seen = BTreeMap::new();
    let mut variants = Vec::new();
    for value in values {
        let text = value.to_string();
        let variant = names::variant(&text);
        let name = format_ident!("{variant}");
        let doc = format!("`{text}`");
        if let Some(other) = seen.insert(variant, text.clone()) {
            let message = format!("{from}: both `{other}` and `{text}` would be `{name}`");
            return Err(Error::new(span, message));
        }
        variants.push(quote! { #[doc = #doc] #name = #text });
    }
    let mut doc = from.to_owned();
    doc.replace_range(..1, "T");
    doc.push('.');
    Ok(quote! {
        ::ovsdb::__enumeration! {
            #[doc = #doc]
            pub enum #ident { #( #variants, )* }
        }
    })
}
