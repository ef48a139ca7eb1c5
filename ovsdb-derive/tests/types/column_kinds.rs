// Handles whose index belongs to another column than the one that they read.
use ovsdb::nb::LogicalSwitchPort as Port;
use ovsdb::{Column, Str, Unique, UniqueIndex};

const NAME: Column<Port, Str> = Column::new(Port::NAME.index(), |port| &port.name);
const OTHER_TYPE: Column<Port, Str> = Column::new(Port::ADDRESSES.index(), |port| &port.name); //~ E0080
const OTHER_SHAPE: Column<Port, Str> = Column::new(Port::PARENT_NAME.index(), |port| &port.name); //~ E0080
const OUT_OF_RANGE: Column<Port, Str> = Column::new(100, |port| &port.name); //~ E0080
// Uniqueness that the schema does not state.
const NOT_UNIQUE: Column<Port, Str, Unique> = Column::new(Port::TYPE.index(), |port| &port.r#type); //~ E0080
const NO_INDEX: UniqueIndex<Port, (Str, Str)> = UniqueIndex::<Port, (Str, Str)>::new((Port::NAME, Port::TYPE)); //~ E0080

fn main() {
    let _ = NAME.get(&Port::default());
}
