//! Waiting until ovn-northd, ovn-controller and ovs-vswitchd have applied what databases say.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ovsdb::nb::{self, LogicalSwitch, LogicalSwitchPort, Stage};
use ovsdb::progress::{Behind, Daemon, ProgressError};
use ovsdb::testing::Server;
use ovsdb::vswitch::{self, Bridge, Interface, OpenVSwitch, Port};
use ovsdb::{Client, Database, sb, testing};

/// How long daemons may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// A time limit that will be exceeded.
const SHORT: Duration = Duration::from_secs(2);

/// A server with the schema of the daemons' release: other schemas may lack columns that they write.
fn server(database: &str) -> Server {
    let file = testing::schema_file(database).expect("a database of the daemons");
    let schema = std::fs::read_to_string(file).expect("a schema");
    Server::builder().schema(schema).start().expect("a server")
}

async fn connect<D: Database>(server: &Server) -> Client<D> {
    let builder = Client::builder().remotes(server.remote());
    builder.connect().await.expect("a client")
}

/// A daemon that runs until this is dropped.
struct Process(Child);

impl Process {
    fn start(folder: &Path, name: &str, arguments: &[&str]) -> Self {
        let program = testing::program(name).expect("the program");
        let mut command = Command::new(program);
        for variable in ["RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR"] {
            command.env(format!("OVS_{variable}"), folder);
            command.env(format!("OVN_{variable}"), folder);
        }
        let log = format!(
            "--log-file={}",
            folder.join(name).with_extension("log").display()
        );
        command
            .current_dir(folder)
            .args(["--no-chdir", "-vconsole:off", &log])
            .args(arguments);
        Self(command.stdin(Stdio::null()).spawn().expect("it starts"))
    }

    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let status = Command::new("kill").args([name, &id]).status();
        assert!(status.expect("kill").success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn late<T: std::fmt::Debug>(result: Result<T, ProgressError>) -> Behind {
    match result {
        Err(ProgressError::TimedOut(behind)) => *behind,
        other => panic!("{other:?}"),
    }
}

/// A bridge with this name, and its own interface.
fn bridge(txn: &mut vswitch::Transaction, name: &str, ports: Vec<ovsdb::Ref<Port>>) -> Bridge {
    let interface = txn.insert(Interface {
        name: name.into(),
        r#type: "internal".into(),
        ..Default::default()
    });
    let own = txn.insert(Port {
        name: name.into(),
        interfaces: [interface].into(),
        ..Default::default()
    });
    Bridge {
        name: name.into(),
        datapath_type: "dummy".into(),
        fail_mode: Some("secure".into()),
        ports: ports.into_iter().chain([own]).collect(),
        ..Default::default()
    }
}

#[tokio::test]
async fn daemons_confirm_what_they_have_done_and_errors_name_those_that_are_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let northbound = server("OVN_Northbound");
    let southbound = server("OVN_Southbound");
    let switch = server("Open_vSwitch");
    let nb: nb::Client = connect(&northbound).await;
    let sb: sb::Client = connect(&southbound).await;
    let ovs: vswitch::Client = connect(&switch).await;
    let northd = Process::start(
        path,
        "ovn-northd",
        &[
            &format!("--ovnnb-db={}", northbound.remote()),
            &format!("--ovnsb-db={}", southbound.remote()),
        ],
    );
    // Without a kernel datapath: packets stay within the process.
    let vswitchd = Process::start(
        path,
        "ovs-vswitchd",
        &[
            "--enable-dummy=override",
            "--disable-system",
            &switch.remote(),
        ],
    );

    // The switch.
    let mut txn = ovs.transaction();
    let interface = txn.insert(Interface {
        name: "i0".into(),
        external_ids: [("iface-id", "p0")].into(),
        ..Default::default()
    });
    let port = txn.insert(Port {
        name: "i0".into(),
        interfaces: [interface].into(),
        ..Default::default()
    });
    let bridge = bridge(&mut txn, "br-int", vec![port]);
    let bridge = txn.insert(bridge);
    txn.insert(OpenVSwitch {
        bridges: [bridge].into(),
        external_ids: [
            ("system-id", "c0"),
            ("ovn-encap-type", "geneve"),
            ("ovn-encap-ip", "127.0.0.1"),
            ("ovn-remote", &*southbound.remote()),
        ]
        .into(),
        ..Default::default()
    });
    txn.commit().await.expect("a commit");
    let configured = vswitch::configured(&ovs).timeout(PATIENCE).await;
    assert_eq!(configured.expect("confirmed").next_cfg, 1);
    let cache = ovs.cache().table::<Interface>().start().await;
    let view = cache.expect("a cache").snapshot();
    // ovs-vswitchd has opened the interface.
    assert_eq!(view.get(interface).expect("it exists").ofport, Some(1));
    vswitchd.signal("-STOP");
    let behind = late(vswitch::configured(&ovs).timeout(SHORT).await);
    assert_eq!((behind.requested, behind.confirmed), (Some(2), Some(1)));
    vswitchd.signal("-CONT");
    let configured = vswitch::configured(&ovs).timeout(PATIENCE).await;
    assert_eq!(configured.expect("confirmed").next_cfg, 3);

    // The network.
    // The ovn-controller of OVN 23.03 crashes unless ovn-northd has written SB_Global before.
    let realized = nb::realized(&nb, Stage::Northd).timeout(PATIENCE).await;
    realized.expect("confirmed");
    let controller = Process::start(path, "ovn-controller", &[&switch.remote()]);
    let chassis = sb.cache().table::<sb::ChassisPrivate>().start().await;
    let chassis = chassis.expect("a cache");
    let registered = chassis.wait_until(PATIENCE, |view| {
        view.rows::<sb::ChassisPrivate>().next().map(drop)
    });
    registered.await.expect("the chassis");
    let cache = nb.cache().table::<LogicalSwitchPort>().start().await;
    let cache = cache.expect("a cache");
    let mut txn = nb.transaction();
    let port = txn.insert(LogicalSwitchPort {
        name: "p0".into(),
        addresses: ["0a:00:00:00:00:01 10.0.0.1"].into(),
        ..Default::default()
    });
    txn.insert(LogicalSwitch {
        name: "sw0".into(),
        ports: [port].into(),
        ..Default::default()
    });
    txn.commit().await.expect("a commit");
    let waits = |stage, limit| nb::realized(&nb, stage).timeout(limit).southbound(&sb);
    let realized = waits(Stage::Hypervisors, PATIENCE)
        .await
        .expect("confirmed");
    assert!(realized.hypervisors >= Some(realized.northd));
    assert!(realized.northd_began <= realized.northd_ended);
    assert!(realized.hypervisors_ended.is_some());
    let up = cache.wait_until(PATIENCE, |view| view.get(port)?.up.filter(|up| *up));
    up.await.expect("the port is up");
    let flows = Command::new(testing::program("ovs-ofctl").expect("the program"))
        .args([
            "dump-flows",
            &format!("unix:{}", path.join("br-int.mgmt").display()),
        ])
        .output()
        .expect("it runs");
    let flows = String::from_utf8_lossy(&flows.stdout).into_owned();
    assert!(flows.contains("0a:00:00:00:00:01"), "{flows}");

    // The chassis is stopped, and ovn-northd continues.
    controller.signal("-STOP");
    let behind = late(waits(Stage::Hypervisors, SHORT).await);
    assert_eq!(behind.daemon, Daemon::Controllers);
    let names: Vec<_> = behind
        .chassis
        .iter()
        .flatten()
        .map(|late| late.name.as_str())
        .collect();
    assert_eq!(names, ["c0"], "{behind}");
    assert_eq!(
        behind.confirmed,
        behind.requested.map(|requested| requested - 1)
    );
    waits(Stage::Northd, PATIENCE).await.expect("confirmed");
    controller.signal("-CONT");
    waits(Stage::Hypervisors, PATIENCE)
        .await
        .expect("confirmed");

    northd.signal("-STOP");
    let behind = late(waits(Stage::Hypervisors, SHORT).await);
    assert_eq!(behind.daemon, Daemon::Northd, "{behind}");
    northd.signal("-CONT");
    waits(Stage::Hypervisors, PATIENCE)
        .await
        .expect("confirmed");
}
