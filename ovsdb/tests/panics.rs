//! A panic because of a mistake in the program points at the program's own line.

mod support;

use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Mutex;

use ovsdb::cache::{Index, OrderedIndex};
use ovsdb::value::Ref;
use ovsdb::{Map, Reconciler};
use support::inventory::{Item, Part};
use support::{connect, inventory_server};

static LAST: Mutex<Option<(String, u32)>> = Mutex::new(None);

/// Checks that `mistake` panics, and that the panic points at the caller's line.
#[track_caller]
fn blames_its_line<R>(what: &str, mistake: impl FnOnce() -> R) {
    let line = Location::caller().line();
    let ended = catch_unwind(AssertUnwindSafe(|| drop(mistake())));
    ended.expect_err(what);
    let last = LAST.lock().expect("no panic").take();
    assert_eq!(last, Some((file!().to_owned(), line)), "{what}");
}

#[tokio::test]
async fn the_callers_line_is_named() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|at| (at.file().to_owned(), at.line()));
        if let Ok(mut last) = LAST.lock() {
            *last = place;
        }
        #[expect(clippy::print_stderr, reason = "as the standard hook does")]
        {
            eprintln!("{info}");
        }
    }));
    let server = inventory_server();
    let client = connect::<support::inventory::Database>(&server).await;
    let cache = client.cache().table::<Item>().start().await;
    let cache = cache.expect("a cache");
    let view = cache.snapshot();
    let items = view.table::<Item>();
    let batch = cache.all_changes().next().await.expect("the start");
    let part = Ref::<Part>::new(ovsdb::Uuid::nil());
    let index = Index::column(Item::NAME);
    let label = Index::column(Part::LABEL);
    let ordered = OrderedIndex::column(Item::TOTAL);
    let map = Map::<i64, i64>::default();

    blames_its_line("table", || view.table::<Part>());
    blames_its_line("get", || view.get(part));
    blames_its_line("get_by", || view.get_by(&label, "x"));
    blames_its_line("get_by without the index", || view.get_by(&index, "x"));
    blames_its_line("scan_by", || view.scan_by(Part::LABEL, "x").count());
    blames_its_line("referrers", || view.referrers::<Item>(part).len());
    blames_its_line("rows", || view.rows::<Part>().len());
    blames_its_line("find", || view.find(&index, "x").len());
    blames_its_line("range", || view.range(&ordered, 1..2).len());
    blames_its_line("get_by of a table", || items.get_by(&index, "x"));
    blames_its_line("find of a table", || items.find(&index, "x").len());
    blames_its_line("range of a table", || items.range(&ordered, 1..2).len());
    blames_its_line("changes", || cache.changes::<Part>());
    blames_its_line("set_condition", || cache.set_condition(Part::LABEL.eq("x")));
    blames_its_line("a batch's table", || batch.table::<Part>());
    blames_its_line("a map's key", || map[&1]);
    let reconciler = || Reconciler::<_, i32>::new(&client, &cache);
    blames_its_line("watch", || reconciler().watch::<Part>(|_| 1));
    let new = || Reconciler::new(&client, &cache);
    blames_its_line("watch_index", || new().watch_index(&label));
    let reconciler = reconciler();
    let outside = std::thread::spawn(move || {
        blames_its_line("run", || reconciler.run(1, |_, _, _| Ok(())));
    });
    outside.join().expect("the line is named");
}
