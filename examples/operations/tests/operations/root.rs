//! Rows of the root set: address sets, whose names are an index of the schema.

use operations::{address_set, rows};
use ovsdb::nb::AddressSet;

use crate::setting;

const NAME: &str = "test";

fn empty(txn: &mut operations::Transaction) {
    address_set::ensure(txn, NAME, |_| {});
}

#[tokio::test]
async fn a_row_that_does_not_exist_is_created_by_a_condition() {
    let setting = setting(|_| {}).await;
    let named = || AddressSet::NAME.eq(NAME);
    let create = setting.edit(|txn| txn.ensure_where(named(), |set| set.name = NAME.into()));
    let created = create.await;
    let row = setting.only::<AddressSet>();
    assert_eq!((&*row.name, row.reference()), (NAME, created));
}

#[tokio::test]
async fn a_row_that_does_not_exist_is_created_by_its_key() {
    let setting = setting(|_| {}).await;
    let created = setting.edit(|txn| address_set::ensure(txn, NAME, |_| {}));
    let created = created.await;
    let row = setting.only::<AddressSet>();
    assert_eq!((&*row.name, row.reference()), (NAME, created));
}

#[tokio::test]
async fn a_row_that_exists_is_updated_by_a_condition() {
    let setting = setting(empty).await;
    let before = setting.only::<AddressSet>();
    let named = || AddressSet::NAME.eq(NAME);
    let updated =
        setting.edit(|txn| txn.ensure_where(named(), |set| set.addresses = ["10.0.0.1"].into()));
    assert_eq!(updated.await, before.reference());
    let row = setting.only::<AddressSet>();
    assert_eq!(
        (row.uuid(), &*row.addresses),
        (before.uuid(), &["10.0.0.1".into()][..])
    );
}

#[tokio::test]
async fn a_row_that_exists_is_updated_by_its_key() {
    let setting = setting(empty).await;
    let before = setting.only::<AddressSet>();
    let update = |set: &mut AddressSet| set.addresses = ["10.0.0.1"].into();
    let updated = setting
        .edit(|txn| address_set::ensure(txn, NAME, update))
        .await;
    assert_eq!(
        updated,
        before.reference(),
        "the uuid of the row that exists"
    );
    let row = setting.only::<AddressSet>();
    assert_eq!(
        (row.uuid(), &*row.addresses),
        (before.uuid(), &["10.0.0.1".into()][..])
    );
    setting
        .unchanged(|txn| Ok(address_set::ensure(txn, NAME, update)))
        .await;
}

#[tokio::test]
async fn a_row_that_does_not_exist_is_created_with_what_an_update_would_set() {
    let setting = setting(|_| {}).await;
    let update = |set: &mut AddressSet| set.addresses = ["10.0.0.1"].into();
    setting
        .edit(|txn| address_set::ensure(txn, NAME, update))
        .await;
    assert_eq!(setting.only::<AddressSet>().addresses, ["10.0.0.1"].into());
}

#[tokio::test]
async fn a_delete_that_matches_no_row_writes_nothing() {
    let setting = setting(|_| {}).await;
    let by_predicate = |txn: &mut _| {
        rows::delete(txn, |set: &ovsdb::Row<AddressSet>| set.name == NAME);
        Ok(())
    };
    setting.unchanged(by_predicate).await;
    setting
        .unchanged(|txn| address_set::delete(txn, &[NAME]))
        .await;
}

#[tokio::test]
async fn a_row_is_deleted_by_a_predicate() {
    let setting = setting(empty).await;
    setting
        .edit(|txn| rows::delete(txn, |set: &ovsdb::Row<AddressSet>| set.name == NAME))
        .await;
    assert!(setting.rows::<AddressSet>().is_empty());
}

#[tokio::test]
async fn a_row_is_deleted_by_its_key() {
    let setting = setting(empty).await;
    setting
        .apply(|txn| address_set::delete(txn, &[NAME, "none"]))
        .await
        .unwrap();
    assert!(setting.rows::<AddressSet>().is_empty());
}

#[tokio::test]
async fn a_row_that_exists_is_not_changed_by_create() {
    let fill = |set: &mut AddressSet| set.addresses = ["10.0.0.1"].into();
    let setting = setting(empty).await;
    let before = setting.only::<AddressSet>();
    let found = setting
        .unchanged(|txn| address_set::create(txn, NAME, fill))
        .await;
    assert_eq!(found, before.reference());
    setting
        .apply(|txn| address_set::create(txn, "other", fill))
        .await
        .unwrap();
    assert_eq!(setting.only_named("other").addresses, ["10.0.0.1"].into());
}

#[tokio::test]
async fn addresses_are_set_added_and_removed_and_those_of_others_stay() {
    let setting = setting(empty).await;
    setting
        .apply(|txn| address_set::set_addresses(txn, NAME, &["a", "b"]))
        .await
        .unwrap();
    let both = setting.apply(|txn| {
        address_set::add_addresses(txn, NAME, &["b", "c"])?;
        address_set::remove_addresses(txn, NAME, &["a", "z"])
    });
    both.await.unwrap();
    assert_eq!(setting.only::<AddressSet>().addresses, ["b", "c"].into());
    setting
        .unchanged(|txn| address_set::add_addresses(txn, NAME, &["b"]))
        .await;
    setting
        .not_found(|txn| address_set::set_addresses(txn, "none", &["a"]))
        .await;
    setting
        .not_found(|txn| address_set::add_addresses(txn, "none", &["a"]))
        .await;
    setting
        .not_found(|txn| address_set::remove_addresses(txn, "none", &["a"]))
        .await;
}

impl crate::Setting {
    fn only_named(&self, name: &str) -> ovsdb::Row<AddressSet> {
        self.view().get_by(AddressSet::NAME, name).unwrap().clone()
    }
}
