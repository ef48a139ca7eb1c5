//! The tables of figures: one with the medians of the runs and a column for each server, and one with a
//! single measurement of the server within the process of its clients.

use ovsdb_benches::{median, number};

use crate::measure::Figures;
use crate::servers::Kind;
use crate::{Arguments, in_process};

/// A line of the table.
struct Line {
    name: &'static str,
    unit: &'static str,
    value: fn(&Figures) -> f64,
}

const fn line(name: &'static str, unit: &'static str, value: fn(&Figures) -> f64) -> Line {
    Line { name, unit, value }
}

const MEGABYTE: f64 = 1e6;

const LINES: &[Line] = &[
    line("initial dump to one client, CPU", "s", |f| f.dump_cpu_s),
    line("1-row transaction, CPU", "us", |f| f.single_cpu_us),
    line("100-row transaction, CPU", "us/row", |f| {
        f.batch_cpu_us_per_row
    }),
    line("followed, 1-row transaction, CPU", "us/row", |f| {
        f.followed_single_cpu_us
    }),
    line("followed, 100-row transaction, CPU", "us/row", |f| {
        f.followed_batch_cpu_us_per_row
    }),
    line("RSS, loaded over the socket", "MB", |f| {
        f.loaded_rss_bytes / MEGABYTE
    }),
    line("peak RSS, loaded over the socket", "MB", |f| {
        f.loading_peak_rss_bytes / MEGABYTE
    }),
    line("RSS, started from the file", "MB", |f| {
        f.started_rss_bytes / MEGABYTE
    }),
    line("start from the file, wall", "s", |f| f.start_wall_s),
    line("start from the file, CPU", "s", |f| f.start_cpu_s),
];

fn value(all: &[Figures], server: Kind, line: &Line) -> f64 {
    let own = all.iter().filter(|figures| figures.server == server.name());
    median(own.map(line.value))
}

/// Prints the tables.
pub(crate) fn print(arguments: &Arguments, all: &[Figures], own: &in_process::Figures) {
    let dump = all.first().map_or(0, |figures| figures.dump_bytes);
    println!(
        "{} ports, {dump} bytes of initial reply, {} followers; medians of {} runs\n",
        arguments.ports, arguments.clients, arguments.runs,
    );
    println!("| figure | unit | ovsdb | ovsdb-server | ratio |\n|---|---|---|---|---|");
    for line in LINES {
        let (one, other) = (
            value(all, Kind::Ovsdb, line),
            value(all, Kind::OvsdbServer, line),
        );
        println!(
            "| {} | {} | {} | {} | {} |",
            line.name,
            line.unit,
            number(one),
            number(other),
            number(one / other)
        );
    }
    println!("\n| figure, in one process | unit | ovsdb |\n|---|---|---|");
    let made = own.made;
    for (name, unit, value) in [
        (
            "commit to change stream, p50".into(),
            "us",
            own.change_p50_us,
        ),
        ("commit to reply, p50".into(), "us", own.commit_p50_us),
        (
            format!("{made} servers made, filled with 100 rows, dropped"),
            "s",
            own.made_s,
        ),
        ("the processor time of that".into(), "s", own.made_cpu_s),
        (
            format!("{made} servers forked, read by a client, dropped"),
            "s",
            own.forked_s,
        ),
    ] {
        println!("| {name} | {unit} | {} |", number(value));
    }
}
