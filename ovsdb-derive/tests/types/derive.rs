// Structs that do not fit the schema, which only the compiler can find, since the macro sees names.
use ovsdb::nb::{AclDirection, LogicalRouter, LogicalSwitch};
use ovsdb::{Map, Ref, Set, Str, Table, Uuid, nb, vswitch};

// The macro sees names; only the compiler can resolve them.
type Ports = Set<Ref<nb::LogicalSwitchPort>>;
type Routers = Set<Ref<LogicalRouter>>;
type Names = Map<Str, Str>;

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = nb::Database, table = "Logical_Switch", schema = "OVN_Northbound")]
struct Right {
    ports: Ports,
    external_ids: Names,
    copp: Option<Ref<nb::Copp>>,
    // A uuid may be any reference, and a string any enum.
    acls: Set<Uuid>,
}

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = nb::Database, table = "Load_Balancer_Group", schema = "OVN_Northbound")]
struct Group {
    name: Str,
    load_balancer: Set<Ref<Balancer>>,
}

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = nb::Database, table = "Load_Balancer", schema = "OVN_Northbound")]
struct Balancer {
    protocol: Option<nb::LoadBalancerProtocol>,
    selection_fields: Set<Str>,
}

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = nb::Database, table = "Logical_Switch", schema = "OVN_Northbound")]
struct Switch {
    // A reference to another table, by its name and by an alias.
    ports: Set<Ref<LogicalSwitch>>, //~ the column `Logical_Switch.ports` is set of strong references to `Logical_Switch_Port`: `Set<Ref<LogicalSwitchPort>>`
    load_balancer: Routers, //~ is set of weak references to `Load_Balancer`: `Set<Ref<LoadBalancer>>`
    copp: Option<Ref<Self>>, //~ is optional weak reference to `Copp`: `Option<Ref<Copp>>`
    // An alias of a type of another shape.
    external_ids: Ports, //~ the column `Logical_Switch.external_ids` is map from string to string: `Map<Str, Str>`
    name: Names, //~ the column `Logical_Switch.name` is string: `Str`
}

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = nb::Database, table = "ACL", schema = "OVN_Northbound")]
struct Acl {
    // The enum of another column, and an enum where any string may be.
    action: AclDirection, //~ the column `ACL.action` is string (one of `"allow"`
    external_ids: Map<Str, AclDirection>, //~ is map from string to string: `Map<Str, Str>`
}

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = nb::Database, table = "NB_Global", schema = "OVN_Northbound")]
struct Global {
    // A table of this name in another database.
    ssl: Option<Ref<vswitch::Ssl>>, //~ the column `NB_Global.ssl` cannot refer to a table of another database
}

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = nb::Database, table = "NB_Global")]
struct WithoutSchema {
    ssl: Option<Ref<vswitch::Ssl>>, //~ the column `NB_Global.ssl` cannot refer to a table of another database
}

#[derive(Debug, Clone, PartialEq, Default, Table)]
#[ovsdb(database = vswitch::Database, table = "Logical_Switch", schema = "OVN_Northbound")] //~ the schema is of the database `OVN_Northbound`, and `database` is another
struct OtherDatabase {
    name: Str,
}

fn main() {}
