//! The daemons of OVN and Open vSwitch on databases that `ovsdb-serve` serves: what a port takes from
//! the northbound database to the flows of a switch.

#[path = "support/serve.rs"]
mod serve;
mod support;

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serve::{Serve, run, tool};
use support::schema;

/// How long a daemon may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon that runs until this is dropped.
struct Daemon(Child);

impl Daemon {
    fn start(folder: &Path, name: &str, arguments: &[&str]) -> Self {
        let log = format!(
            "--log-file={}",
            folder.join(name).with_extension("log").display()
        );
        let mut command = tool(
            folder,
            name,
            &[&["--no-chdir", "-vconsole:off", &*log], arguments].concat(),
        );
        Self(command.stdin(Stdio::null()).spawn().expect("it starts"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Looks again and again until something holds; the logs of the daemons tell why it does not.
fn eventually(folder: &Path, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > deadline {
            let files = fs::read_dir(folder).expect("the folder").flatten();
            let logs = files.filter(|file| {
                file.path()
                    .extension()
                    .is_some_and(|ending| ending == "log")
            });
            let logs = logs.map(|log| {
                let text = fs::read_to_string(log.path()).unwrap_or_default();
                format!("--- {}\n{text}", log.path().display())
            });
            let logs: String = logs.collect();
            panic!("waited in vain: {what}\n{logs}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn debian(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A server of a database in a file of its own.
fn serve(folder: &Path, name: &str, schema: &str) -> Serve {
    let path = |extension: &str| {
        folder
            .join(name)
            .with_extension(extension)
            .display()
            .to_string()
    };
    fs::write(path("ovsschema"), schema).expect("written");
    let database = format!("{}={}", path("db"), path("ovsschema"));
    Serve::start(&[
        &database,
        &format!("--remote=punix:{}", path("sock")),
        "--remote=ptcp:0:127.0.0.1",
    ])
}

#[test]
fn northd_translates_between_two_of_our_servers_and_follows_their_restarts() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let start = |name: &str, schema: &str| serve(path, name, schema);
    let nb_schema = schema("ovn-23.03");
    let sb_schema = debian("/usr/share/ovn/ovn-sb.ovsschema");
    let northbound = start("nb", &nb_schema);
    let southbound = start("sb", &sb_schema);
    let (nb, sb) = (
        northbound.remote().to_owned(),
        southbound.remote().to_owned(),
    );
    let _northd = Daemon::start(
        path,
        "ovn-northd",
        &[&format!("--ovnnb-db={nb}"), &format!("--ovnsb-db={sb}")],
    );

    let nbctl = |arguments: &[&str]| {
        run(
            path,
            "ovn-nbctl",
            &[&["--timeout=60", &*format!("--db={nb}")], arguments].concat(),
        )
        .well()
    };
    let sbctl = |arguments: &[&str]| {
        run(
            path,
            "ovn-sbctl",
            &[&["--timeout=60", &*format!("--db={sb}")], arguments].concat(),
        )
        .well()
    };
    // It waits until northd has written the southbound database.
    nbctl(&["--wait=sb", "ls-add", "sw0", "--", "lsp-add", "sw0", "p0"]);
    assert_eq!(
        sbctl(&["--bare", "--columns=logical_port", "list", "port_binding"]),
        "p0\n"
    );
    assert!(sbctl(&["lflow-list", "sw0"]).lines().count() > 20);

    // Both servers are started again with what their files have.
    assert!(southbound.end("-TERM").success());
    assert!(northbound.end("-KILL").code().is_none());
    let _northbound = start("nb", &nb_schema);
    let _southbound = start("sb", &sb_schema);
    nbctl(&["--wait=sb", "lsp-add", "sw0", "p1", "--", "lsp-del", "p0"]);
    assert_eq!(
        sbctl(&["--bare", "--columns=logical_port", "list", "port_binding"]),
        "p1\n"
    );
    nbctl(&["--wait=sb", "ls-del", "sw0"]);
    assert_eq!(sbctl(&["--bare", "list", "logical_flow"]), "");
}

#[test]
fn a_port_gets_from_the_northbound_database_into_the_flows_of_a_switch() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let northbound = serve(path, "nb", &schema("ovn-23.03"));
    let southbound = serve(path, "sb", &debian("/usr/share/ovn/ovn-sb.ovsschema"));
    let switch = serve(
        path,
        "ovs",
        &debian("/usr/share/openvswitch/vswitch.ovsschema"),
    );
    let (nb, sb, ovs) = (northbound.remote(), southbound.remote(), switch.remote());
    let vsctl = |arguments: &[&str]| {
        run(
            path,
            "ovs-vsctl",
            &[&["--timeout=60", &*format!("--db={ovs}")], arguments].concat(),
        )
        .well()
    };
    vsctl(&[
        "--no-wait",
        "init",
        "--",
        "set",
        "open_vswitch",
        ".",
        "external_ids:system-id=c0",
        "external_ids:ovn-encap-type=geneve",
        "external_ids:ovn-encap-ip=127.0.0.1",
        &format!("external_ids:ovn-remote={}", southbound.remotes[1]),
    ]);
    let _northd = Daemon::start(
        path,
        "ovn-northd",
        &[&format!("--ovnnb-db={nb}"), &format!("--ovnsb-db={sb}")],
    );
    // Without a datapath of the system: packets would stay in the process.
    let _switch = Daemon::start(
        path,
        "ovs-vswitchd",
        &["--enable-dummy=override", "--disable-system", ovs],
    );
    // Without --no-wait this returns when ovs-vswitchd has done it.
    vsctl(&[
        "add-br",
        "br-int",
        "--",
        "set",
        "bridge",
        "br-int",
        "fail_mode=secure",
        "datapath_type=dummy",
    ]);
    assert!(vsctl(&["get", "interface", "br-int", "ofport"]).trim() == "65534");
    let _controller = Daemon::start(path, "ovn-controller", &[ovs]);

    let nbctl = |arguments: &[&str]| {
        run(
            path,
            "ovn-nbctl",
            &[&["--timeout=60", &*format!("--db={nb}")], arguments].concat(),
        )
        .well()
    };
    nbctl(&[
        "ls-add",
        "sw0",
        "--",
        "lsp-add",
        "sw0",
        "p0",
        "--",
        "lsp-set-addresses",
        "p0",
        "0a:00:00:00:00:01 10.0.0.1",
    ]);
    vsctl(&[
        "add-port",
        "br-int",
        "i0",
        "--",
        "set",
        "interface",
        "i0",
        "external_ids:iface-id=p0",
    ]);
    eventually(path, "the port is up", || {
        nbctl(&["get", "logical_switch_port", "p0", "up"]) == "true\n"
    });
    // The chassis has taken note of everything until here.
    nbctl(&["--wait=hv", "sync"]);
    let flows = || {
        let bridge = format!("unix:{}", path.join("br-int.mgmt").display());
        run(path, "ovs-ofctl", &["--names", "dump-flows", &bridge]).well()
    };
    assert!(flows().contains("0a:00:00:00:00:01"), "{}", flows());
    // The daemon writes statistics on its own, which the server takes like every other column.
    eventually(path, "the switch reports", || {
        vsctl(&["get", "interface", "i0", "admin_state"]).trim() != "[]"
    });
    nbctl(&["--wait=hv", "lsp-del", "p0"]);
    assert!(!flows().contains("0a:00:00:00:00:01"), "{}", flows());
}
