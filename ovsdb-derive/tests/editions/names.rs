// The generated code compiles in the editions 2018, 2021 and 2024.
#![deny(warnings)]
#![allow(dead_code)]

mod names {
    ovsdb::schema!("editions/names.ovsschema");

    // Beside a generated table called `Option`, `Default`, `From`, ...
    #[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
    #[ovsdb(database = Database, table = "Names", schema = "editions/names.ovsschema")]
    pub struct Derived {
        pub r#gen: ovsdb::Str,
        pub r#type: ovsdb::Str,
        #[ovsdb(column = "self")]
        pub own: ovsdb::Str,
        pub value: NamesValue,
        pub to_option: ovsdb::Set<ovsdb::Ref<Option>>,
    }
}

fn main() {
    let names = names::Names::default();
    assert_eq!(names.r#gen, names::Derived::default().r#gen);
}
