//! `multihoming plan`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use multihoming::apply::{Grants, steps};
use multihoming::database::Northbound;
use ovsdb::desired::{Action, Step};
use ovsdb::nb::Database;
use serde_json::Value;

use crate::connection::NorthboundDatabase;
use crate::failure::{Failure, tell, tell_report, worse};
use crate::input::{Changes, Input, Nodes};

/// Shows what apply would change in the northbound database, row by row
///
/// Nothing is changed. The exit status is 0 if apply would change nothing, 1 if it would change
/// something, and 2 if it would leave something out or no plan can be made.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: NorthboundDatabase,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    nodes: Nodes,
    #[command(flatten)]
    changes: Changes,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    /// Text, for people
    #[default]
    Text,
    /// JSON, for programs: an array of steps, each with its rows
    Json,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let cluster = arguments.nodes.cluster(&arguments.input)?;
    let status = tell_report(&cluster.report);
    let northbound = Northbound::connect(arguments.database.connection()?).await?;
    let others = arguments.changes.others();
    let planned = steps(&northbound, &cluster, &Grants::new(), others)?;
    let status = worse(status, tell(&planned.refused, &planned.warnings));
    let steps = planned.steps.steps();
    let text = match arguments.format {
        Format::Text => text(steps),
        Format::Json => {
            let steps = steps
                .iter()
                .map(|step| serde_json::from_str::<Value>(&step.to_json()));
            format!("{:#}\n", steps.collect::<Result<Value, _>>()?)
        }
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    let changes = ExitCode::from(u8::from(!steps.is_empty()));
    Ok(worse(status, changes))
}

fn text(steps: &[Step<Database>]) -> String {
    if steps.is_empty() {
        return "nothing to do\n".to_owned();
    }
    let mut text = String::new();
    for step in steps {
        text += &format!("# {}\n", step.title());
        for change in step.changes() {
            text += &format!("{change}\n");
        }
        text.push('\n');
    }
    let count = |action| {
        let changes = steps.iter().flat_map(Step::changes);
        changes.filter(|change| change.action == action).count()
    };
    text += &format!(
        "{} rows to insert, {} to update, {} to delete, in {} transactions\n",
        count(Action::Insert),
        count(Action::Update),
        count(Action::Delete),
        steps.len()
    );
    text
}
