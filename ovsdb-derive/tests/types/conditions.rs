// Conditions and mutations that a column's type does not allow.
use ovsdb::nb::{Acl, LogicalRouter, LogicalSwitch, LogicalSwitchPort as Port};
use ovsdb::{Ref, Transaction, nb};

fn conditions() {
    // Only numbers have an order.
    let _ = Port::NAME.lt("p"); //~ E0599
    let _ = Port::UP.gt(true); //~ E0599
    // Only sets and maps include something.
    let _ = Port::NAME.includes(["p"]); //~ E0599
    let _ = Acl::PRIORITY.includes([5]); //~ E0599
    // An integer is not a string.
    let _ = Acl::PRIORITY.eq("high"); //~ E0277
    let _ = Port::TAG.gt("5"); //~ E0277
    let _ = Port::NAME.eq(5); //~ E0277
    // Clauses of two tables.
    let _ = Port::NAME.eq("p").and(LogicalSwitch::NAME.eq("s")); //~ E0277
}

fn mutations(transaction: &mut Transaction<nb::Database>, port: Ref<Port>) {
    transaction.mutate(port).add(Port::NAME, 1); //~ E0277
    transaction.mutate(port).insert(Port::NAME, ["n"]); //~ E0277
    transaction.mutate(port).delete_keys(Port::OPTIONS, [5]); //~ E0277
    // Alternatives cannot be the condition of an operation, since an operation requires all of its clauses.
    transaction.delete(Port::NAME.eq("a").or(Port::NAME.eq("b"))); //~ E0277
}

fn main() {
    let _ = LogicalRouter::NAME;
}
