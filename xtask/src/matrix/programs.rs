//! The programs of a release: scripts at the front of the `PATH` that run them with the release's
//! loader.
//!
//! The kernel names a process after the file that it executes, and tests find programs by that name. So
//! each program has a link to the loader with its own name.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::fs::{self, File, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::command::output;

/// The folders of a package's programs. The last one has ovs-vswitchd; only an installation would link to
/// it from the others.
const FOLDERS: [&str; 3] = ["usr/bin", "usr/sbin", "usr/lib/openvswitch-switch"];

/// Programs that every run uses.
const REQUIRED: [&str; 5] = [
    "ovsdb-server",
    "ovsdb-tool",
    "ovs-vswitchd",
    "ovn-northd",
    "ovn-controller",
];

/// The programs of a release.
#[derive(Debug)]
pub(super) struct Programs {
    release: String,
    /// The release's folder.
    folder: PathBuf,
}

/// The versions that the programs print.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Versions {
    pub(super) ovs: String,
    pub(super) ovn: String,
}

impl Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Open vSwitch {}, OVN {}", self.ovs, self.ovn)
    }
}

impl Programs {
    /// Writes the scripts of a release whose packages are in `root` of this folder.
    ///
    /// # Errors
    /// When a program that every run uses or the loader is missing, a program would use the machine's libraries, or a
    /// file cannot be read or written.
    pub(super) fn of(release: &str, folder: &Path) -> Result<Self> {
        let this = Self {
            release: release.to_owned(),
            folder: folder.to_owned(),
        };
        for part in [this.scripts(), this.links(), this.python()] {
            if part.exists() {
                fs::remove_dir_all(&part)?;
            }
            fs::create_dir(part)?;
        }
        let root = this.root();
        let folders = libraries(&root);
        let loader = loader(&folders)?;
        let libraries = PathBuf::from(std::env::join_paths(folders)?);
        let programs = ovs_programs(&root)?;
        for (name, program) in &programs {
            let command = if is_elf(program)? {
                let link = this.links().join(name);
                symlink(&loader, &link)?;
                check_libraries(&link, &libraries, program, &root)?;
                let arguments = [&link, &libraries, program];
                loaded(arguments.map(PathBuf::as_path))
            } else {
                quoted(program)
            };
            this.write(name, &script(name, &this.started(), &command))?;
        }
        for name in REQUIRED {
            if !programs.contains_key(name) {
                return Err(format!("{release} has no {name}").into());
            }
        }
        // Otherwise the `PATH` would lead to the machine's programs of these names.
        for name in ovs_programs(Path::new("/"))?.into_keys() {
            if !programs.contains_key(&name) {
                let missing = format!("#!/bin/sh\necho '{release} has no {name}' >&2\nexit 127\n");
                this.write(&name, &missing)?;
            }
        }
        symlink(
            root.join("usr/lib/python3/dist-packages/ovs"),
            this.python().join("ovs"),
        )?;
        Ok(this)
    }

    pub(super) fn release(&self) -> &str {
        &self.release
    }

    /// A file in the release's folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn root(&self) -> PathBuf {
        self.file("root")
    }

    /// Makes the `PATH` of [`variables`](Self::variables) lead to the programs of this release.
    pub(super) fn select(&self) -> Result {
        let selected = self.selected();
        if selected.is_symlink() {
            fs::remove_file(&selected)?;
        }
        Ok(symlink(self.scripts(), selected)?)
    }

    /// The entry in the `PATH`. It is the same for all releases, since crates with C code, and all
    /// crates that depend on them, are built again when the `PATH` changes.
    fn selected(&self) -> PathBuf {
        self.folder.with_file_name("programs")
    }

    fn scripts(&self) -> PathBuf {
        self.file("programs")
    }

    fn links(&self) -> PathBuf {
        self.file("loader")
    }

    /// Python modules: only those of Open vSwitch, for the machine's Python.
    fn python(&self) -> PathBuf {
        self.file("python")
    }

    /// The names of the programs that were started, one a line.
    fn started(&self) -> PathBuf {
        self.file("started")
    }

    fn write(&self, name: &str, script: &str) -> Result {
        let path = self.scripts().join(name);
        fs::write(&path, script)?;
        fs::set_permissions(path, Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// The variables by which programs are found, and those that programs read.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut variables = vec![("PATH", format!("{}:{path}", self.selected().display()))];
        variables.extend(self.files());
        variables
    }

    /// The variables that programs read.
    fn files(&self) -> [(&'static str, String); 3] {
        let share = self.root().join("usr/share");
        [
            ("OVS_PKGDATADIR", share.join("openvswitch")),
            ("OVN_PKGDATADIR", share.join("ovn")),
            ("PYTHONPATH", self.python()),
        ]
        .map(|(name, folder)| (name, folder.display().to_string()))
    }

    /// The variables for a shell. They lead to this release even while another one is selected.
    pub(super) fn assignments(&self) -> String {
        let mut assignments = format!("PATH={}:$PATH ", self.scripts().display());
        for (name, value) in self.files() {
            assignments += &format!("{name}={value} ");
        }
        assignments
    }

    /// The versions of the programs that are found with the variables.
    ///
    /// # Errors
    /// When a program cannot be run or prints no version, or programs that belong together have different versions.
    pub(super) fn versions(&self) -> Result<Versions> {
        let ask = |program: &str, arguments: &[&str]| -> Result<String> {
            let mut command = Command::new(program);
            let text = output(command.args(arguments).envs(self.variables()))?;
            let version = version(&text).ok_or_else(|| format!("{program} prints no version"))?;
            Ok(version.to_owned())
        };
        let one = |programs: &[&str]| -> Result<String> {
            let mut found = Vec::new();
            for program in programs {
                found.push(ask(program, &["--version"])?);
            }
            found.dedup();
            match found.as_slice() {
                [version] => Ok(version.clone()),
                versions => Err(format!("{programs:?} have several versions: {versions:?}").into()),
            }
        };
        let versions = Versions {
            ovs: one(&["ovsdb-server", "ovsdb-tool", "ovs-vswitchd", "ovs-vsctl"])?,
            ovn: one(&["ovn-northd", "ovn-controller", "ovn-nbctl"])?,
        };
        let script = "import ovs.version; print(ovs.version.VERSION)";
        let python = ask("/usr/bin/python3", &["-c", script])?;
        if python != versions.ovs {
            return Err(format!(
                "Python's modules have version {python}, not {}",
                versions.ovs
            )
            .into());
        }
        Ok(versions)
    }

    pub(super) fn forget_starts(&self) -> Result {
        Ok(fs::write(self.started(), "")?)
    }

    /// How many programs the scripts have started.
    ///
    /// # Errors
    /// When a program that every run uses was not started, or the record of the starts cannot be read.
    pub(super) fn starts(&self) -> Result<usize> {
        let started = fs::read_to_string(self.started())?;
        for name in REQUIRED {
            if !started.lines().any(|line| line == name) {
                return Err(format!("{name} of {} was never started", self.release).into());
            }
        }
        Ok(started.lines().count())
    }
}

/// The programs of Open vSwitch and OVN below a root, by their names.
fn ovs_programs(root: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for folder in FOLDERS {
        // Some of the folders do not exist in every release.
        for entry in fs::read_dir(root.join(folder)).into_iter().flatten() {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_ovs = name.starts_with("ovs") || name.starts_with("ovn");
            if is_ovs && entry.path().is_file() {
                found.insert(name, entry.path());
            }
        }
    }
    Ok(found)
}

fn is_elf(program: &Path) -> Result<bool> {
    let mut start = Vec::new();
    File::open(program)?.take(4).read_to_end(&mut start)?;
    Ok(start == b"\x7fELF")
}

/// The folders of libraries of a root.
fn libraries(root: &Path) -> Vec<PathBuf> {
    let folders = ["usr/lib", "lib"].map(|folder| root.join(folder));
    let found = folders
        .iter()
        .filter_map(|folder| find(folder, |name| name.ends_with("-linux-gnu")));
    found.collect()
}

/// The loader itself, in the folders of libraries. Links to it elsewhere may lead out of the root.
fn loader(libraries: &[PathBuf]) -> Result<PathBuf> {
    let is_loader = |name: &str| name.starts_with("ld-linux-") && name.contains(".so.");
    let mut found = libraries
        .iter()
        .filter_map(|folder| find(folder, is_loader));
    let loader = found.next();
    loader.ok_or_else(|| format!("there is no loader in {libraries:?}").into())
}

fn find(folder: &Path, wanted: impl Fn(&str) -> bool) -> Option<PathBuf> {
    let mut entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let found = entries.find(|entry| wanted(&entry.file_name().to_string_lossy()));
    found.map(|entry| entry.path())
}

/// Checks that a program gets all of its libraries from the root.
fn check_libraries(loader: &Path, libraries: &Path, program: &Path, root: &Path) -> Result {
    let mut list = Command::new(loader);
    list.args(["--inhibit-cache", "--library-path"]);
    let listed = output(list.arg(libraries).arg("--list").arg(program))?;
    match outside(&listed, &root.to_string_lossy()) {
        None => Ok(()),
        Some(line) => Err(format!(
            "{} uses another library: {}",
            program.display(),
            line.trim()
        )
        .into()),
    }
}

/// The first line of a loader's list with a library outside the root. The list also names the loader, by a
/// path that is not read.
fn outside<'a>(listed: &'a str, root: &str) -> Option<&'a str> {
    let root = format!("{}/", root.trim_end_matches('/'));
    listed.lines().find(|line| match line.split_once(" => ") {
        Some((name, path)) => !path.starts_with(&root) && !name.contains("/ld-linux-"),
        None => line.contains("not found"),
    })
}

/// The command that runs a program with the loader and these libraries.
fn loaded([loader, libraries, program]: [&Path; 3]) -> String {
    let [loader, libraries, program] = [loader, libraries, program].map(quoted);
    format!("{loader} --argv0 \"$0\" --inhibit-cache --library-path {libraries} {program}")
}

/// The script that replaces a program in the `PATH`: it records the start, and then becomes the
/// program.
fn script(name: &str, started: &Path, command: &str) -> String {
    format!(
        "#!/bin/sh\necho {name} >>{}\nexec {command} \"$@\"\n",
        quoted(started)
    )
}

/// A path, quoted for the shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

/// The version that a program prints: the last word of the first line.
fn version(text: &str) -> Option<&str> {
    let version = text.lines().next()?.split_whitespace().last()?;
    version
        .starts_with(|first: char| first.is_ascii_digit())
        .then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_programs_and_not_of_their_libraries() {
        assert_eq!(
            version("ovsdb-server (Open vSwitch) 3.5.0\n"),
            Some("3.5.0")
        );
        let northd = "ovn-northd 26.03.1\nOpen vSwitch Library 3.7.1\n";
        assert_eq!(version(northd), Some("26.03.1"));
        assert_eq!(version("3.5.0\n"), Some("3.5.0"));
        assert_eq!(version(""), None);
        assert_eq!(version("usage: ovsdb-server\n"), None);
    }

    #[test]
    fn a_library_of_the_machine_is_seen() {
        let mut listed = "\tlinux-vdso.so.1 (0x00007ffc)\n\
                          \tlibssl.so.3 => /r/usr/lib/x86_64-linux-gnu/libssl.so.3 (0x00007f)\n\
                          \t/lib64/ld-linux-x86-64.so.2 => /l/ovsdb-server (0x00007f)\n"
            .to_owned();
        assert_eq!(outside(&listed, "/r"), None);
        listed += "\tlibc.so.6 => /roots/lib/libc.so.6 (0x00007f)\n";
        let line = "\tlibc.so.6 => /roots/lib/libc.so.6 (0x00007f)";
        assert_eq!(outside(&listed, "/r"), Some(line));
        assert!(outside("\tlibz.so.1 => not found\n", "/r").is_some());
    }

    #[test]
    fn a_script_passes_its_name_and_every_argument() {
        // Programs of the machine stand in for the loader and the program.
        let folder = std::env::temp_dir().join(format!("it's {}", std::process::id()));
        fs::create_dir(&folder).expect("a folder");
        let started = folder.join("started");
        let command = format!("printf '<%s>' {}", quoted(&folder));
        let text = script("ovsdb-tool", &started, &command);
        let path = folder.join("ovsdb-tool");
        fs::write(&path, text).expect("written");
        let said = output(Command::new("sh").arg(&path).args(["a b", "", "$HOME"]));
        let starts = fs::read_to_string(&started);
        fs::remove_dir_all(&folder).expect("removed");
        let expected = format!("<{}><a b><><$HOME>", folder.display());
        assert_eq!(said.expect("it runs"), expected);
        assert_eq!(starts.expect("noted"), "ovsdb-tool\n");
    }
}
