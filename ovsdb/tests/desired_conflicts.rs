//! Desired state that contradicts itself, and cases that only look like that.

mod support;

use ovsdb::cache::Index;
use ovsdb::desired::{Conflict, WantedRow};
use ovsdb::nb;
use ovsdb::testing::Server;
use ovsdb::{Cache, Client, Desired, Ref, Str};
use support::inventory::{Database, Item, ItemOnly, Part, Slot};
use support::{bundled_server, connect, inventory_server, item};

struct Setting {
    _server: Server,
    client: Client<Database>,
    cache: Cache<Database>,
    by_label: Index<Part, Str>,
    by_favourite: Index<Item, Option<Ref<Part>>>,
    by_number: Index<Slot, i64>,
}

async fn setting() -> Setting {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let (by_label, by_favourite) = (Index::column(Part::LABEL), Index::column(Item::FAVOURITE));
    let by_number = Index::column(Slot::NUMBER);
    let cache = client
        .cache()
        .all_tables()
        .index(&by_label)
        .index(&by_favourite)
        .index(&by_number);
    let cache = cache.start().await.expect("a cache");
    Setting {
        _server: server,
        client,
        cache,
        by_label,
        by_favourite,
        by_number,
    }
}

impl Setting {
    /// An item "a" that has the part "old".
    async fn with_old_part(&self) -> Ref<Part> {
        let mut txn = self.client.transaction();
        let old = txn.insert(Part {
            label: "old".into(),
        });
        txn.insert(Item {
            parts: [old].into(),
            ..item("a", 1)
        });
        txn.commit().await.expect("a commit");
        old
    }

    fn conflict(&self, desired: &Desired<Database>) -> Conflict {
        let plan = desired.plan(&self.cache.snapshot());
        plan.expect_err("a conflict")
    }

    /// Brings the database to this state in one transaction, after which nothing is left to do.
    async fn converge(&self, desired: &Desired<Database>) {
        let done = self.client.converge(&self.cache, desired).await;
        assert_eq!(done.expect("no conflict").commits, 1);
    }

    fn item(&self, name: &str) -> Item {
        let view = self.cache.snapshot();
        let row = view.get_by(Item::NAME, name).expect("a row");
        row.columns().clone()
    }
}

#[tokio::test]
async fn a_reference_to_a_row_that_the_plan_deletes_is_a_conflict() {
    let setting = setting().await;
    let old = setting.with_old_part().await;
    type Give = for<'d> fn(WantedRow<'d, Item>, Ref<Part>) -> WantedRow<'d, Item>;
    let gives: [(Give, &str); 4] = [
        (|a, old| a.set(Item::FAVOURITE, Some(old)), "favourite"),
        (|a, old| a.set(Item::PARTS, [old]), "parts"),
        (|a, old| a.part(Item::PARTS, [old]), "parts"),
        (|a, old| a.part_of(Item::PARTS, |_| true, [old]), "parts"),
    ];
    for (give, expected) in gives {
        let mut desired = Desired::new();
        desired.owned::<Part>(Part::LABEL.ne(""));
        give(desired.row(Item::NAME, "a"), old);
        match setting.conflict(&desired) {
            Conflict::RefersToDeleted {
                wanted,
                column,
                row,
                ..
            } => assert_eq!((&*wanted, column, row), ("a", expected, old.uuid())),
            other => panic!("{other}"),
        }
    }
    // A reference to a row that `unwanted` deletes is left out.
    let mut desired = Desired::new();
    desired.unwanted(old);
    let new = desired.row(&setting.by_label, "new").reference();
    desired.row(Item::NAME, "a").set(Item::PARTS, [old, new]);
    let plan = desired
        .plan(&setting.cache.snapshot())
        .expect("no conflict");
    plan.commit(&setting.client).await.expect("a commit");
    let parts = setting.item("a").parts;
    assert!(parts.len() == 1 && !parts.contains(&old));
    let mut txn = setting.client.transaction();
    txn.delete(Item::NAME.eq("a"));
    txn.commit().await.expect("a commit");
    let old = setting.with_old_part().await;
    // It is not a conflict if the row is wanted, or if the column is a plain uuid.
    let mut desired = Desired::new();
    desired.owned::<Part>(Part::LABEL.ne(""));
    desired.row(&setting.by_label, "old");
    desired.row(Item::NAME, "a").set(Item::FAVOURITE, Some(old));
    setting.converge(&desired).await;
    let mut desired = Desired::new();
    desired.owned::<Part>(Part::LABEL.ne(""));
    let a = desired.row(Item::NAME, "a");
    a.set(Item::SERIAL, Some(old.uuid()));
    setting.converge(&desired).await;
    let a = setting.item("a");
    assert_eq!((a.serial, a.parts.len()), (Some(old.uuid()), 0));
}

#[tokio::test]
async fn wanted_rows_that_would_become_one_are_a_conflict_before_anything_is_committed() {
    let setting = setting().await;
    let by_text = Index::function(|slot: &Slot| [slot.number.to_string()]);
    // Both are new.
    let mut desired = Desired::new();
    desired.row(&setting.by_number, 5);
    desired.row_where(Slot::NUMBER.gt(4)).set(Slot::NUMBER, 5);
    let conflict = setting.conflict(&desired);
    assert!(
        matches!(conflict, Conflict::SameRow { table: "Slot", .. }),
        "{conflict}"
    );
    // One exists and gets the key of the other one.
    let mut txn = setting.client.transaction();
    txn.insert(Slot { number: 9 });
    txn.commit().await.expect("a commit");
    let mut desired = Desired::new();
    desired.row(&setting.by_number, 5);
    desired.row_where(Slot::NUMBER.gt(0)).set(Slot::NUMBER, 5);
    let conflict = setting.conflict(&desired);
    assert!(
        matches!(conflict, Conflict::SameRow { table: "Slot", .. }),
        "{conflict}"
    );
    assert_eq!(setting.cache.snapshot().rows::<Slot>().len(), 1);
    // Several spellings of one key are one wanted row.
    let again = Index::column(Slot::NUMBER);
    let mut desired = Desired::new();
    let five = desired.row(&setting.by_number, 5).reference();
    assert_eq!(desired.row(&again, 5).reference(), five);
    assert_eq!(desired.row_where(Slot::NUMBER.eq(5)).reference(), five);
    let six = desired.row_where(Slot::NUMBER.eq(6)).reference();
    assert_eq!(desired.row(&again, 6).reference(), six);
    let seven = desired.row(&by_text, "7".to_owned()).reference();
    assert_eq!(desired.row(&by_text, "7".to_owned()).reference(), seven);
}

#[tokio::test]
async fn a_row_that_is_wanted_by_its_uuid_is_changed_and_never_inserted() {
    let setting = setting().await;
    let part = setting.with_old_part().await;
    let mut desired = Desired::new();
    let again = desired.row_where(part).set(Part::LABEL, "new").reference();
    desired.row(Item::NAME, "a").set(Item::PARTS, [again]);
    setting.converge(&desired).await;
    let view = setting.cache.snapshot();
    assert_eq!(view.get(part).map(|part| &*part.label), Some("new"));
    assert_eq!(view.table::<Part>().len(), 1);
    // The server deletes the part as garbage, since its item is deleted.
    let mut txn = setting.client.transaction();
    txn.delete(Item::NAME.eq("a"));
    txn.commit().await.expect("a commit");
    let conflict = setting.conflict(&desired);
    let (table, row) = ("Part", part.uuid());
    assert_eq!(conflict, Conflict::NoSuchRow { table, row });
    let shown = format!("Part {row} is wanted by its uuid, but does not exist: ");
    assert!(conflict.to_string().starts_with(&shown), "{conflict}");
}

#[tokio::test]
async fn the_owners_parts_of_a_column_add_up() {
    let setting = setting().await;
    let mine = |tag: &Str| tag.starts_with("my");
    let mut desired = Desired::new();
    desired
        .row(Item::NAME, "c")
        .set(Item::ONLY, ItemOnly::Sole)
        .initial(Item::NOTES, [("first", "1")])
        .part_of(Item::TAGS, mine, ["my-1"])
        .part(Item::NOTES, [("owner", "me")])
        .part_of(Item::TAGS, |tag| tag.starts_with("our"), ["our-1"])
        .part(Item::TAGS, ["my-2"]);
    setting.converge(&desired).await;
    let c = setting.item("c");
    assert_eq!(c.tags, ["my-1", "my-2", "our-1"].into());
    assert_eq!(c.notes, [("first", "1"), ("owner", "me")].into());
    // What belongs to the owner by either function is removed, in one step or in several.
    let mut txn = setting.client.transaction();
    txn.mutate(Item::NAME.eq("c"))
        .insert(Item::TAGS, ["my-old", "our-old", "their"]);
    txn.commit().await.expect("a commit");
    let mut desired = Desired::new();
    desired.begin("one");
    let c = desired.row(Item::NAME, "c");
    c.part_of(Item::TAGS, mine, ["my-1"]);
    desired.begin("two");
    let c = desired.row(Item::NAME, "c");
    c.part_of(Item::TAGS, mine, ["my-3"]).part_of(
        Item::TAGS,
        |tag| tag.starts_with("our"),
        ["our-1"],
    );
    setting.converge(&desired).await;
    assert_eq!(
        setting.item("c").tags,
        ["my-1", "my-3", "our-1", "their"].into()
    );
}

#[tokio::test]
async fn a_key_may_refer_to_a_wanted_row() {
    let setting = setting().await;
    let desired = || {
        let mut desired = Desired::new();
        // The table that is referred to comes after the one with the key.
        desired.owned::<Item>(Item::NOTES.includes([("owner", "me")]));
        let part = desired.row(&setting.by_label, "p").reference();
        desired
            .row(&setting.by_favourite, Some(part))
            .set(Item::NAME, "f")
            .set(Item::ONLY, ItemOnly::Sole)
            .set(Item::PARTS, [part])
            .part(Item::NOTES, [("owner", "me")]);
        let by_condition = desired
            .row_where(Item::FAVOURITE.eq(Some(part)))
            .reference();
        let by_key = desired.row(&setting.by_favourite, Some(part)).reference();
        assert_eq!(by_condition, by_key);
        desired
    };
    setting.converge(&desired()).await;
    let plan = desired().plan(&setting.cache.snapshot());
    assert!(plan.expect("no conflict").is_empty());
}

#[tokio::test]
async fn a_condition_may_refer_to_a_wanted_row() {
    let setting = setting().await;
    let desired = || {
        let mut desired = Desired::new();
        // The table that is referred to comes after the one with the condition.
        desired.owned::<Item>(Item::NOTES.includes([("owner", "me")]));
        let part = desired.row(&setting.by_label, "p").reference();
        desired
            .row_where(Item::FAVOURITE.eq(Some(part)))
            .set(Item::FAVOURITE, Some(part))
            .set(Item::NAME, "f")
            .set(Item::ONLY, ItemOnly::Sole)
            .set(Item::PARTS, [part])
            .part(Item::NOTES, [("owner", "me")]);
        desired
    };
    setting.converge(&desired()).await;
    let view = setting.cache.snapshot();
    let plan = desired().plan(&view).expect("no conflict");
    assert!(plan.is_empty(), "{plan}");

    // The row in a condition for owned or unwanted rows must exist.
    for owned in [false, true] {
        let mut other = desired();
        let part = other.row(&setting.by_label, "p").reference();
        let rows = Item::FAVOURITE.eq(Some(part));
        match owned {
            true => other.owned::<Item>(rows),
            false => other.unwanted::<Item>(rows),
        };
        let conflict = other.plan(&view).expect_err("a conflict");
        assert_eq!(
            conflict.to_string(),
            "the condition of owned or unwanted rows of Item refers to a wanted row: use the reference of an existing row"
        );
    }
}

#[tokio::test]
async fn the_reference_of_a_wanted_row_is_that_row() {
    let setting = setting().await;
    for total in [1, 2] {
        let mut desired = Desired::new();
        let row = desired.row(Item::NAME, "f");
        let item = row.set(Item::ONLY, ItemOnly::Sole).reference();
        let same = desired.row_where(item);
        assert_eq!(same.reference(), item);
        same.set(Item::TOTAL, total);
        setting.converge(&desired).await;
        let view = setting.cache.snapshot();
        let totals: Vec<_> = view.rows::<Item>().map(|item| item.total).collect();
        assert_eq!(totals, [total]);
    }
}

#[tokio::test]
async fn a_column_that_must_not_be_empty_gets_its_rows_in_the_step_that_deletes_the_old_ones() {
    let server = bundled_server("OVN_Northbound");
    let client: nb::Client = connect(&server).await;
    let by_rate = Index::column(nb::MeterBand::RATE);
    let cache = client.cache().all_tables().index(&by_rate).start();
    let cache = cache.await.expect("a cache");
    let desired = |rate: i64| {
        let mut desired = nb::Desired::new();
        let owner = [("owner", "me")];
        desired.owned::<nb::MeterBand>(nb::MeterBand::EXTERNAL_IDS.includes(owner));
        desired.begin("meters");
        let band = desired.row(&by_rate, rate);
        let band = band.set(nb::MeterBand::ACTION, nb::MeterBandAction::Drop);
        let band = band.part(nb::MeterBand::EXTERNAL_IDS, owner).reference();
        let meter = desired.row(nb::Meter::NAME, "m");
        meter
            .initial(nb::Meter::UNIT, nb::MeterUnit::Kbps)
            .set(nb::Meter::BANDS, [band]);
        desired
    };
    let done = client.converge(&cache, &desired(1)).await;
    assert_eq!(done.expect("no conflict").changes, 2);
    let plan = desired(2).plan(&cache.snapshot()).expect("no conflict");
    let mut shown = Vec::new();
    for step in plan.into_steps() {
        shown.push(format!("{}: {}", step.title(), step.changes().count()));
        step.commit(&client).await.expect("a commit");
    }
    assert_eq!(shown, ["meters: 3"], "a delete, an insert and an update");
    let plan = desired(2).plan(&cache.snapshot()).expect("no conflict");
    assert!(plan.is_empty(), "{plan}");
    assert_eq!(cache.snapshot().rows::<nb::MeterBand>().len(), 1);
}

#[tokio::test]
async fn wanted_rows_whose_keys_refer_to_another_wanted_row_can_become_one() {
    let setting = setting().await;
    let old = setting.with_old_part().await;
    let is_same = |desired: &Desired<Database>| {
        let conflict = setting.conflict(desired);
        assert!(
            matches!(conflict, Conflict::SameRow { table: "Item", .. }),
            "{conflict}"
        );
    };
    // "a" gets the key of a new row.
    let mut desired = Desired::new();
    let part = desired.row(&setting.by_label, "old").reference();
    desired
        .row(&setting.by_favourite, Some(part))
        .set(Item::ONLY, ItemOnly::Sole);
    desired
        .row(Item::NAME, "a")
        .set(Item::FAVOURITE, Some(part));
    is_same(&desired);
    // Two keys are equal once the reference is resolved.
    let mut txn = setting.client.transaction();
    txn.update(Item::NAME.eq("a"))
        .set(Item::FAVOURITE, Some(old));
    txn.commit().await.expect("a commit");
    let mut desired = Desired::new();
    let part = desired.row(&setting.by_label, "old").reference();
    desired.row(&setting.by_favourite, Some(part));
    desired.row(&setting.by_favourite, Some(old));
    is_same(&desired);
}
