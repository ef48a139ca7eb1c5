//! Desired state: what a plan changes, what it never touches, and that `converge` ends.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use ovsdb::cache::Index;
use ovsdb::desired::{Action, Conflict, ConvergeError};
use ovsdb::protocol::{Json, Wire};
use ovsdb::testing::Server;
use ovsdb::{Cache, Client, CommitError, Desired, Retry, Str};
use support::inventory::{Database, Item, ItemOnly, Part, Slot};
use support::scale::size;
use support::seed::Seed;
use support::{connect, inventory_server, item};

struct Setting {
    _server: Server,
    client: Client<Database>,
    other: Client<Database>,
    cache: Cache<Database>,
    by_label: Index<Part, Str>,
}

async fn setting() -> Setting {
    let server = inventory_server();
    let client: Client<Database> = connect(&server).await;
    let other: Client<Database> = connect(&server).await;
    let by_label = Index::column(Part::LABEL);
    let cache = client
        .cache()
        .all_tables()
        .index(&by_label)
        .start()
        .await
        .expect("a cache");
    Setting {
        _server: server,
        client,
        other,
        cache,
        by_label,
    }
}

/// An item of this owner.
fn of(owner: &str, name: &str, total: i64) -> Item {
    Item {
        notes: [("owner", owner)].into(),
        ..item(name, total)
    }
}

fn owned_by(owner: &str) -> Desired<Database> {
    let mut desired = Desired::new();
    desired.owned::<Item>(Item::NOTES.includes([("owner", owner)]));
    desired
}

impl Setting {
    /// Wants an item with parts of these labels.
    fn want(&self, desired: &mut Desired<Database>, name: &str, total: i64, parts: &[&str]) {
        let parts = parts
            .iter()
            .map(|label| desired.row(&self.by_label, *label).reference());
        let parts: Vec<_> = parts.collect();
        desired
            .row(Item::NAME, name)
            .set(Item::TOTAL, total)
            .set(Item::PARTS, parts)
            .initial(Item::ONLY, ItemOnly::Sole)
            .initial(Item::ACTIVE, true)
            .part(Item::NOTES, [("owner", "me")]);
    }

    fn item(&self, name: &str) -> Option<Item> {
        let view = self.cache.snapshot();
        view.get_by(Item::NAME, name)
            .map(|row| row.columns().clone())
    }
}

#[tokio::test]
async fn rows_are_inserted_changed_and_deleted_as_they_are_wanted() {
    let setting = setting().await;
    let mut txn = setting.other.transaction();
    txn.insert(of("them", "theirs", 50));
    txn.commit().await.expect("a commit");

    let mut desired = owned_by("me");
    setting.want(&mut desired, "a", 1, &["x", "y"]);
    setting.want(&mut desired, "b", 2, &["y", "z"]);
    let done = setting
        .client
        .converge(&setting.cache, &desired)
        .await
        .expect("no conflict");
    assert_eq!((done.commits, done.changes), (1, 5));
    let a = setting.item("a").expect("a row");
    assert_eq!((a.total, a.active, a.parts.len()), (1, true, 2));
    let view = setting.cache.snapshot();
    assert_eq!(view.rows::<Part>().len(), 3, "both items share the part y");

    // Nothing is left to do, and nothing is sent.
    let plan = desired.plan(&view).expect("no conflict");
    assert!(plan.is_empty() && plan.to_string().is_empty() && plan.to_json() == "[]");
    let done = setting
        .client
        .converge(&setting.cache, &desired)
        .await
        .expect("no conflict");
    assert_eq!((done.commits, done.changes), (0, 0));

    // Another client adds to a column of which a part is given, and changes three columns: one that is given,
    // one whose initial value is given, and one that is not given.
    let mut txn = setting.other.transaction();
    txn.mutate(Item::NAME.eq("a"))
        .insert(Item::NOTES, [("color", "red")]);
    txn.update(Item::NAME.eq("a"))
        .set(Item::ACTIVE, false)
        .set(Item::WEIGHT, Some(7))
        .set(Item::TOTAL, 9);
    txn.commit().await.expect("a commit");
    let told = setting.cache.wait_until(None, |view| {
        let row = view.get_by(Item::NAME, "a")?;
        (row.total == 9).then_some(())
    });
    told.await.expect("the change");
    setting
        .client
        .converge(&setting.cache, &desired)
        .await
        .expect("no conflict");
    let a = setting.item("a").expect("a row");
    assert_eq!((a.total, a.active, a.weight), (1, false, Some(7)));
    assert_eq!(a.notes, [("owner", "me"), ("color", "red")].into());

    // `a` is deleted, and `c`, which uses its part, is inserted.
    let mut desired = owned_by("me");
    setting.want(&mut desired, "c", 1, &["x"]);
    setting.want(&mut desired, "b", 3, &["z"]);
    let plan = desired
        .plan(&setting.cache.snapshot())
        .expect("no conflict");
    let changes: Vec<_> = plan
        .changes()
        .map(|change| (change.action, &*change.name))
        .collect();
    assert_eq!(
        changes,
        [
            (Action::Delete, "a"),
            (Action::Insert, "c"),
            (Action::Update, "b")
        ]
    );
    setting
        .client
        .converge(&setting.cache, &desired)
        .await
        .expect("no conflict");
    let view = setting.cache.snapshot();
    let names: BTreeSet<_> = view
        .rows::<Item>()
        .map(|row| row.name.to_string())
        .collect();
    assert_eq!(names, ["b", "c", "theirs"].map(str::to_owned).into());
    let labels: BTreeSet<_> = view
        .rows::<Part>()
        .map(|row| row.label.to_string())
        .collect();
    assert_eq!(labels, ["x", "z"].map(str::to_owned).into());
}

#[tokio::test]
async fn references_to_deleted_rows_are_removed() {
    let setting = setting().await;
    let mut desired = owned_by("me");
    desired.owned::<Part>(Part::LABEL.ne("kept"));
    let kept = desired.row(&setting.by_label, "kept").reference();
    let gone = desired.row(&setting.by_label, "gone").reference();
    let a = desired
        .row(Item::NAME, "a")
        .set(Item::ONLY, ItemOnly::Sole)
        .set(Item::TOTAL, 1);
    let a = a.part(Item::NOTES, [("owner", "me")]);
    a.part(Item::PARTS, [kept, gone])
        .set(Item::FAVOURITE, Some(gone));
    // A part with the label "kept" would not meet the condition for owned rows.
    let conflict = desired
        .plan(&setting.cache.snapshot())
        .expect_err("not owned");
    assert!(
        matches!(&conflict, Conflict::NotOwned { table: "Part", wanted, .. } if wanted == "label == kept")
    );
    desired.owned::<Part>(Part::LABEL.ne("nothing"));
    setting
        .client
        .converge(&setting.cache, &desired)
        .await
        .expect("no conflict");
    assert_eq!(setting.item("a").expect("a row").parts.len(), 2);

    let mut desired = owned_by("me");
    desired.owned::<Part>(Part::LABEL.ne("nothing"));
    desired.begin("the item");
    let kept = desired.row(&setting.by_label, "kept").reference();
    desired
        .row(Item::NAME, "a")
        .part(Item::PARTS, [kept])
        .set(Item::TOTAL, 2);
    let steps = desired
        .plan(&setting.cache.snapshot())
        .expect("no conflict")
        .into_steps();
    let titles: Vec<_> = steps.iter().map(|step| step.title().to_owned()).collect();
    assert_eq!(titles, ["", "the item"]);
    for step in steps {
        step.commit(&setting.client).await.expect("a commit");
    }
    let a = setting.item("a").expect("a row");
    assert_eq!((a.parts.len(), a.favourite, a.total), (1, None, 2));
    assert!(
        desired
            .plan(&setting.cache.snapshot())
            .expect("no conflict")
            .is_empty()
    );
}

#[tokio::test]
async fn the_owners_part_of_a_column_is_kept_as_it_is_wanted() {
    let setting = setting().await;
    let mut txn = setting.other.transaction();
    txn.insert(Item {
        tags: ["me:old", "them:1"].into(),
        notes: [
            ("owner", "me"),
            ("me:old", "1"),
            ("me:kept", "1"),
            ("them", "1"),
        ]
        .into(),
        ..item("a", 1)
    });
    txn.commit().await.expect("a commit");
    setting
        .cache
        .wait_until(None, |view| view.rows::<Item>().next().map(drop))
        .await
        .expect("a row");
    let mut desired = owned_by("me");
    let mine = |key: &Str| key.starts_with("me:");
    desired
        .row(Item::NAME, "a")
        .part_of(Item::TAGS, mine, ["me:new"])
        .part_of(Item::NOTES, mine, [("me:kept", "2"), ("me:new", "1")]);
    let plan = desired
        .plan(&setting.cache.snapshot())
        .expect("no conflict");
    assert_eq!(
        plan.to_string(),
        "~ Item a\n    notes: + me:kept=2\n    notes: + me:new=1\n    notes: - me:kept=1\n    notes: - me:old=1\n    \
         tags: + me:new\n    tags: - me:old\n"
    );
    let expected = [
        r#""action":"update","table":"Item","#,
        r#""row":"a","columns":[{"column":"notes","added":["me:kept=2","me:new=1"],"removed":["me:kept=1","me:old=1"]}"#,
        r#"{"column":"tags","added":["me:new"],"removed":["me:old"]}]}]}]"#,
    ];
    let json = plan.to_json();
    Json::from_json(&json).expect("JSON");
    assert!(expected.iter().all(|part| json.contains(part)), "{json}");
    plan.commit(&setting.client).await.expect("a commit");
    let a = setting.item("a").expect("a row");
    assert_eq!(a.tags, ["me:new", "them:1"].into());
    let notes = [
        ("owner", "me"),
        ("me:kept", "2"),
        ("me:new", "1"),
        ("them", "1"),
    ];
    assert_eq!(a.notes, notes.into());
}

#[tokio::test]
async fn what_is_impossible_is_a_conflict_that_names_both_rows() {
    let setting = setting().await;
    let mut txn = setting.other.transaction();
    txn.insert(of("them", "theirs", 50));
    txn.insert(of("me", "mine", 51));
    txn.commit().await.expect("a commit");
    setting
        .cache
        .wait_until(None, |view| view.get_by(Item::NAME, "mine").map(drop))
        .await
        .expect("rows");
    let view = setting.cache.snapshot();

    let mut desired = owned_by("me");
    setting.want(&mut desired, "theirs", 1, &[]);
    let conflict = desired.plan(&view).expect_err("theirs");
    let text = conflict.to_string();
    assert!(
        text.starts_with("Item theirs is wanted, but the existing row "),
        "{text}"
    );
    assert!(
        text.ends_with(r#"belongs to another owner: notes: ["map",[["owner","them"]]]"#),
        "{text}"
    );

    let mut desired = owned_by("me");
    desired.row(Item::NAME, "nobody's").set(Item::TOTAL, 1);
    let text = desired.plan(&view).expect_err("no owner").to_string();
    assert!(
        text.starts_with(
            "Item nobody's is wanted, but does not meet the condition for owned rows: "
        ),
        "{text}"
    );

    let mut desired = owned_by("me");
    desired
        .row(Item::NAME, "mine")
        .part(Item::NOTES, [("owner", "me")]);
    desired
        .row_where(Item::TOTAL.eq(51))
        .part(Item::NOTES, [("owner", "me")]);
    let conflict = desired.plan(&view).expect_err("one row");
    assert!(
        matches!(conflict, Conflict::SameRow { table: "Item", .. }),
        "{conflict}"
    );

    let undeclared = Index::<Part, Str>::column(Part::LABEL);
    let mut desired = owned_by("me");
    desired.row(&undeclared, "x");
    let conflict = desired.plan(&view).expect_err("no index");
    assert!(
        matches!(conflict, Conflict::NoIndex { table: "Part", .. }),
        "{conflict}"
    );

    let parts = setting
        .client
        .cache()
        .table::<Part>()
        .start()
        .await
        .expect("a cache");
    let conflict = owned_by("me")
        .plan(&parts.snapshot())
        .expect_err("no table");
    assert_eq!(conflict, Conflict::NotReplicated { table: "Item" });
    let error = setting
        .client
        .converge(&parts, &owned_by("me"))
        .await
        .expect_err("no table");
    assert!(
        matches!(
            error,
            ConvergeError::Conflict(Conflict::NotReplicated { .. })
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_plan_is_committed_under_guards() {
    let setting = setting().await;
    let mut txn = setting.other.transaction();
    let old = txn.insert(of("me", "old", 1));
    txn.insert(of("me", "a", 2));
    txn.commit().await.expect("a commit");
    setting
        .cache
        .wait_until(None, |view| view.get(old).map(drop))
        .await
        .expect("a row");
    let view = setting.cache.snapshot();
    let mut desired = owned_by("me");
    setting.want(&mut desired, "a", 5, &[]);
    desired.row_where(Slot::NUMBER.eq(3)).set(Slot::NUMBER, 3);
    // Meanwhile another client gives the row to be deleted another owner, changes the value to be
    // replaced, or inserts the row to be inserted.
    type Theirs = fn(&mut ovsdb::Transaction<Database>);
    let theirs: [Theirs; 3] = [
        |txn| {
            drop(
                txn.mutate(Item::NAME.eq("old"))
                    .set_keys(Item::NOTES, [("owner", "them")]),
            );
        },
        |txn| drop(txn.update(Item::NAME.eq("a")).set(Item::TOTAL, 4)),
        |txn| drop(txn.insert(Slot { number: 3 }).to_string()),
    ];
    for (number, theirs) in theirs.into_iter().enumerate() {
        let plan = desired.plan(&view).expect("no conflict");
        let mut txn = setting.other.transaction();
        theirs(&mut txn);
        txn.commit().await.expect("a commit");
        let error = plan.commit(&setting.client).await.expect_err("outdated");
        let CommitError::Refused(refusal) = &error else {
            panic!("{number}: {error}")
        };
        assert!(
            refusal.is_conflict() && error.retry() == Retry::Again,
            "{number}: {error}"
        );
    }
    setting
        .client
        .converge(&setting.cache, &desired)
        .await
        .expect("no conflict");
    assert_eq!(setting.item("a").expect("a row").total, 5);
    assert!(setting.item("old").is_some(), "it is theirs now");
    assert_eq!(setting.cache.snapshot().rows::<Slot>().len(), 1);
}

#[tokio::test]
async fn desired_rows_that_the_server_keeps_undoing_are_an_error() {
    let setting = setting().await;
    let mut desired = owned_by("me");
    setting.want(&mut desired, "a", 1, &[]);
    // In each commit, the server removes the weak reference, since no such row exists.
    let nothing = ovsdb::Ref::new(ovsdb::Uuid::from_u128(1));
    desired
        .row(Item::NAME, "a")
        .set(Item::FAVOURITE, Some(nothing));
    let error = setting
        .client
        .converge(&setting.cache, &desired)
        .await
        .expect_err("the rows never are as wanted");
    assert!(
        matches!(error, ConvergeError::NotConverged { rounds: 10 }),
        "{error}"
    );
    assert_eq!(setting.item("a").map(|a| a.favourite), Some(None));
}

#[tokio::test]
async fn a_database_that_needs_ten_commits_converges() {
    for tags in [10, 11] {
        let setting = setting().await;
        let mut txn = setting.client.transaction();
        txn.insert(Item {
            tags: (0..tags).map(|tag| format!("tag {tag:02}")).collect(),
            ..item("a", 1)
        });
        txn.commit().await.expect("a commit");
        // Each plan removes the first of the tags.
        let mut desired = Desired::new();
        let cache = setting.cache.clone();
        let is_first = move |tag: &Str| {
            let view = cache.snapshot();
            let a = view.get_by(Item::NAME, "a");
            a.is_some_and(|a| a.tags.iter().next() == Some(tag))
        };
        desired
            .row(Item::NAME, "a")
            .part_of(Item::TAGS, is_first, Vec::<Str>::new());
        let done = setting.client.converge(&setting.cache, &desired).await;
        match done {
            Ok(done) => assert_eq!((done.commits, tags), (10, 10)),
            Err(ConvergeError::NotConverged { rounds }) => assert_eq!((rounds, tags), (10, 11)),
            Err(error) => panic!("{error}"),
        }
        let left = setting.item("a").expect("a row").tags.len();
        assert_eq!(left, tags - 10);
    }
}

#[tokio::test]
async fn any_database_becomes_what_is_wanted_and_nothing_else_changes() {
    let seed = Seed::new();
    let setting = setting().await;
    for _ in 0..size(30, 2_000) {
        let mut random = seed.random();
        // Random changes of the rows of both owners.
        let mut txn = setting.other.transaction();
        txn.delete(Item::TOTAL.lt(random.i64(0..40)));
        txn.commit().await.expect("a commit");
        for _ in 0..random.usize(0..6) {
            let mut txn = setting.other.transaction();
            let name = format!("{}", random.u8(0..12));
            let owner = if random.bool() { "me" } else { "them" };
            let part = txn.insert(Part {
                label: random.u8(0..5).to_string().into(),
            });
            txn.insert(Item {
                parts: [part].into(),
                tags: [random.u8(0..9).to_string()].into(),
                ..of(owner, &name, random.i64(0..1_000_000))
            });
            // The name may exist already.
            let _ = txn.commit().await;
        }
        let before = setting
            .other
            .cache()
            .all_tables()
            .start()
            .await
            .expect("a cache")
            .snapshot();
        let theirs: BTreeMap<_, _> = before
            .rows::<Item>()
            .filter(|row| row.notes["owner"] != "me")
            .map(|row| (row.uuid(), row.clone()))
            .collect();
        let taken: BTreeSet<_> = theirs.values().map(|row| row.name.to_string()).collect();

        let mut desired = owned_by("me");
        let mut wanted: BTreeMap<String, (i64, BTreeSet<String>)> = BTreeMap::new();
        for _ in 0..random.usize(0..8) {
            let name = format!("{}", random.u8(0..12));
            if taken.contains(&name) || wanted.contains_key(&name) {
                continue;
            }
            let labels: BTreeSet<_> = (0..random.u8(0..4))
                .map(|_| random.u8(0..5).to_string())
                .collect();
            let total = random.i64(1_000_000..2_000_000);
            let parts = labels
                .iter()
                .map(|label| desired.row(&setting.by_label, &**label).reference());
            let parts: Vec<_> = parts.collect();
            let row = desired
                .row(Item::NAME, &*name)
                .set(Item::TOTAL, total)
                .set(Item::PARTS, parts);
            row.set(Item::ONLY, ItemOnly::Sole)
                .part(Item::NOTES, [("owner", "me")]);
            wanted.insert(name, (total, labels));
        }
        // There is no conflict: parts have no owner, so a wanted part may be one that an item of the other
        // owner refers to.
        match setting.client.converge(&setting.cache, &desired).await {
            Ok(_) => {}
            Err(error) => panic!("{}", ovsdb::ErrorChain::new(&error)),
        }
        let view = setting.cache.snapshot();
        let (mine, others): (Vec<_>, Vec<_>) = view
            .rows::<Item>()
            .partition(|row| row.notes["owner"] == "me");
        let others: BTreeMap<_, _> = others
            .into_iter()
            .map(|row| (row.uuid(), row.clone()))
            .collect();
        assert_eq!(others, theirs);
        let mine = mine.into_iter().map(|row| {
            let labels = view
                .get_all(&row.parts)
                .map(|part| part.label.to_string())
                .collect();
            (row.name.to_string(), (row.total, labels))
        });
        assert_eq!(mine.collect::<BTreeMap<_, _>>(), wanted);
        let plan = desired.plan(&view).expect("no conflict");
        assert!(plan.is_empty(), "{plan}");
    }
}

#[tokio::test]
async fn what_would_not_be_found_again_or_cannot_be_sent_is_an_error() {
    let setting = setting().await;
    let mut desired = Desired::new();
    desired.row_where(Slot::NUMBER.gt(4)).set(Slot::NUMBER, 3);
    let conflict = desired
        .plan(&setting.cache.snapshot())
        .expect_err("never found");
    assert!(
        matches!(conflict, Conflict::NotFoundAgain { table: "Slot", .. }),
        "{conflict}"
    );
    let mut desired = Desired::new();
    let row = desired.row(Item::NAME, "c").set(Item::ONLY, ItemOnly::Sole);
    row.set(Item::TAGS, ["ok", "a\0b"]);
    let error = setting
        .client
        .converge(&setting.cache, &desired)
        .await
        .expect_err("a NUL");
    assert!(
        matches!(error, ConvergeError::Commit(CommitError::Build(_))),
        "{error}"
    );
    let mut desired = Desired::new();
    let row = desired.row(Item::NAME, "c").set(Item::ONLY, ItemOnly::Sole);
    row.part(Item::NOTES, [("k", "v\0")]);
    let conflict = desired.plan(&setting.cache.snapshot()).expect_err("a NUL");
    assert!(
        matches!(
            conflict,
            Conflict::Value {
                column: "notes",
                ..
            }
        ),
        "{conflict}"
    );
}

#[tokio::test]
async fn a_plan_does_not_change_a_row_that_has_another_owner_by_then() {
    let setting = setting().await;
    let mut txn = setting.other.transaction();
    let a = txn.insert(of("me", "a", 1));
    txn.commit().await.expect("a commit");
    setting
        .cache
        .wait_until(None, |view| view.get(a).map(drop))
        .await
        .expect("a row");
    let mut desired = owned_by("me");
    desired.row(Item::NAME, "a").set(Item::WEIGHT, Some(7));
    let plan = desired
        .plan(&setting.cache.snapshot())
        .expect("no conflict");
    let mut txn = setting.other.transaction();
    txn.mutate(a).set_keys(Item::NOTES, [("owner", "them")]);
    txn.commit().await.expect("a commit");
    let error = plan
        .commit(&setting.client)
        .await
        .expect_err("it is theirs");
    assert_eq!(error.retry(), Retry::Again, "{error}");
}

#[tokio::test]
async fn a_wanted_row_whose_uuid_is_taken_is_inserted_with_another_uuid() {
    let setting = setting().await;
    let mut desired = Desired::new();
    desired.row_where(Slot::NUMBER.eq(5)).set(Slot::NUMBER, 5);
    let row = desired.row(Item::NAME, "c").set(Item::ONLY, ItemOnly::Sole);
    row.set(Item::RATIO, 1.0 / 3.0);
    setting
        .client
        .converge(&setting.cache, &desired)
        .await
        .expect("no conflict");
    let mut txn = setting.other.transaction();
    txn.update(Slot::NUMBER.eq(5)).set(Slot::NUMBER, 6);
    txn.commit().await.expect("a commit");
    let moved = setting.cache.wait_until(None, |view| {
        view.rows::<Slot>().find(|slot| slot.number == 6).map(drop)
    });
    moved.await.expect("it has another number");
    let done = setting
        .client
        .converge(&setting.cache, &desired)
        .await
        .expect("no conflict");
    assert_eq!(done.changes, 1, "the real equals the one that is sent");
    assert_eq!(setting.cache.snapshot().rows::<Slot>().len(), 2);
}

#[tokio::test]
async fn unwanted_rows_are_deleted_in_their_step_even_if_others_own_them() {
    let setting = setting().await;
    let mut desired = Desired::new();
    setting.want(&mut desired, "a", 1, &["x", "y"]);
    setting.want(&mut desired, "b", 2, &["y", "z"]);
    let converged = setting.client.converge(&setting.cache, &desired).await;
    assert_eq!(converged.expect("no conflict").changes, 5);
    let old = {
        let view = setting.cache.snapshot();
        let found = view.find(&setting.by_label, "y").next();
        found.expect("a row").reference()
    };

    // `y` becomes a new row, `z` is deleted without a replacement; `b` is not described here, and only
    // loses its references.
    let wanted = || {
        let mut desired = Desired::new();
        desired.cleaned::<Item>();
        desired.begin("out");
        desired.unwanted(old);
        desired.begin("in");
        let y = desired.row(&setting.by_label, "y").reference();
        desired.row(Item::NAME, "a").part(Item::PARTS, [y]);
        desired.begin("out as well");
        desired.unwanted(Part::LABEL.eq("z"));
        desired
    };
    let view = setting.cache.snapshot();
    let plan = wanted().plan(&view).expect("no conflict");
    let steps = plan.into_steps();
    let shown = steps.iter().map(|step| {
        let changes = step.changes().map(|change| {
            let name = change.table;
            format!("{} {name}", change.action)
        });
        format!(
            "{}: {}",
            step.title(),
            changes.collect::<Vec<_>>().join(", ")
        )
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            "out: delete Part, update Item, update Item",
            "in: update Item, insert Part",
            "out as well: delete Part, update Item",
        ]
    );
    for step in steps {
        step.commit(&setting.client).await.expect("a commit");
    }
    let view = setting.cache.snapshot();
    let y = view.find(&setting.by_label, "y").next().expect("a row");
    assert_ne!(y.reference(), old);
    assert!(
        setting
            .item("a")
            .expect("a row")
            .parts
            .contains(&y.reference())
    );
    assert!(setting.item("b").expect("a row").parts.is_empty());
    assert_eq!(view.rows::<Part>().len(), 2);
    assert!(wanted().plan(&view).expect("no conflict").is_empty());
}

#[tokio::test]
async fn a_row_exists_until_the_step_that_deletes_it() {
    let setting = setting().await;
    for is_whole in [true, false] {
        let mut first = Desired::new();
        setting.want(&mut first, "a", 1, &["x"]);
        let converged = setting.client.converge(&setting.cache, &first).await;
        converged.expect("no conflict");
        let mut desired = Desired::new();
        desired.begin("changed");
        desired.row(Item::NAME, "a").set(Item::TOTAL, 2);
        desired.begin("out").unwanted(Item::NAME.eq("a"));
        let view = setting.cache.snapshot();
        let plan = desired.plan(&view).expect("no conflict");
        assert_eq!(plan.changes().count(), 2, "{plan}");
        if is_whole {
            plan.commit(&setting.client).await.expect("a commit");
        } else {
            for step in plan.into_steps() {
                step.commit(&setting.client).await.expect("a commit");
            }
        }
        assert!(setting.item("a").is_none());
    }
}

#[tokio::test]
async fn a_replaced_row_is_deleted_in_its_step_whatever_refers_to_it() {
    let setting = setting().await;
    let mut first = Desired::new();
    setting.want(&mut first, "a", 1, &["x"]);
    let converged = setting.client.converge(&setting.cache, &first).await;
    converged.expect("no conflict");
    let old = {
        let view = setting.cache.snapshot();
        let found = view.find(&setting.by_label, "x").next();
        found.expect("a row").reference()
    };
    // All parts of `a` are deleted, and it is given another one only later.
    let mut desired = Desired::new();
    desired.begin("again").unwanted(old);
    let x = desired.row(&setting.by_label, "x").reference();
    desired.begin("later");
    desired.row(Item::NAME, "a").set(Item::PARTS, [x]);
    let view = setting.cache.snapshot();
    let steps = desired.plan(&view).expect("no conflict").into_steps();
    let actions = |step: usize| -> Vec<_> {
        let changes = steps[step].changes();
        changes
            .map(|change| (change.table, change.action))
            .collect()
    };
    assert!(actions(0).contains(&("Part", Action::Delete)), "{steps:?}");
    assert!(actions(0).contains(&("Part", Action::Insert)), "{steps:?}");
    assert_eq!(actions(1), [("Item", Action::Update)]);
    let plan = desired.plan(&view).expect("no conflict");
    plan.commit(&setting.client).await.expect("a commit");
    assert_eq!(setting.item("a").expect("a row").parts.len(), 1);
}

#[tokio::test]
async fn all_steps_in_one_transaction_have_the_same_result() {
    let setting = setting().await;
    let mut first = Desired::new();
    setting.want(&mut first, "a", 1, &["x", "y"]);
    let converged = setting.client.converge(&setting.cache, &first).await;
    converged.expect("no conflict");
    let old = {
        let view = setting.cache.snapshot();
        let found = view.find(&setting.by_label, "y").next();
        found.expect("a row").reference()
    };
    let mut desired = Desired::new();
    desired.unwanted(old);
    desired.begin("begun");
    let a = desired.row(Item::NAME, "a");
    a.part(Item::NOTES, [("state", "begun")]);
    let b = desired.row(Item::NAME, "b").set(Item::ONLY, ItemOnly::Sole);
    b.set(Item::TOTAL, 3)
        .part(Item::NOTES, [("state", "begun")]);
    desired.begin("finished");
    let y = desired.row(&setting.by_label, "y").reference();
    for name in ["a", "b"] {
        let row = desired.row(Item::NAME, name).part(Item::PARTS, [y]);
        row.part(Item::NOTES, [("state", "finished")]);
    }
    let view = setting.cache.snapshot();
    let plan = desired.plan(&view).expect("no conflict");
    let states = plan.changes().filter(|change| change.table == "Item");
    assert_eq!(states.count(), 5, "one for each step:\n{plan}");
    plan.commit(&setting.client).await.expect("a commit");
    for name in ["a", "b"] {
        let row = setting.item(name).expect("a row");
        assert_eq!(row.notes.get("state").map(Str::as_str), Some("finished"));
        assert_eq!(row.parts.len(), if name == "a" { 2 } else { 1 });
    }
    let mut txn = setting.other.transaction();
    txn.delete(Item::NAME.eq("b"));
    txn.commit().await.expect("a commit");
    setting
        .cache
        .wait_until(None, |view| {
            view.get_by(Item::NAME, "b").is_none().then_some(())
        })
        .await
        .expect("it is gone");
    let mut desired = Desired::new();
    desired.begin("begun");
    let b = desired.row(Item::NAME, "b").set(Item::ONLY, ItemOnly::Sole);
    b.set(Item::TOTAL, 4);
    desired.begin("finished");
    desired.row(Item::NAME, "b").set(Item::TOTAL, 2);
    for step in desired
        .plan(&setting.cache.snapshot())
        .expect("no conflict")
        .into_steps()
    {
        assert_eq!(step.changes().count(), 1);
        step.commit(&setting.client).await.expect("a commit");
    }
    assert_eq!(setting.item("b").expect("a row").total, 2);
}

#[tokio::test]
async fn a_row_without_a_key_is_inserted_by_each_plan() {
    let setting = setting().await;
    for count in 1..=2 {
        let mut desired = Desired::new();
        let part = desired
            .new_row::<Part>()
            .set(Part::LABEL, "new")
            .reference();
        let parts = desired.row(Item::NAME, "a").set(Item::ONLY, ItemOnly::Sole);
        parts.part(Item::PARTS, [part]);
        let plan = desired
            .plan(&setting.cache.snapshot())
            .expect("no conflict");
        plan.commit(&setting.client).await.expect("a commit");
        assert_eq!(setting.item("a").expect("a row").parts.len(), count);
    }
}
