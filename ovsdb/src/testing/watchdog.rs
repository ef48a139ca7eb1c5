//! Ends servers if the process that started them ends before them: when it is killed, aborts, or calls
//! `exit`.

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Reads from a pipe whose other end only the owner holds. A line means that the owner has cleaned up
/// itself. The end of the pipe means that the owner has ended: then every program of Open vSwitch
/// whose command line names the folder is killed, and the folder is removed.
///
/// The kernel closes the pipe however the owner ends. (`PR_SET_PDEATHSIG` is tied to the thread that
/// started the server, not to the process.) The programs are found by the folder, not by process ids,
/// so that a program that was just being started is found too, and a process that reuses the id of an
/// earlier server is not. grep reads the folder's name from its input; on its command line it would
/// find itself.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
read -r _ && exit 0
for file in $(grep -lsaF -f - /proc/[0-9]*/cmdline <<END
$OVSDB_TEST_FOLDER
END
); do
    folder=${file%/cmdline}
    read -r name < "$folder/comm" || continue
    case $name in ovs*) kill -KILL "${folder#/proc/}" ;; esac
done
rm -rf -- "$OVSDB_TEST_FOLDER"
"#;

/// A process that outlives this one, and ends the servers of a folder after it.
#[derive(Debug)]
pub(super) struct Watchdog {
    process: Child,
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    /// Watches the programs that will be started with this folder on their command line.
    pub(super) fn start(folder: &Path) -> io::Result<Self> {
        let mut process = Command::new("sh")
            .args(["-c", SCRIPT])
            .env("OVSDB_TEST_FOLDER", folder)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A signal to the owner's process group must not reach the watchdog.
            .process_group(0)
            .spawn()?;
        let pipe = process.stdin.take();
        Ok(Self { process, pipe })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            // An error means that the watchdog was killed, so there is nothing to tell it.
            let _ = pipe.write_all(b"\n");
        }
        let _ = self.process.wait();
    }
}
