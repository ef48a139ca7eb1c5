//! The packages of a Debian release in a folder: extracted, not installed, so this does not need root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::command::{self, output, root};

/// The packages whose programs the tests and the networks run, except those that need not be of the release.
const PACKAGES: [&str; 4] = [
    "openvswitch-switch",
    "ovn-central",
    "ovn-host",
    "python3-openvswitch",
];

/// The name of a release, which is also the name of its folder.
pub(super) fn release(name: &str) -> std::result::Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !name.is_empty() && name.bytes().all(plain) && !name.starts_with('-') {
        return Ok(name.to_owned());
    }
    Err("expected the name of a release of Debian, such as trixie".to_owned())
}

/// The release's folder, `target/matrix/RELEASE`, with its packages in `root`.
///
/// # Errors
/// When apt knows no mirror of Debian, or the packages cannot be downloaded or extracted.
pub(super) fn prepare(release: &str, mirror: Option<&str>, fresh: bool) -> Result<PathBuf> {
    let folder = root().join("target/matrix").join(release);
    let done = folder.join("root");
    if fresh && folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    if done.is_dir() {
        return Ok(folder);
    }
    let mirror = match mirror {
        Some(mirror) => mirror.to_owned(),
        None => mirror_of_machine()?,
    };
    let archives = download(release, &mirror, &folder.join("apt"))?;
    // The folder gets its final name in the last step, so a folder with that name is complete.
    let begun = folder.join("root.new");
    if begun.exists() {
        fs::remove_dir_all(&begun)?;
    }
    fs::create_dir(&begun)?;
    for archive in fs::read_dir(archives)? {
        let archive = archive?.path();
        if archive
            .extension()
            .is_some_and(|extension| extension == "deb")
        {
            output(
                Command::new("dpkg-deb")
                    .arg("--extract")
                    .arg(archive)
                    .arg(&begun),
            )?;
        }
    }
    fs::rename(begun, done)?;
    // apt can download them again.
    fs::remove_dir_all(folder.join("apt"))?;
    Ok(folder)
}

/// Makes apt download the packages with all dependencies, as if nothing were installed. Returns their folder.
fn download(release: &str, mirror: &str, apt: &Path) -> Result<PathBuf> {
    let archives = apt.join("cache/archives");
    fs::create_dir_all(archives.join("partial"))?;
    fs::create_dir_all(apt.join("lists/partial"))?;
    fs::write(apt.join("status"), "")?;
    fs::write(
        apt.join("sources.list"),
        format!("deb {mirror} {release} main\n"),
    )?;
    let configuration = apt.join("apt.conf");
    fs::write(&configuration, apt_configuration(apt))?;
    let apt_get = |arguments: &[&str]| {
        let mut command = command::command("apt-get", &["--quiet=2"]);
        command.arg(format!("--config-file={}", configuration.display()));
        command::run(command.args(arguments))
    };
    apt_get(&["update"])?;
    let install = [
        "install",
        "--yes",
        "--download-only",
        "--no-install-recommends",
    ];
    apt_get(&[&install[..], &PACKAGES].concat())?;
    Ok(archives)
}

/// Makes apt keep everything in a folder. This configuration is read after the machine's own, whose
/// keys and proxies stay in force.
fn apt_configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "Dir::State \"{folder}\";\n\
         Dir::State::lists \"{folder}/lists\";\n\
         Dir::State::status \"{folder}/status\";\n\
         Dir::Cache \"{folder}/cache\";\n\
         Dir::Etc::sourcelist \"{folder}/sources.list\";\n\
         Dir::Etc::sourceparts \"/dev/null\";\n\
         Dir::Etc::preferences \"/dev/null\";\n\
         Dir::Etc::preferencesparts \"/dev/null\";\n\
         APT::Default-Release \"\";\n\
         APT::Sandbox::User \"root\";\n"
    )
}

/// The mirror of Debian that the machine's apt is configured to use.
fn mirror_of_machine() -> Result<String> {
    let format = "$(ORIGIN) $(LABEL) $(REPO_URI)";
    let arguments = ["indextargets", "--format", format, "Created-By: Packages"];
    let targets = output(&mut command::command("apt-get", &arguments))?;
    mirror_among(&targets).ok_or_else(|| {
        "apt knows no mirror of Debian: run `apt-get update`, or name a mirror by --mirror".into()
    })
}

/// The first of these sources, each with an origin, a label and an address, that is Debian's main
/// archive, and not the archive of its security team or of another distribution.
fn mirror_among(targets: &str) -> Option<String> {
    targets.lines().find_map(|target| {
        let mirror = target.strip_prefix("Debian Debian ")?;
        Some(mirror.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_that_of_the_archive_itself() {
        let targets = "Example packages https://example.org/apt/\n\
                       Debian Debian-Security http://mirror.example.org/debian-security/\n\
                       Debian Debian http://mirror.example.org/debian/\n\
                       Debian Debian http://other.example.org/debian/\n";
        let mirror = mirror_among(targets);
        assert_eq!(mirror.as_deref(), Some("http://mirror.example.org/debian/"));
        assert_eq!(mirror_among("Debian Debian-Security http://a/\n"), None);
    }

    #[test]
    fn a_release_is_a_plain_name() {
        assert_eq!(
            release("trixie-backports").as_deref(),
            Ok("trixie-backports")
        );
        for name in ["", "..", "-o", "a/b", "sid main\ndeb"] {
            assert!(release(name).is_err(), "{name}");
        }
    }
}
