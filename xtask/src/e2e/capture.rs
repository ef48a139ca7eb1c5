//! The packets that pass an interface.

use std::env::temp_dir;

use super::namespace::Namespace;
use super::process::Process;
use super::wait::eventually;
use crate::Result;

/// A running tcpdump.
#[derive(Debug)]
pub(super) struct Capture(Process);

impl Capture {
    /// Starts to capture on an interface. Returns once every further packet is captured.
    pub(super) fn start(namespace: &Namespace, interface: &str, filter: &str) -> Result<Self> {
        let mut command = namespace.command("tcpdump");
        // One line a packet, printed at once, with MAC addresses, without names and times.
        command.args(["--immediate-mode", "-l", "-e", "-n", "-t", "-i", interface]);
        command.args(filter.split_whitespace());
        let name = format!("tcpdump-{}-{interface}", namespace.name());
        let process = Process::start(&mut command, &temp_dir(), &name)?;
        eventually("tcpdump", || {
            Ok(process.printed().contains("listening on").then_some(()))
        })?;
        Ok(Self(process))
    }

    /// The packets captured so far, one a line.
    pub(super) fn packets(&self) -> String {
        let printed = self.0.printed();
        // The last line may not be complete yet.
        let complete = printed.rfind('\n').map_or("", |end| &printed[..end]);
        let packets = complete.lines().filter(|line| line.contains(" > "));
        packets.collect::<Vec<_>>().join("\n")
    }

    /// Waits for a packet whose line contains all of these texts.
    pub(super) fn wait_for(&self, texts: &[&str]) -> Result<String> {
        let what = format!("a packet with {}", texts.join(", "));
        let found = eventually(&what, || {
            let packets = self.packets();
            let found = packets
                .lines()
                .find(|line| texts.iter().all(|text| line.contains(text)));
            Ok(found.map(str::to_owned))
        });
        found.map_err(|error| format!("{error}. What was seen:\n{}", self.packets()).into())
    }
}
