//! The daemons of OVN and Open vSwitch on databases that `ovsdb-serve` serves: a port is followed from
//! the northbound database to the flows of a switch.

#[path = "support/serve.rs"]
mod serve;
mod support;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serve::{Serve, run, tool};
use support::multihoming;

/// How long a daemon may take for anything.
const LIMIT: Duration = Duration::from_secs(60);

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

    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let status = Command::new("kill").args([name, &id]).status();
        assert!(status.expect("kill").success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Checks repeatedly until a condition holds; on failure, the logs of the daemons are printed.
fn eventually(folder: &Path, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
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

/// The schema of a database, in the daemons' release.
fn installed(database: &str) -> String {
    let path = ovsdb::testing::schema_file(database).expect("a database of the daemons");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
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
    let nb_schema = installed("OVN_Northbound");
    let sb_schema = installed("OVN_Southbound");
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
        .succeeded()
    };
    let sbctl = |arguments: &[&str]| {
        run(
            path,
            "ovn-sbctl",
            &[&["--timeout=60", &*format!("--db={sb}")], arguments].concat(),
        )
        .succeeded()
    };
    // `--wait=sb` waits until northd has written the southbound database.
    nbctl(&["--wait=sb", "ls-add", "sw0", "--", "lsp-add", "sw0", "p0"]);
    assert_eq!(
        sbctl(&["--bare", "--columns=logical_port", "list", "port_binding"]),
        "p0\n"
    );
    assert!(sbctl(&["lflow-list", "sw0"]).lines().count() > 20);

    // Both servers are restarted with their files.
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

/// The databases and daemons of OVN and Open vSwitch, for one chassis.
struct Ovn {
    northbound: Serve,
    southbound: Serve,
    switch: Serve,
    controller: Daemon,
    _northd: Daemon,
    _vswitchd: Daemon,
    folder: tempfile::TempDir,
}

impl Ovn {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        let northbound = serve(path, "nb", &installed("OVN_Northbound"));
        let southbound = serve(path, "sb", &installed("OVN_Southbound"));
        let switch = serve(path, "ovs", &installed("Open_vSwitch"));
        let (nb, sb, ovs) = (northbound.remote(), southbound.remote(), switch.remote());
        vsctl(
            path,
            ovs,
            &[
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
            ],
        );
        let northd = Daemon::start(
            path,
            "ovn-northd",
            &[&format!("--ovnnb-db={nb}"), &format!("--ovnsb-db={sb}")],
        );
        // Without a kernel datapath: packets stay within the process.
        let vswitchd = Daemon::start(
            path,
            "ovs-vswitchd",
            &["--enable-dummy=override", "--disable-system", ovs],
        );
        // Without --no-wait this returns once ovs-vswitchd has applied it.
        vsctl(
            path,
            ovs,
            &[
                "add-br",
                "br-int",
                "--",
                "set",
                "bridge",
                "br-int",
                "fail_mode=secure",
                "datapath_type=dummy",
            ],
        );
        let port = vsctl(path, ovs, &["get", "interface", "br-int", "ofport"]);
        assert_eq!(port.trim(), "65534");
        // The ovn-controller of OVN 23.03 crashes unless ovn-northd has written SB_Global before.
        let nb = format!("--db={nb}");
        let sync = ["--timeout=60", &nb, "--wait=sb", "sync"];
        run(path, "ovn-nbctl", &sync).succeeded();
        let controller = Daemon::start(path, "ovn-controller", &[ovs]);
        Self {
            _northd: northd,
            _vswitchd: vswitchd,
            controller,
            northbound,
            southbound,
            switch,
            folder,
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn vsctl(&self, arguments: &[&str]) -> String {
        vsctl(self.path(), self.switch.remote(), arguments)
    }

    fn nbctl(&self, arguments: &[&str]) -> String {
        let database = format!("--db={}", self.northbound.remote());
        let arguments = [&["--timeout=60", &*database], arguments].concat();
        run(self.path(), "ovn-nbctl", &arguments).succeeded()
    }

    fn flows(&self) -> String {
        let bridge = format!("unix:{}", self.path().join("br-int.mgmt").display());
        let arguments = ["--names", "dump-flows", &bridge];
        run(self.path(), "ovs-ofctl", &arguments).succeeded()
    }
}

fn vsctl(path: &Path, remote: &str, arguments: &[&str]) -> String {
    let database = format!("--db={remote}");
    let arguments = [&["--timeout=60", &*database], arguments].concat();
    run(path, "ovs-vsctl", &arguments).succeeded()
}

#[test]
fn a_port_gets_from_the_northbound_database_into_the_flows_of_a_switch() {
    let ovn = Ovn::start();
    ovn.nbctl(&[
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
    ovn.vsctl(&[
        "add-port",
        "br-int",
        "i0",
        "--",
        "set",
        "interface",
        "i0",
        "external_ids:iface-id=p0",
    ]);
    eventually(ovn.path(), "the port is up", || {
        ovn.nbctl(&["get", "logical_switch_port", "p0", "up"]) == "true\n"
    });
    // Waits until the chassis has processed everything up to here.
    ovn.nbctl(&["--wait=hv", "sync"]);
    let flows = ovn.flows();
    assert!(flows.contains("0a:00:00:00:00:01"), "{flows}");
    // ovs-vswitchd writes the state of its interfaces by itself; the server handles these columns like all others.
    eventually(ovn.path(), "the switch reports", || {
        ovn.vsctl(&["get", "interface", "i0", "admin_state"]).trim() != "[]"
    });
    ovn.nbctl(&["--wait=hv", "lsp-del", "p0"]);
    let flows = ovn.flows();
    assert!(!flows.contains("0a:00:00:00:00:01"), "{flows}");
}

const MANIFESTS: &str = r#"
apiVersion: v1
kind: Node
metadata: {name: c0}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: n, namespace: ns}
spec:
  config: '{"name": "net", "type": "ovn-k8s-cni-overlay", "netAttachDefName": "ns/n", "topology": "layer2",
    "subnets": "10.1.0.0/24"}'
---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: ns, uid: u, annotations: {k8s.v1.cni.cncf.io/networks: n}}
spec: {nodeName: c0}
"#;

#[test]
fn apply_waits_for_the_flows_and_names_the_chassis_that_is_late() {
    let ovn = Ovn::start();
    let file = ovn.path().join("cluster.yaml");
    fs::write(&file, MANIFESTS).expect("written");
    let file = file.display().to_string();
    let apply = |southbound: &str, arguments: &[&str]| {
        let mut all = vec!["apply", "-f", &file, "--nb", ovn.northbound.remote()];
        all.extend(["--sb", southbound]);
        all.extend(arguments);
        multihoming(&all)
    };
    let southbound = ovn.southbound.remote();
    ovn.vsctl(&[
        "add-port",
        "br-int",
        "i0",
        "--",
        "set",
        "interface",
        "i0",
        "external_ids:iface-id=ns.n_ns_p",
        "external_ids:iface-id-ver=u",
    ]);
    // The chassis counts once its ovn-controller has registered it.
    let database = format!("--db={southbound}");
    run(
        ovn.path(),
        "ovn-sbctl",
        &[
            "--timeout=60",
            &database,
            "wait-until",
            "chassis_private",
            "c0",
        ],
    )
    .succeeded();
    let out = apply(southbound, &["--wait", "hv", "--timeout", "30"]).succeeded();
    let lines: Vec<_> = out.lines().rev().take(2).collect();
    assert!(lines[1].starts_with("northd: done after "), "{out}");
    assert!(lines[0].starts_with("hypervisors: done after "), "{out}");
    let flows = ovn.flows();
    assert!(flows.contains("0a:58:0a:01:00:01"), "{flows}");

    // No row has to change, but the program still waits for the chassis.
    ovn.controller.signal("-STOP");
    let late = apply(southbound, &["--wait=hypervisors", "--timeout=3"]);
    assert_eq!((late.status, &*late.out), (Some(1), "nothing to do\n"));
    assert!(late.err.contains("; behind: c0"), "{late:?}");
    let late = apply(
        "unix:/no/such/socket",
        &["--wait=hypervisors", "--timeout=3"],
    );
    assert_eq!(late.status, Some(1), "{late:?}");
    let warning = "warning: cannot ask the southbound database which chassis are late";
    assert!(late.err.contains(warning), "{late:?}");
    assert!(
        late.err.contains("ovn-controller did not confirm"),
        "{late:?}"
    );
    // With --status, nothing but the JSON document is printed.
    let status = apply(southbound, &["--wait=northd", "--status=json"]).succeeded();
    serde_json::from_str::<serde_json::Value>(&status).expect("JSON alone");
    ovn.controller.signal("-CONT");
    let out = apply(southbound, &["--wait=hypervisors"]).succeeded();
    assert!(out.starts_with("nothing to do\nnorthd: done"), "{out}");
}
