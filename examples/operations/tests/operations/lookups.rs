//! Look-ups that find no row, one and several.

use operations::{SWITCHES, nb_global, rows, switch};
use ovsdb::nb::{
    AddressSet, LogicalSwitch, Meter, MeterBand, MeterBandAction, MeterUnit, NbGlobal,
};
use ovsdb::transaction::BuildError;
use ovsdb::{CommitError, ErrorChain, Ref, Row, Uuid};

use crate::{setting, sorted};

fn two(txn: &mut operations::Transaction) {
    for name in ["a", "b"] {
        txn.insert(AddressSet {
            name: name.into(),
            ..Default::default()
        });
    }
}

#[tokio::test]
async fn one_row_is_found_by_its_key() {
    let setting = setting(two).await;
    let found = setting
        .unchanged(|txn| txn.one(AddressSet::NAME, "a"))
        .await;
    assert_eq!(setting.view().get(found).unwrap().name, "a");
}

#[tokio::test]
async fn one_row_is_found_by_its_uuid() {
    let setting = setting(two).await;
    let row = setting.rows::<AddressSet>().remove(0);
    let found = setting.unchanged(|txn| Ok(txn.get(row.reference()))).await;
    assert_eq!(*found.unwrap(), row);
    let missing = Ref::<AddressSet>::new(Uuid::from_u128(7));
    assert!(
        setting
            .unchanged(|txn| Ok(txn.get(missing)))
            .await
            .is_none()
    );
}

#[tokio::test]
async fn a_missing_row_is_an_error_unless_it_is_optional() {
    let setting = setting(two).await;
    setting
        .not_found(|txn| txn.one(AddressSet::NAME, "c"))
        .await;
    let found = setting.unchanged(|txn| rows::optional(txn.one(AddressSet::NAME, "c")));
    assert_eq!(found.await, None);
    let found = setting.unchanged(|txn| rows::optional(txn.one(AddressSet::NAME, "a")));
    assert!(found.await.is_some());
    let error = setting
        .apply(|txn| txn.one(&*SWITCHES, "sw0"))
        .await
        .unwrap_err();
    assert_eq!(
        ErrorChain::new(&error).to_string(),
        "the transaction cannot be sent: expected one row of Logical_Switch with name == sw0, found none"
    );
}

#[tokio::test]
async fn a_predicate_finds_no_row_one_and_several() {
    let setting = setting(two).await;
    let find = async |is_meant: fn(&Row<AddressSet>) -> bool| {
        let found = setting.unchanged(|txn| Ok(rows::find(txn, is_meant))).await;
        let view = setting.view();
        sorted(
            found
                .into_iter()
                .map(|row| view.get(row).unwrap().name.to_string()),
        )
    };
    assert!(find(|_| false).await.is_empty());
    assert_eq!(find(|set| set.name == "a").await, ["a"]);
    assert_eq!(find(|_| true).await, ["a", "b"]);
}

#[tokio::test]
async fn a_predicate_shows_what_the_transaction_has_written() {
    let setting = setting(two).await;
    setting
        .edit(|txn| {
            let b = txn.one(AddressSet::NAME, "b").unwrap();
            txn.delete(b);
            let a = txn.one(AddressSet::NAME, "a").unwrap();
            txn.edit(a, |a| a.addresses = ["10.0.0.1"].into());
            let c = txn.insert(AddressSet {
                name: "c".into(),
                ..Default::default()
            });
            let found = rows::find(txn, |_: &Row<AddressSet>| true);
            assert_eq!(sorted(found), sorted([a, c]));
            let found = rows::find(txn, |set: &Row<AddressSet>| !set.addresses.is_empty());
            assert_eq!(found, [a]);
        })
        .await;
}

#[tokio::test]
async fn several_rows_are_an_error_where_one_is_expected() {
    // The schema allows several switches with the same name.
    let setting = setting(|txn| {
        for _ in 0..2 {
            txn.insert(LogicalSwitch {
                name: "sw0".into(),
                ..Default::default()
            });
        }
    });
    let setting = setting.await;
    let several = |error: CommitError| {
        let CommitError::Build(BuildError::Several { table, key, count }) = error else {
            panic!("{error:?}");
        };
        assert_eq!((table, &*key, count), ("Logical_Switch", "name == sw0", 2));
    };
    several(
        setting
            .apply(|txn| txn.one(&*SWITCHES, "sw0"))
            .await
            .unwrap_err(),
    );
    several(
        setting
            .apply(|txn| switch::delete(txn, "sw0"))
            .await
            .unwrap_err(),
    );
    let set = |txn: &mut _| switch::set_other_config(txn, "sw0", &[("subnet", "10.0.0.0/24")]);
    several(setting.apply(set).await.unwrap_err());
    // They can still be changed and deleted together.
    let is_meant = |switch: &Row<LogicalSwitch>| switch.name == "sw0";
    setting
        .edit(|txn| rows::edit(txn, is_meant, |switch| switch.name = "sw1".into()))
        .await;
    assert!(
        setting
            .rows::<LogicalSwitch>()
            .iter()
            .all(|switch| switch.name == "sw1")
    );
    setting
        .edit(|txn| rows::delete(txn, |_: &Row<LogicalSwitch>| true))
        .await;
    assert!(setting.rows::<LogicalSwitch>().is_empty());
}

#[tokio::test]
async fn ensure_always_edits_the_same_of_several_equal_rows() {
    let band = || MeterBand {
        action: MeterBandAction::Drop,
        rate: 100,
        ..Default::default()
    };
    let setting = setting(|txn| {
        let bands: Vec<_> = (0..3).map(|_| txn.insert(band())).collect();
        txn.insert(Meter {
            name: "m".into(),
            unit: MeterUnit::Pktps,
            bands: bands.into(),
            ..Default::default()
        });
    });
    let setting = setting.await;
    let first = setting.rows::<MeterBand>()[0].reference();
    let ensure = |txn: &mut operations::Transaction| {
        Ok(txn.ensure_where(MeterBand::RATE.eq(100), |band| band.rate = 100))
    };
    assert_eq!(setting.unchanged(ensure).await, first, "the smallest uuid");
    // The meter then refers to this band only, and the server deletes the others.
    setting
        .edit(|txn| {
            let band = ensure(txn).unwrap();
            txn.ensure(Meter::NAME, "m", |meter| meter.bands = [band].into());
        })
        .await;
    assert_eq!(setting.only::<MeterBand>().reference(), first);
}

#[tokio::test]
async fn the_row_of_nb_global_is_changed_where_it_exists() {
    let setting = setting(|_| {}).await;
    setting
        .not_found(|txn| nb_global::set_options(txn, &[("a", "1")]))
        .await;
    setting
        .edit(|txn| {
            let options = [("a", "1"), ("b", "2")].into();
            txn.insert(NbGlobal {
                options,
                ..Default::default()
            });
        })
        .await;
    let set = |txn: &mut _| nb_global::set_options(txn, &[("a", ""), ("b", "3"), ("c", "4")]);
    setting.apply(set).await.unwrap();
    assert_eq!(
        setting.only::<NbGlobal>().options,
        [("b", "3"), ("c", "4")].into()
    );
    setting.unchanged(set).await;
}
