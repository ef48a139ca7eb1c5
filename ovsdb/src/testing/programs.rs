//! The programs that servers need, and the schemas that are installed with them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A program that is not installed.
///
/// ```
/// let error = ovsdb::testing::program("ovn-no-such-program").expect_err("no such program");
/// assert_eq!(error.program, "ovn-no-such-program");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the program {program} is not installed; Debian has it in {package}")]
#[non_exhaustive]
pub struct MissingProgram {
    /// The program.
    pub program: String,
    /// The Debian package that contains it.
    pub package: &'static str,
}

/// The path of a program of Open vSwitch or OVN: in the `PATH`, or where Debian installs servers.
///
/// # Errors
/// When the program is not installed.
///
/// ```
/// let path = ovsdb::testing::program("ovsdb-server")?;
/// assert!(path.is_absolute());
/// # Ok::<(), ovsdb::testing::MissingProgram>(())
/// ```
pub fn program(name: &str) -> Result<PathBuf, MissingProgram> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin"].map(|folder| Path::new(folder).to_owned()));
    let found = folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    found.ok_or_else(|| MissingProgram {
        program: name.to_owned(),
        package: package(name),
    })
}

/// The path of a database's schema as installed with the programs of Open vSwitch or OVN: in the folder
/// that `OVS_PKGDATADIR` or `OVN_PKGDATADIR` names, as the programs themselves find it, or in Debian's.
/// Daemons may need the schema of their own release, which is rarely that of
/// [`bundled`](crate::schema::bundled).
///
/// `None` for other databases. The function does not check that the file exists.
///
/// ```
/// use ovsdb::testing::{Server, schema_file};
///
/// let file = schema_file("OVN_Southbound").expect("a database of OVN");
/// let server = Server::builder().schema(std::fs::read_to_string(file)?).start()?;
/// assert!(schema_file("Inventory").is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn schema_file(database: &str) -> Option<PathBuf> {
    schema_file_by(database, |variable| std::env::var_os(variable))
}

fn schema_file_by(database: &str, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    const OVS: (&str, &str) = ("OVS_PKGDATADIR", "/usr/share/openvswitch");
    const OVN: (&str, &str) = ("OVN_PKGDATADIR", "/usr/share/ovn");
    let ((name, debian), file) = match database {
        "Open_vSwitch" => (OVS, "vswitch.ovsschema"),
        "hardware_vtep" => (OVS, "vtep.ovsschema"),
        "OVN_Northbound" => (OVN, "ovn-nb.ovsschema"),
        "OVN_Southbound" => (OVN, "ovn-sb.ovsschema"),
        "OVN_IC_Northbound" => (OVN, "ovn-ic-nb.ovsschema"),
        "OVN_IC_Southbound" => (OVN, "ovn-ic-sb.ovsschema"),
        _ => return None,
    };
    let folder = variable(name).unwrap_or_else(|| debian.into());
    Some(Path::new(&folder).join(file))
}

/// The package of Debian 12 that has a program.
fn package(name: &str) -> &'static str {
    match name {
        "ovs-vsctl" | "ovs-vswitchd" => "openvswitch-switch",
        "ovn-northd" => "ovn-central",
        "ovn-controller" => "ovn-host",
        name if name.starts_with("ovn-") => "ovn-common",
        "kill" => "procps",
        _ => "openvswitch-common",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_where_the_programs_look_for_theirs() {
        let file = |database| schema_file_by(database, |name| Some(format!("/at/{name}").into()));
        let switch = Path::new("/at/OVS_PKGDATADIR/vswitch.ovsschema");
        assert_eq!(file("Open_vSwitch").as_deref(), Some(switch));
        let northbound = Path::new("/at/OVN_PKGDATADIR/ovn-nb.ovsschema");
        assert_eq!(file("OVN_Northbound").as_deref(), Some(northbound));
        let debian = Path::new("/usr/share/ovn/ovn-sb.ovsschema");
        assert_eq!(
            schema_file_by("OVN_Southbound", |_| None).as_deref(),
            Some(debian)
        );
    }

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        assert!(program("sh").is_ok());
        let error = program("ovn-nbctl-that-does-not-exist").expect_err("no such program");
        assert_eq!(error.package, "ovn-common");
        for (name, of) in [
            ("ovsdb-server", "openvswitch-common"),
            ("ovs-appctl", "openvswitch-common"),
            ("ovs-vswitchd", "openvswitch-switch"),
            ("ovn-trace", "ovn-common"),
            ("ovn-northd", "ovn-central"),
            ("kill", "procps"),
        ] {
            assert_eq!(package(name), of, "{name}");
        }
    }
}
