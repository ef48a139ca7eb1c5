//! The table of figures: each is the median of the runs, with a column for each client.

use ovsdb_benches::{median, number};
use serde_json::{Value, json};

use crate::figures::Figures;

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

fn read(figures: &Figures, name: &str) -> f64 {
    figures.reads[name].as_f64().unwrap_or(f64::NAN)
}

const LINES: &[Line] = &[
    line("initial sync, wall", "s", |f| f.sync_wall_s),
    line("initial sync, wall / floor", "", |f| {
        f.sync_wall_s / f.floor_wall_s
    }),
    line("initial sync, client CPU", "s", |f| f.sync_cpu_s),
    line("initial sync, server CPU", "s", |f| f.sync_server_cpu_s),
    line("peak RSS", "MB", |f| f.peak_rss_bytes as f64 / MEGABYTE),
    line("peak RSS / wire bytes", "", |f| {
        f.peak_rss_bytes as f64 / f.wire_bytes as f64
    }),
    line("settled RSS", "MB", |f| {
        f.settled_rss_bytes as f64 / MEGABYTE
    }),
    line("1-row transactions, rate", "rows/s", |f| {
        f.single.rows_per_s
    }),
    line("1-row transactions, client CPU", "us/row", |f| {
        f.single.client_cpu_us_per_row
    }),
    line("1-row transactions, server CPU", "us/row", |f| {
        f.single.server_cpu_us_per_row
    }),
    line("1-row transactions, commit p50", "us", |f| {
        f.single.commit_p50_us
    }),
    line("1-row transactions, change p50", "us", |f| {
        f.single.latency_p50_us
    }),
    line("1-row transactions, change p99", "us", |f| {
        f.single.latency_p99_us
    }),
    line("100-row transactions, rate", "rows/s", |f| {
        f.batch.rows_per_s
    }),
    line("100-row transactions, client CPU", "us/row", |f| {
        f.batch.client_cpu_us_per_row
    }),
    line("100-row transactions, server CPU", "us/row", |f| {
        f.batch.server_cpu_us_per_row
    }),
    line("100-row transactions, commit p50", "us", |f| {
        f.batch.commit_p50_us
    }),
    line("100-row transactions, change p50", "us", |f| {
        f.batch.latency_p50_us
    }),
    line("100-row transactions, change p99", "us", |f| {
        f.batch.latency_p99_us
    }),
    line("look-up by uuid", "ns", |f| read(f, "by_uuid_ns")),
    line("look-up by index", "ns", |f| read(f, "by_index_ns")),
    line("scan of all ports", "us", |f| read(f, "scan_us")),
    line("snapshot", "ns", |f| read(f, "snapshot_ns")),
];

/// The clients in the order of their first run.
fn clients(all: &[Figures]) -> Vec<&'static str> {
    let mut clients = Vec::new();
    for figures in all {
        if !clients.contains(&figures.client) {
            clients.push(figures.client);
        }
    }
    clients
}

fn value(all: &[Figures], client: &str, line: &Line) -> f64 {
    let own = all.iter().filter(|figures| figures.client == client);
    median(own.map(line.value))
}

/// The pairs of clients whose ratios are printed: the first client with each of the others.
fn pairs(clients: &[&'static str]) -> Vec<(&'static str, &'static str)> {
    let (first, others) = match clients {
        [first, others @ ..] => (*first, others),
        [] => return Vec::new(),
    };
    others.iter().map(|other| (first, *other)).collect()
}

/// The ratios of each pair as an object.
pub(crate) fn ratios(all: &[Figures]) -> Vec<Value> {
    let ratios_of = |(one, other)| {
        let mut object = json!({ "ratio": format!("{one} / {other}") });
        for line in LINES {
            let ratio = value(all, one, line) / value(all, other, line);
            if ratio.is_finite() {
                object[line.name] = json!(ratio);
            }
        }
        object
    };
    pairs(&clients(all)).into_iter().map(ratios_of).collect()
}

/// Prints the table.
pub(crate) fn print(all: &[Figures]) {
    let Some(first) = all.first() else { return };
    let clients = clients(all);
    let pairs = pairs(&clients);
    println!(
        "{} ports, {} bytes of initial reply, floor {:.2} s; medians of {} runs\n",
        first.rows,
        first.wire_bytes,
        median(all.iter().map(|figures| figures.floor_wall_s)),
        all.iter()
            .map(|figures| figures.run)
            .max()
            .unwrap_or_default(),
    );
    let mut header = "| figure | unit |".to_owned();
    for client in &clients {
        header += &format!(" {client} |");
    }
    for (one, other) in &pairs {
        header += &format!(" {one} / {other} |");
    }
    println!(
        "{header}\n|{}",
        "---|".repeat(2 + clients.len() + pairs.len())
    );
    for line in LINES {
        let mut text = format!("| {} | {} |", line.name, line.unit);
        for client in &clients {
            text += &format!(" {} |", number(value(all, client, line)));
        }
        for (one, other) in &pairs {
            let ratio = value(all, one, line) / value(all, other, line);
            text += &format!(" {} |", number(ratio));
        }
        println!("{text}");
    }
}
