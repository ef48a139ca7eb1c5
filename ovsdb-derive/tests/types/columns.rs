// Misuse of columns and rows of generated tables that the types refuse.
use ovsdb::nb::{AclAction, LogicalRouter, LogicalSwitch, LogicalSwitchPort};
use ovsdb::{Column, Ref, Str, Transaction, Uuid, nb};

fn misspelt() {
    let _ = LogicalSwitchPort::ADDRESS.eq(["a"]); //~ E0599
    let _ = LogicalSwitchPort { nmae: "p".into(), ..Default::default() }; //~ E0560
}

fn rows() {
    let _ = LogicalSwitchPort {
        tag: Some("5"), //~ E0308
        ..Default::default()
    };
    let _ = nb::Acl {
        priority: "high", //~ E0308
        // The schema lists the values.
        action: "allow", //~ E0308
        ..Default::default()
    };
    let _ = AclAction::Alow; //~ E0599
}

fn accessors(port: &LogicalSwitchPort) {
    // A handle has the type of its field.
    const ADDRESSES: Column<LogicalSwitchPort, Str> = Column::new(0, |port| &port.addresses); //~ E0308
    let _: &Str = LogicalSwitchPort::ADDRESSES.get(port); //~ E0308
    // It reads rows of its table only.
    let _ = LogicalSwitch::NAME.get(port); //~ E0308
}

fn references(transaction: &mut Transaction<nb::Database>, switch: Ref<LogicalSwitch>) {
    // A reference to a switch is not a reference to a port.
    transaction.mutate(switch).insert(LogicalSwitch::PORTS, [switch]); //~ E0277
    let _ = LogicalSwitch {
        ports: [switch].into(), //~ E0277
        ..Default::default()
    };
    // Nor is a plain uuid a reference.
    let _: Ref<LogicalSwitchPort> = Uuid::nil(); //~ E0308
    // A router's column cannot be set in a switch.
    transaction.update(switch).set(LogicalRouter::NAME, "r"); //~ E0308
}

fn main() {}
