//! Ending servers when the process that started them ends without doing so itself: killed, aborted,
//! or by `exit`.

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Waits at a pipe whose other end only the owner has. A line means that the owner has cleaned up
/// itself; the end of the pipe that the owner is gone. Then every program of Open vSwitch whose
/// command line names the folder is killed, and the folder removed.
///
/// The kernel closes the pipe however the owner ends. (`PR_SET_PDEATHSIG` would follow the thread
/// that started the server, not the process.) The programs are found by the folder and not by
/// their process ids, so one that was just being started is found too, and no other process that
/// got the id of an earlier server. grep reads the folder from its input, or it would find itself.
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

/// A process that outlives this one, and ends the servers of a folder with it.
#[derive(Debug)]
pub(super) struct Watchdog {
    process: Child,
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    /// Watches over the programs that will be started with this folder on their command line.
    pub(super) fn start(folder: &Path) -> io::Result<Self> {
        let mut process = Command::new("sh")
            .args(["-c", SCRIPT])
            .env("OVSDB_TEST_FOLDER", folder)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A signal to the whole group of the owner must not reach it.
            .process_group(0)
            .spawn()?;
        let pipe = process.stdin.take();
        Ok(Self { process, pipe })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            // An error means that it was killed: there is no process to tell.
            let _ = pipe.write_all(b"\n");
        }
        let _ = self.process.wait();
    }
}
