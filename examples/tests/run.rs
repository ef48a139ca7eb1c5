//! The controller: it keeps a database as a folder of manifests describes it, whichever of the two
//! changes.

mod support;

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ovsdb::testing::{Cluster, Server};
use support::{everything, manifest, names, nbctl, row, rows, server};

/// The time limit for everything: long, because machines can be slow.
const LIMIT: Duration = Duration::from_secs(60);

/// A running controller, and the file of its log.
struct Controller {
    process: Child,
    log: PathBuf,
}

impl Controller {
    fn start(server: &Server, folder: &str, name: &str) -> Self {
        Self::start_with(server, folder, name, &[])
    }

    fn start_with(server: &Server, folder: &str, name: &str, options: &[&str]) -> Self {
        let log = server.folder().join(format!("{name}.log"));
        Self::start_at(&server.remote(), folder, log, options)
    }

    fn start_at(remotes: &str, folder: &str, log: PathBuf, options: &[&str]) -> Self {
        let process = Command::new(env!("CARGO_BIN_EXE_multihoming"))
            .args([
                "run",
                "--nb",
                remotes,
                "-f",
                folder,
                "--log",
                "debug,ovsdb=info",
            ])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("the controller runs");
        Self { process, log }
    }

    fn log(&self) -> String {
        let mut text = String::new();
        let file = fs::File::open(&self.log).and_then(|mut file| file.read_to_string(&mut text));
        file.expect("the log");
        text
    }

    fn logs(&self, text: &str) {
        until(
            &format!("{text:?} in the log"),
            || self.log().contains(text),
            || self.log(),
        );
    }

    /// Ends the controller as an init system does, and returns its exit status.
    fn end(mut self) -> Option<i32> {
        let id = self.process.id().to_string();
        let kill = Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .expect("kill runs");
        assert!(kill.success());
        self.process.wait().expect("the controller ends").code()
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until a condition holds.
fn until(what: &str, holds: impl Fn() -> bool, log: impl Fn() -> String) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "no {what}; the log: {}", log());
        sleep(Duration::from_millis(20));
    }
}

/// A folder with the sample manifests.
fn samples(server: &Server) -> PathBuf {
    let folder = server.folder().join("manifests");
    fs::create_dir(&folder).expect("a folder");
    for entry in fs::read_dir(manifest("")).expect("the samples") {
        let path = entry.expect("a sample").path();
        let target = folder.join(path.file_name().expect("a name"));
        fs::copy(&path, target).expect("a copy");
    }
    folder
}

const PORT: &str = "kube.system.l3.network_default_nginx1-l3";
const ROUTER: &str = "l3.network_ovn_cluster_router";

fn is_complete(server: &Server) -> bool {
    names(server, "Logical_Switch_Port").len() == 10
        && names(server, "Logical_Router_Port").len() == 3
}

#[test]
fn drift_is_repaired_and_files_are_followed() {
    let server = server("bundled");
    let folder = samples(&server);
    let controller = Controller::start(&server, &folder.display().to_string(), "one");
    let wait = |what: &str, holds: &dyn Fn() -> bool| until(what, holds, || controller.log());
    wait("rows", &|| is_complete(&server));

    // Deleted by hand.
    nbctl(&server, &["lsp-del", PORT]);
    wait("port", &|| {
        names(&server, "Logical_Switch_Port").contains(&PORT.to_owned())
    });
    nbctl(&server, &["ls-del", "l2.network_ovn_layer2_switch"]);
    wait("switch", &|| is_complete(&server));
    nbctl(&server, &["lr-del", ROUTER]);
    wait("router", &|| is_complete(&server));

    // Edited by hand: what was granted takes precedence over the row.
    let address = row(&server, "Logical_Switch_Port", PORT)["addresses"].clone();
    nbctl(
        &server,
        &["lsp-set-addresses", PORT, "0a:58:0a:21:02:99 10.33.2.99"],
    );
    wait("address", &|| {
        row(&server, "Logical_Switch_Port", PORT)["addresses"] == address
    });
    nbctl(&server, &["clear", "Logical_Router", ROUTER, "copp"]);
    wait("protection", &|| {
        row(&server, "Logical_Router", ROUTER)["copp"][0] == "uuid"
    });

    // One file more, one file malformed, one file fewer.
    let mut pods = String::new();
    for number in 0..1000 {
        let _ = write!(
            pods,
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{number}, uid: 'u', annotations: \
             {{k8s.v1.cni.cncf.io/networks: kube-system/l2-network}}}}\n\
             spec: {{nodeName: work001}}\n"
        );
    }
    fs::write(folder.join("pods.yaml"), pods).expect("a file");
    wait("pods", &|| {
        names(&server, "Logical_Switch_Port").len() == 1010
    });
    let before = everything(&server);
    fs::write(folder.join("pods.yaml"), "kind: [").expect("a file");
    controller.logs("pods.yaml: not YAML");
    assert_eq!(everything(&server), before);
    fs::remove_file(folder.join("pods.yaml")).expect("no file");
    wait("old rows", &|| {
        names(&server, "Logical_Switch_Port").len() == 10
    });
    fs::remove_file(folder.join("l3-network.yaml")).expect("no file");
    wait("router gone", &|| {
        names(&server, "Logical_Router").is_empty()
    });
    assert_eq!(controller.end(), Some(0));
    assert_eq!(
        names(&server, "Logical_Switch").len(),
        2,
        "the database stays as it is"
    );
}

#[test]
fn one_of_several_instances_works_and_another_takes_over() {
    let server = server("ovn-23.03");
    let folder = samples(&server).display().to_string();
    let first = Controller::start(&server, &folder, "first");
    first.logs("the database is as the manifests say");
    let second = Controller::start(&server, &folder, "second");
    second.logs("waiting for the lock");
    nbctl(&server, &["lsp-del", PORT]);
    until("port", || is_complete(&server), || first.log());
    assert!(!second.log().contains("working"), "{}", second.log());
    drop(first);
    second.logs("working");
    nbctl(&server, &["lsp-del", PORT]);
    until("port", || is_complete(&server), || second.log());
}

#[test]
fn on_a_cluster_one_instance_works_and_is_connected_to_the_leader() {
    let cluster = Cluster::start(&support::schema("bundled"), 3).expect("a cluster");
    let folder = samples(&cluster.members()[0]).display().to_string();
    let log = |number: usize| cluster.members()[0].folder().join(format!("{number}.log"));
    let controllers: Vec<_> = (0..6)
        .map(|number| Controller::start_at(&cluster.remotes(), &folder, log(number), &[]))
        .collect();
    let count = |text: &str| {
        let logs = controllers.iter().map(Controller::log);
        logs.filter(|log| log.contains(text)).count()
    };
    let logs = || {
        format!(
            "{:#?}",
            controllers.iter().map(Controller::log).collect::<Vec<_>>()
        )
    };
    // Each controller requests the lock from the leader; only one gets it.
    until(
        "lock",
        || count("working") + count("waiting for the lock") >= 6,
        logs,
    );
    until(
        "end of the work",
        || count("the database is as the manifests say") > 0,
        logs,
    );
    assert_eq!(count("working"), 1, "{}", logs());
    let leader = cluster.leader().expect("a leader");
    let connected = format!("connected remote={}", cluster.members()[leader].remote());
    assert_eq!(count(&connected), 6, "{}", logs());
    assert_eq!(
        names(&cluster.members()[leader], "Logical_Switch_Port").len(),
        10
    );
}

#[test]
fn restarts_of_the_server_are_survived() {
    let mut server = server("bundled");
    let folder = samples(&server).display().to_string();
    server.kill().expect("the server ends");
    // Even the first connection waits for a server.
    let controller = Controller::start(&server, &folder, "one");
    controller.logs("manifests");
    server.start().expect("the server starts");
    until("rows", || is_complete(&server), || controller.log());
    for _ in 0..2 {
        server.kill().expect("the server ends");
        server.start().expect("the server starts");
        nbctl(&server, &["lsp-del", PORT]);
        until("port", || is_complete(&server), || controller.log());
    }
    assert_eq!(rows(&server, "Copp").len(), 1);
    assert_eq!(controller.end(), Some(0));
}

/// Converts the database to the northbound schema of this name.
fn convert(server: &Server, name: &str) {
    let file = support::write(server, &format!("{name}.ovsschema"), &support::schema(name));
    let program = ovsdb::testing::program("ovsdb-client").expect("ovsdb-client");
    let converted = Command::new(program)
        .args(["convert", &server.remote(), &file])
        .output()
        .expect("ovsdb-client runs");
    assert!(converted.status.success(), "{converted:?}");
}

#[test]
fn a_conversion_of_the_schema_is_followed_even_if_no_row_changes() {
    let current = ["--profile", "current"];
    let plan = |server: &Server, folder: &str| {
        let arguments = ["-f", folder, "--prune", "--profile", "current"];
        support::on(server, "plan", &arguments).status
    };
    let without = server("ovn-23.03");
    let folder = samples(&without).display().to_string();
    // The newer schema has a column of ACLs that the profile writes.
    let policy = "apiVersion: k8s.cni.cncf.io/v1beta1\nkind: MultiNetworkPolicy\n\
        metadata: {name: deny, namespace: default, annotations: \
        {k8s.v1.cni.cncf.io/policy-for: kube-system/l2-network}}\n\
        spec: {podSelector: {}, policyTypes: [Ingress]}\n";
    fs::write(format!("{folder}/policy.yaml"), policy).expect("a file");
    let arguments = ["-f", &folder, "--profile", "current"];
    support::on(&without, "apply", &arguments).succeeded();
    assert_eq!(plan(&without, &folder), Some(0));
    convert(&without, "bundled");
    assert_eq!(plan(&without, &folder), Some(1));

    let server = server("ovn-23.03");
    let controller = Controller::start_with(&server, &folder, "one", &current);
    let is_done = || plan(&server, &folder) == Some(0);
    until("end of the work", is_done, || controller.log());
    convert(&server, "bundled");
    until("end of the new work", is_done, || controller.log());
    controller.logs("the schema changed");
}

/// The log of a controller on a terminal, made by script(1), or with its standard error in a file.
fn log_on(terminal: bool, no_color: Option<&str>) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    fs::write(&log, "").expect("a log");
    let samples = manifest("").display().to_string();
    let arguments = ["run", "--nb", "unix:/nowhere/db.sock", "-f", &samples];
    let program = env!("CARGO_BIN_EXE_multihoming");
    let mut command = if terminal {
        let mut command = Command::new("script");
        let line = format!(
            "exec '{program}' {}",
            arguments.map(|a| format!("'{a}'")).join(" ")
        );
        command
            .args(["--quiet", "--flush", "--command", &line])
            .arg(&log);
        command.stderr(Stdio::null());
        command
    } else {
        let mut command = Command::new(program);
        command.args(arguments);
        command.stderr(fs::File::create(&log).expect("a log"));
        command
    };
    command.env_remove("NO_COLOR").env_remove("RUST_LOG");
    command.envs(no_color.map(|value| ("NO_COLOR", value)));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let process = command.spawn().expect("the controller runs");
    let controller = Controller { process, log };
    // The last line of the start: the library's warning.
    controller.logs("No such file or directory");
    controller.log()
}

#[test]
fn only_a_terminal_gets_colours_and_the_user_can_disable_them() {
    assert!(!log_on(false, None).contains('\u{1b}'));
    assert!(log_on(true, None).contains('\u{1b}'));
    assert!(log_on(true, Some("")).contains('\u{1b}'));
    assert!(!log_on(true, Some("1")).contains('\u{1b}'));
}

#[test]
fn a_file_that_is_not_a_manifest_at_the_start_is_bad_input() {
    let server = server("bundled");
    let file = support::write(&server, "wrong.yaml", "kind: [");
    let run = support::on(&server, "run", &["-f", &file]);
    assert_eq!(run.status, Some(2), "{run:?}");
    let expected = "wrong.yaml: not YAML";
    assert!(run.err.contains(expected), "{}", run.err);
}

#[test]
fn invalid_objects_keep_their_rows_and_do_not_affect_others() {
    let server = server("bundled");
    let folder = samples(&server);
    let l2 = fs::read_to_string(folder.join("l2-network.yaml")).expect("a sample");
    let controller = Controller::start(&server, &folder.display().to_string(), "one");
    let wait = |what: &str, holds: &dyn Fn() -> bool| until(what, holds, || controller.log());
    wait("rows", &|| is_complete(&server));

    // A network becomes malformed, so its pods are left out; a pod of another network is removed.
    let before = rows(&server, "Logical_Switch_Port");
    fs::write(
        folder.join("l2-network.yaml"),
        l2.replace("\"topology\": \"layer2\"", "\"topology\": \"ring\""),
    )
    .expect("a file");
    let file = folder.join("localnet-network.yaml");
    let localnet = fs::read_to_string(&file).expect("a sample");
    let (left, pod) = localnet.rsplit_once("---\n").expect("a pod at the end");
    assert!(pod.contains("kind: Pod"), "{pod}");
    fs::write(&file, left).expect("a file");
    wait("one port less", &|| {
        names(&server, "Logical_Switch_Port").len() == before.len() - 1
    });
    assert_eq!(names(&server, "Logical_Switch").len(), 5);
    controller.logs("unknown topology \"ring\"");
    let l2_ports = |rows: Vec<serde_json::Map<String, serde_json::Value>>| {
        let is_l2 = |row: &serde_json::Map<_, serde_json::Value>| {
            row["name"].as_str().is_some_and(|name| name.contains("l2"))
        };
        rows.into_iter().filter(is_l2).count()
    };
    let after = rows(&server, "Logical_Switch_Port");
    assert_eq!(l2_ports(after), l2_ports(before));
    assert_eq!(controller.end(), Some(0));
}

#[test]
fn a_pod_for_which_no_address_is_left_is_reported_when_only_pods_have_changed() {
    let server = server("bundled");
    let folder = server.folder().join("manifests");
    fs::create_dir(&folder).expect("a folder");
    let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("a file");
    let pod = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: s, annotations: \
             {{k8s.v1.cni.cncf.io/networks: n}}}}\nspec: {{nodeName: w}}\n"
        )
    };
    write(
        "network.yaml",
        "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata: {name: n, \
         namespace: s}\nspec:\n  config: '{\"name\": \"net\", \"type\": \"ovn-k8s-cni-overlay\", \
         \"netAttachDefName\": \"s/n\", \"topology\": \"layer2\", \"subnets\": \"10.0.0.0/30\"}'\n"
            .to_owned(),
    );
    write("p.yaml", pod("p"));
    write("q.yaml", pod("q"));
    let controller = Controller::start(&server, &folder.display().to_string(), "one");
    let wait = |what: &str, holds: &dyn Fn() -> bool| until(what, holds, || controller.log());
    wait("ports", &|| {
        names(&server, "Logical_Switch_Port").len() == 2
    });

    // The comparison that these rows cause would report the pod too: let it end before.
    controller.logs("rows changed");
    sleep(Duration::from_millis(500));
    write("r.yaml", pod("r"));
    controller.logs("Pod s/r: no address is left in 10.0.0.0/30; left out");
    // An address becomes free.
    fs::remove_file(folder.join("p.yaml")).expect("a file less");
    wait("the port of r", &|| {
        let ports = names(&server, "Logical_Switch_Port");
        ports.len() == 2 && ports.iter().any(|port| port.ends_with("_r"))
    });
    assert_eq!(controller.log().matches("no address is left").count(), 1);
    assert_eq!(controller.end(), Some(0));
}
