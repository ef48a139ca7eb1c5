//! `multihoming show`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use multihoming::database::Northbound;
use multihoming::show::{Picture, mermaid, svg, tree};

use crate::connection::NorthboundDatabase;
use crate::failure::Failure;

/// Prints the networks that are in the northbound database
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: NorthboundDatabase,
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Only this network; may be given several times
    #[arg(long = "network", value_name = "NAME")]
    networks: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    /// A tree, for people
    #[default]
    Tree,
    /// JSON, for programs
    Json,
    /// A Mermaid flowchart, for Markdown
    Mermaid,
    /// An SVG document, for browsers
    Svg,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let northbound = Northbound::connect(arguments.database.connection()?).await?;
    let mut picture = Picture::new(&northbound.cache.snapshot());
    let names = &arguments.networks;
    picture
        .networks
        .retain(|network| names.is_empty() || names.contains(&network.name));
    let text = match arguments.format {
        Format::Tree => tree::draw(&picture),
        Format::Mermaid => mermaid::draw(&picture),
        Format::Svg => svg::draw(&picture),
        Format::Json => format!("{:#}\n", serde_json::to_value(&picture)?),
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
