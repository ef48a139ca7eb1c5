//! A policy allows TCP to port 80, and nothing else.

use std::env::temp_dir;
use std::fs;

use crate::Result;
use crate::command::attempt;
use crate::e2e::lab::{LAYER2, LAYER3, LOCALNET, Lab, NODES, Network};
use crate::e2e::pod::Pod;
use crate::e2e::process::Process;
use crate::e2e::wait::{becomes, check};

/// The ports on which the second pod of a network listens.
const OPEN: u16 = 80;
const SHUT: u16 = 81;

pub(super) fn run(lab: &mut Lab) -> Result {
    for network in [&LAYER3, &LAYER2, &LOCALNET] {
        lab.bring_up(network)?;
        only_port_80_is_open(lab, network)?;
    }
    Ok(())
}

fn only_port_80_is_open(lab: &Lab, network: &Network) -> Result {
    let pair = lab.pair(network)?;
    let (client, server) = (pair.one, pair.two);
    let _servers = [listen(server, OPEN)?, listen(server, SHUT)?];
    let (to, name) = (server.address()?, server.name());
    let reaches = |port: u16| connects(client, server, port);
    let answers = || client.ping(to, "").map(|ttl| ttl.is_some());
    becomes(&format!("{name} is open to all before the policy"), || {
        Ok(reaches(OPEN)? && reaches(SHUT)? && answers()?)
    })?;

    let policy = temp_dir().join("policy.yaml");
    fs::write(&policy, manifest(server))?;
    let policy = policy.to_string_lossy();
    lab.northbound("apply", &[NODES, network.manifest, &policy])?;
    becomes(&format!("the policy shuts port {SHUT} of {name}"), || {
        Ok(!reaches(SHUT)?)
    })?;
    becomes("it does not answer pings", || Ok(!answers()?))?;
    becomes(&format!("port {OPEN} is open"), || reaches(OPEN))?;
    let shut = !reaches(SHUT)? && !answers()?;
    check("and still nothing else", shut, "an answer")?;
    let ttl = server.ping(client.address()?, "")?;
    check(
        "it pings others, and they answer",
        ttl.is_some(),
        "no answer",
    )?;

    lab.northbound("delete", &[&policy])?;
    becomes(&format!("{name} is open to all after the policy"), || {
        Ok(reaches(OPEN)? && reaches(SHUT)? && answers()?)
    })
}

/// A policy for one pod.
fn manifest(pod: &Pod) -> String {
    let (nad, name) = (&pod.attachment.nad, pod.name());
    format!(
        "apiVersion: k8s.cni.cncf.io/v1beta1
kind: MultiNetworkPolicy
metadata:
  name: web
  namespace: default
  annotations:
    k8s.v1.cni.cncf.io/policy-for: {nad}
spec:
  podSelector:
    matchLabels:
      app: {name}
  policyTypes: [Ingress]
  ingress:
  - ports:
    - protocol: TCP
      port: {OPEN}
"
    )
}

/// Makes a pod accept TCP connections on a port.
fn listen(pod: &Pod, port: u16) -> Result<Process> {
    let mut command = pod.namespace.command("ncat");
    command.args(["--listen", "--keep-open", "--recv-only", &port.to_string()]);
    Process::start(
        &mut command,
        &temp_dir(),
        &format!("ncat-{}-{port}", pod.name()),
    )
}

/// Whether a pod connects to a port of another.
fn connects(from: &Pod, to: &Pod, port: u16) -> Result<bool> {
    let mut command = from.namespace.command("ncat");
    command.args([
        "-z",
        "--wait",
        "1",
        &to.address()?.to_string(),
        &port.to_string(),
    ]);
    Ok(attempt(&mut command)?.0)
}
