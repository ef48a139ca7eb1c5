//! The output: tables and lines for people, JSON for programs.

use std::fmt::Write as _;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use ovsdb::DatabaseInfo;
use ovsdb::cache::{AnyChange, AnyRow};
use ovsdb::value::{Atom, Datum};
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use crate::object;

const HEADING: Style = Style::new().bold();
const NAME: Style = AnsiColor::Cyan.on_default();
const NEW: Style = AnsiColor::Green.on_default();
const OLD: Style = AnsiColor::Red.on_default();
const CHANGED: Style = AnsiColor::Yellow.on_default();

pub(crate) fn databases(all: &[DatabaseInfo], json: bool, out: &mut impl Write) -> io::Result<()> {
    if json {
        let all = all.iter().map(|database| {
            json!({"name": &*database.name, "model": database.model.as_deref(),
                "connected": database.connected, "leader": database.leader})
        });
        return writeln!(out, "{}", Value::from_iter(all));
    }
    let rows = all.iter().map(|database| {
        let yes = |yes| if yes { "yes" } else { "no" }.to_owned();
        let model = database.model.as_deref().unwrap_or("?").to_owned();
        let name = database.name.to_string();
        vec![name, model, yes(database.connected), yes(database.leader)]
    });
    table(
        &["database", "model", "connected", "leader"],
        rows.collect(),
        out,
    )
}

pub(crate) fn counts(all: Vec<(&str, usize)>, json: bool, out: &mut impl Write) -> io::Result<()> {
    if json {
        let members = all.into_iter().map(|(table, rows)| (table, rows.into()));
        return writeln!(out, "{}", object(members));
    }
    let rows = all.into_iter();
    let rows = rows.map(|(table, rows)| vec![table.to_owned(), rows.to_string()]);
    table(&["table", "rows"], rows.collect(), out)
}

pub(crate) fn rows(all: &[&dyn AnyRow], json: bool, out: &mut impl Write) -> io::Result<()> {
    if json {
        return writeln!(out, "{}", json!(all));
    }
    let columns = all
        .first()
        .into_iter()
        .flat_map(|row| row.columns().names());
    let headings: Vec<&str> = ["_uuid"].into_iter().chain(columns).collect();
    let cells = |row: &&dyn AnyRow| {
        let values = row.values().map(|(_, value)| text(&value.to_datum()));
        [row.uuid().to_string()].into_iter().chain(values).collect()
    };
    table(&headings, all.iter().map(cells).collect(), out)
}

pub(crate) fn schema_change(json: bool, out: &mut impl Write) -> io::Result<()> {
    match json {
        true => writeln!(out, "{}", json!({"change": "schema"})),
        false => writeln!(out, "{CHANGED}! the server's schema changed{CHANGED:#}"),
    }
}

pub(crate) fn change(
    change: &AnyChange,
    is_start: bool,
    json: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let (word, mark, style) = match change {
        AnyChange::Inserted(_) if is_start => ("initial", '=', HEADING),
        AnyChange::Inserted(_) => ("inserted", '+', NEW),
        AnyChange::Modified { .. } => ("modified", '~', CHANGED),
        AnyChange::Deleted(_) => ("deleted", '-', OLD),
    };
    let (row, old, new) = (change.row(), change.before(), change.after());
    if json {
        let rows = [("old", old), ("new", new)];
        let rows = rows
            .into_iter()
            .filter_map(|(name, row)| Some((name, json!(row?))));
        let what = [("change", word.into()), ("table", row.table().into())];
        return writeln!(out, "{}", object(what.into_iter().chain(rows)));
    }
    write!(
        out,
        "{style}{mark}{style:#} {HEADING}{}{HEADING:#} {}",
        row.table(),
        row.uuid()
    )?;
    for name in change.columns() {
        let value = |row: Option<&dyn AnyRow>| Some(row?.get(name)?.to_datum());
        let (old, new) = match (value(old), value(new)) {
            (Some(old), Some(new)) => (text(&old), text(&new)),
            // Empty columns of a whole row are not shown.
            (old, new) => match old.or(new).filter(|value| !value.is_empty()) {
                Some(value) => {
                    write!(out, " {NAME}{name}{NAME:#}={}", text(&value))?;
                    continue;
                }
                None => continue,
            },
        };
        write!(
            out,
            " {NAME}{name}{NAME:#}={OLD}{old}{OLD:#} -> {NEW}{new}{NEW:#}"
        )?;
    }
    writeln!(out)
}

/// Columns under their headings.
fn table(headings: &[&str], rows: Vec<Vec<String>>, out: &mut impl Write) -> io::Result<()> {
    let widths: Vec<usize> = (0..headings.len())
        .map(|at| {
            let cells = rows.iter().map(|row| row[at].width());
            cells.fold(headings[at].width(), usize::max)
        })
        .collect();
    let mut line = |cells: &[&str], style: Style| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            let padding = width - cell.width();
            let _ = write!(text, "{cell}{:padding$}  ", "");
        }
        writeln!(out, "{style}{}{style:#}", text.trim_end())
    };
    line(headings, HEADING)?;
    for row in &rows {
        line(
            &row.iter().map(String::as_str).collect::<Vec<_>>(),
            Style::new(),
        )?;
    }
    Ok(())
}

/// A value on one line.
fn text(datum: &Datum) -> String {
    let list = |open, parts: Vec<String>, close| format!("{open}{}{close}", parts.join(", "));
    match (datum.as_scalar(), datum) {
        (Some(only), _) => atom(only),
        (None, Datum::Set(set)) => list('[', set.iter().map(atom).collect(), ']'),
        (None, Datum::Map(map)) => {
            let pairs = map
                .iter()
                .map(|(key, value)| format!("{}={}", atom(key), atom(value)));
            list('{', pairs.collect(), '}')
        }
    }
}

/// Quotes a string if it could be mistaken for something else, or would move the cursor.
fn atom(atom: &Atom) -> String {
    let special = |c: char| c.is_control() || matches!(c, '"' | ',' | '=' | '[' | ']' | '{' | '}');
    match atom {
        Atom::Uuid(uuid) => uuid.to_string(),
        Atom::String(text) if !text.is_empty() && !text.contains(special) => text.to_string(),
        other => other.to_string(),
    }
}
