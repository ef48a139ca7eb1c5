//! The cost of `multihoming` with many pods: they are applied to an empty database and applied again, and
//! single pods change while `multihoming run` keeps the database up to date.
//!
//! Each round has a private ovsdb-server and a folder with a file for each pod. The time of a
//! change begins just before its file is put in place, or its port is deleted, and ends when a client of
//! the server sees the row.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program prints its results"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use ovsdb::nb::{Cache, Client, LogicalSwitch as Switch, LogicalSwitchPort as Port};
use ovsdb::schema::bundled;
use ovsdb::testing::Server;
use ovsdb_benches::process::{cpu_us, machine};
use ovsdb_benches::{Result, median, number};
use serde_json::{Value, json};
use tempfile::TempDir;

/// After this time without a row, the run is given up.
const LIMIT: Duration = Duration::from_secs(60);
/// The pause before a change, so that the program is idle.
const PAUSE: Duration = Duration::from_millis(700);

/// Measure multihoming with many pods
#[derive(Debug, Parser)]
#[command(name = "pods")]
struct Arguments {
    /// How many pods there are
    #[arg(long, default_value_t = 10_000)]
    pods: usize,
    /// How many nodes they run on
    #[arg(long, default_value_t = 100)]
    nodes: usize,
    /// The topology of their network
    #[arg(long, value_enum, default_value_t)]
    topology: Topology,
    /// How many pods are changed in a round; as many are added, and as many ports are deleted
    #[arg(long, default_value_t = 10)]
    changes: usize,
    /// How many rounds are measured
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The path of multihoming
    #[arg(long, default_value = "target/release/multihoming")]
    program: PathBuf,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Topology {
    /// A switch for each node
    #[default]
    Layer3,
    /// One switch
    Layer2,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", ovsdb::ErrorChain::new(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result {
    println!("{}", machine()?);
    println!("{} pods on {} nodes", arguments.pods, arguments.nodes);
    let mut figures = Figures::default();
    for _ in 0..arguments.rounds {
        round(arguments, &mut figures)?;
    }
    let shown = [
        ("apply, s", &figures.seconds),
        ("  its CPU, s", &figures.cpu),
        ("  the server's CPU, s", &figures.server),
        ("  its CPU / the server's", &figures.share),
        ("  its peak memory, MB", &figures.memory),
        ("apply again, s", &figures.again),
        ("a pod changes, ms", &figures.changed),
        ("a pod is added, ms", &figures.new),
        ("a port is deleted and comes back, ms", &figures.repaired),
    ];
    println!("{:<38} {:>8} {:>8}", "", "median", "worst");
    for (name, values) in shown {
        let worst = values.iter().copied().fold(0.0, f64::max);
        let middle = median(values.iter().copied());
        println!("{name:<38} {:>8} {:>8}", number(middle), number(worst));
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Figures {
    seconds: Vec<f64>,
    cpu: Vec<f64>,
    server: Vec<f64>,
    share: Vec<f64>,
    memory: Vec<f64>,
    again: Vec<f64>,
    changed: Vec<f64>,
    new: Vec<f64>,
    repaired: Vec<f64>,
}

/// The CPU time of the processes that have ended, in seconds, and the most memory that one had, in MB.
fn ended() -> Result<(f64, f64)> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let time = usage.user_time() + usage.system_time();
    let milliseconds = u32::try_from(time.num_milliseconds())?;
    let kilobytes = u32::try_from(usage.max_rss())?;
    Ok((
        f64::from(milliseconds) / 1e3,
        f64::from(kilobytes) * 1024.0 / 1e6,
    ))
}

fn round(arguments: &Arguments, figures: &mut Figures) -> Result {
    let schema = bundled("OVN_Northbound").ok_or("no northbound schema")?;
    let server = Server::builder().schema(schema).start()?;
    let process = server
        .process_id()
        .ok_or("the server has no process of its own")?;
    let folder = TempDir::new()?;
    let manifests = Manifests::write(arguments, folder.path())?;
    let apply = || -> Result<f64> {
        let begun = Instant::now();
        let mut apply = manifests.command("apply", &server);
        let status = apply.stdout(Stdio::null()).status()?;
        status.success().then_some(()).ok_or("apply failed")?;
        Ok(begun.elapsed().as_secs_f64())
    };
    let (before, served) = (ended()?.0, cpu_us(process)?);
    figures.seconds.push(apply()?);
    let (after, memory) = ended()?;
    let served = f64::from(u32::try_from(cpu_us(process)? - served)?) / 1e6;
    figures.cpu.push(after - before);
    figures.memory.push(memory);
    figures.server.push(served);
    figures.share.push((after - before) / served);
    figures.again.push(apply()?);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(changes(arguments, &server, &manifests, figures))
}

/// A running program, which is killed when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn changes(
    arguments: &Arguments,
    server: &Server,
    manifests: &Manifests,
    figures: &mut Figures,
) -> Result {
    let client = Client::builder().remotes(server.remote()).connect().await?;
    let cache = client.cache().table::<Port>().start().await?;
    let mut run = manifests.command("run", server);
    let _running = Running(run.stderr(Stdio::null()).spawn()?);
    // When the first change arrives, the program has finished its start.
    manifests.pod(0, "first")?;
    until(&cache, 0, |uid| uid == Some("first")).await?;
    for change in 0..arguments.changes {
        let number = 1 + change * (arguments.pods - 1) / arguments.changes;
        let uid = format!("change-{change}");
        tokio::time::sleep(PAUSE).await;
        let begun = manifests.pod(number, &uid)?;
        until(&cache, number, |found| found == Some(&uid)).await?;
        figures.changed.push(begun.elapsed().as_secs_f64() * 1e3);

        tokio::time::sleep(PAUSE).await;
        let new = arguments.pods + change;
        let begun = manifests.pod(new, "new")?;
        until(&cache, new, |found| found == Some("new")).await?;
        figures.new.push(begun.elapsed().as_secs_f64() * 1e3);

        tokio::time::sleep(PAUSE).await;
        let begun = Instant::now();
        // The server deletes a port when its switch no longer refers to it.
        let name = Manifests::port(number);
        let view = cache.snapshot();
        let port = view
            .get_by(Port::NAME, &*name)
            .ok_or("no port")?
            .reference();
        let mut txn = client.transaction();
        txn.mutate(Switch::PORTS.includes([port]))
            .delete(Switch::PORTS, [port]);
        txn.commit().await?;
        let back = cache.wait_until(Some(LIMIT), |view| {
            let row = view.get_by(Port::NAME, &*name)?;
            (row.reference() != port).then_some(())
        });
        back.await?;
        figures.repaired.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(())
}

/// Waits until a pod's port has a uid that passes the test.
async fn until(cache: &Cache, number: usize, passes: impl Fn(Option<&str>) -> bool) -> Result {
    let name = Manifests::port(number);
    let seen = cache.wait_until(Some(LIMIT), |view| {
        let row = view.get_by(Port::NAME, &*name)?;
        passes(row.options.get("iface-id-ver").map(ovsdb::Str::as_str)).then_some(())
    });
    Ok(seen.await?)
}

/// The manifests in their folder.
struct Manifests {
    program: PathBuf,
    folder: PathBuf,
    nodes: usize,
}

impl Manifests {
    fn write(arguments: &Arguments, folder: &Path) -> Result<Self> {
        let (topology, subnets) = match arguments.topology {
            Topology::Layer3 => ("layer3", "10.0.0.0/8/24"),
            Topology::Layer2 => ("layer2", "10.0.0.0/8"),
        };
        let config = json!({"name": "net", "type": "ovn-k8s-cni-overlay", "netAttachDefName": "ns/n",
            "topology": topology, "subnets": subnets});
        let network = json!({"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": "n", "namespace": "ns"}, "spec": {"config": config.to_string()}});
        let nodes = (0..arguments.nodes).map(|node| {
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("node-{node}")}})
        });
        let items: Value = nodes.chain([network]).collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        fs::write(folder.join("cluster.json"), list.to_string())?;
        let manifests = Self {
            program: arguments.program.clone(),
            folder: folder.to_owned(),
            nodes: arguments.nodes,
        };
        for number in 0..arguments.pods {
            manifests.pod(number, "begun")?;
        }
        Ok(manifests)
    }

    fn command(&self, name: &str, server: &Server) -> Command {
        let mut command = Command::new(&self.program);
        let remote = server.remote().to_string();
        command
            .args([name, "--nb", &remote, "-f"])
            .arg(&self.folder);
        command
    }

    /// Writes the file of a pod. Returns the time just before the file is put in place.
    fn pod(&self, number: usize, uid: &str) -> Result<Instant> {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("pod-{number}"),
            "namespace": "ns", "uid": uid, "annotations": {"k8s.v1.cni.cncf.io/networks": "n"}},
            "spec": {"nodeName": format!("node-{}", number % self.nodes)}});
        let written = self.folder.join("written");
        fs::write(&written, pod.to_string())?;
        let begun = Instant::now();
        fs::rename(&written, self.folder.join(format!("pod-{number}.json")))?;
        Ok(begun)
    }

    fn port(number: usize) -> String {
        format!("ns.n_ns_pod-{number}")
    }
}
