//! How names of the schema become Rust names; the crate's documentation states the rules.

use proc_macro2::{Ident, Span};
use syn::ext::IdentExt as _;

/// The type of a table.
pub(crate) fn type_name(table: &str) -> String {
    let name: String = table.split('_').map(word).collect();
    match name.as_str() {
        "Self" => "SelfTable".to_owned(),
        _ => name,
    }
}

/// A word of a type's name.
fn word(word: &str) -> String {
    let mut characters = word.chars();
    let Some(first) = characters.next() else {
        return String::new();
    };
    let rest = characters.as_str();
    let acronym = word.len() > 1 && !word.chars().any(|c| c.is_ascii_lowercase());
    let rest = if acronym {
        rest.to_ascii_lowercase()
    } else {
        rest.to_owned()
    };
    format!("{}{rest}", first.to_ascii_uppercase())
}

/// The part of an enum's name that comes from its column.
pub(crate) fn type_word(column: &str) -> String {
    column.split('_').map(word).collect()
}

/// The words reserved in any edition, for now or the future, that can be raw identifiers.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let",
    "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
    "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield",
];

/// Whether a name is reserved and can be a raw identifier.
pub(crate) fn is_keyword(name: &str) -> bool {
    KEYWORDS.contains(&name)
}

/// The field of a column.
pub(crate) fn field(column: &str) -> Ident {
    let name = column.to_ascii_lowercase();
    match name.as_str() {
        // These three cannot be raw identifiers.
        "self" | "super" | "crate" => Ident::new(&format!("{name}_"), Span::call_site()),
        _ if is_keyword(&name) => Ident::new_raw(&name, Span::call_site()),
        _ => Ident::new(&name, Span::call_site()),
    }
}

/// The constant of a column.
pub(crate) fn constant(column: &str) -> Ident {
    Ident::new(&column.to_ascii_uppercase(), Span::call_site())
}

/// The constant of a renamed field.
pub(crate) fn constant_of(field: &Ident) -> Ident {
    let name = field.unraw().to_string().to_uppercase();
    Ident::new(&name, field.span())
}

/// The variant of an enum's value.
pub(crate) fn variant(value: &str) -> String {
    let words = value.split(|c: char| !c.is_ascii_alphanumeric());
    let name: String = words.map(word).collect();
    match name.as_str() {
        "Unknown" | "Self" => format!("{name}Value"),
        "" => "Empty".to_owned(),
        _ if name.starts_with(|c: char| c.is_ascii_digit()) => format!("V{name}"),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_become_types() {
        for (table, name) in [
            ("Logical_Switch_Port", "LogicalSwitchPort"),
            ("ACL", "Acl"),
            ("DHCP_Options", "DhcpOptions"),
            ("NB_Global", "NbGlobal"),
            ("QoS", "QoS"),
            ("sFlow", "SFlow"),
            ("HA_Chassis_Group", "HaChassisGroup"),
            ("Open_vSwitch", "OpenVSwitch"),
            ("Flow_Sample_Collector_Set", "FlowSampleCollectorSet"),
            ("CT_Zone", "CtZone"),
            ("A", "A"),
            ("self", "SelfTable"),
            ("Self", "SelfTable"),
            ("crate", "Crate"),
        ] {
            assert_eq!(type_name(table), name);
        }
    }

    #[test]
    fn columns_become_fields_and_constants() {
        for (column, name, upper) in [
            ("name", "name", "NAME"),
            ("type", "r#type", "TYPE"),
            ("match", "r#match", "MATCH"),
            ("gen", "r#gen", "GEN"),
            ("try", "r#try", "TRY"),
            ("self", "self_", "SELF"),
            ("Mixed_Case", "mixed_case", "MIXED_CASE"),
        ] {
            assert_eq!(field(column).to_string(), name);
            assert_eq!(constant(column).to_string(), upper);
            assert_eq!(
                constant_of(&field(column))
                    .to_string()
                    .trim_end_matches('_'),
                upper
            );
        }
    }

    #[test]
    fn values_become_variants() {
        for (value, name) in [
            ("allow-related", "AllowRelated"),
            ("to-lport", "ToLport"),
            ("drop", "Drop"),
            ("dnat_and_snat", "DnatAndSnat"),
            ("802.1ad", "V8021ad"),
            ("unknown", "UnknownValue"),
            ("self", "SelfValue"),
            ("", "Empty"),
            ("TCP", "Tcp"),
            ("OpenFlow10", "OpenFlow10"),
        ] {
            assert_eq!(variant(value), name);
        }
    }
}
