mod unknown {
    ovsdb::schema!("OVN_Northbound", table = ["ACL"]);
}

mod twice {
    ovsdb::schema!("OVN_Northbound", tables = ["ACL"], tables = ["QoS"]);
}

mod tables {
    ovsdb::schema!("OVN_Northbound", tables = ["Logical_Swich"]);
}

mod renames {
    ovsdb::schema!(
        "OVN_Northbound",
        // Each mistake is shown.
        rename = {
            "Logical_Swich" => Switch,
            "Logical_Switch.port" => ports,
            "ACL.action.alow" => Allow,
            "ACL.name.allow" => Allow,
            "Logical_Switch" => struct,
            "QoS" => First,
            "QoS" => Second,
            "ACL.match" => self,
            // A field may be a keyword.
            "ACL.name" => type,
        }
    );
}

mod taken {
    ovsdb::schema!("OVN_Northbound", rename = { "ACL" => LogicalSwitch });
}

mod no_name {
    ovsdb::schema!("OVN_Northbound", rename = { "ACL" => "Acl" });
}

mod no_address {
    ovsdb::schema!("OVN_Northbound", manual = "ovn-nb(5)");
}

mod other_braces {
    ovsdb::schema!("OVN_Northbound", manual = "https://example.org/#{label}");
}

mod no_link {
    ovsdb::schema!("OVN_Northbound", manual = "https://example.org/ovn-nb(5)");
}

fn main() {}
