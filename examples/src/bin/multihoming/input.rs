//! The arguments that say what the input is; commands share them.

use std::path::PathBuf;

use clap::Args;
use multihoming::config::Profile;
use multihoming::error::InputError;
use multihoming::manifest::Manifests;

/// What is read.
#[derive(Debug, Args)]
pub(crate) struct Input {
    /// A manifest, a folder of manifests, or `-` for the standard input; may be given again
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Which OVN-Kubernetes to follow: of July 2023, or of August 2026 (without interconnect)
    #[arg(long, value_enum, default_value_t)]
    pub(crate) profile: Profile,
}

impl Input {
    /// Reads the manifests.
    pub(crate) fn read(&self) -> Result<Manifests, InputError> {
        Manifests::read(&self.paths)
    }
}
