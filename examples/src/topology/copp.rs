//! The rows that all routers share: control plane protection (Copp), its meters, and the meters' common
//! band.

use ovsdb::nb::{Copp, Desired, Meter, MeterBand, MeterBandAction, MeterUnit};
use ovsdb::{Ref, Row, Set};

use super::Draft;
use crate::database::View;

/// The name of the Copp.
const NAME: &str = "ovnkube-default";

/// The metered protocols.
const PROTOCOLS: [&str; 8] = [
    "arp",
    "arp-resolve",
    "bfd",
    "event-elb",
    "icmp4-error",
    "icmp6-error",
    "reject",
    "tcp-reset",
];

/// How many packets a second may pass.
const RATE: i64 = 25;

/// Adds the Copp to the plan, in one step.
pub(super) fn add(draft: &mut Draft<'_>) -> Ref<Copp> {
    let (desired, view) = (&mut draft.desired, &draft.view);
    desired.begin("the control plane protection of all routers");
    // OVN-Kubernetes once left rows without a name in the database.
    for nameless in view.rows::<Copp>().filter(|copp| copp.name.is_empty()) {
        desired.unwanted(nameless);
    }
    let names = PROTOCOLS.map(|protocol| (protocol, format!("{protocol}-rate-limiter")));
    let meters = names.iter().map(|(_, name)| name.as_str());
    let bands = [band(desired, view, meters, RATE)].into();
    for (_, name) in &names {
        meter(desired, name, &bands);
    }
    let copp = desired.row(Copp::NAME, NAME).set(Copp::METERS, names);
    copp.reference()
}

/// Adds a meter of packets to the desired rows.
pub(super) fn meter(desired: &mut Desired, name: &str, bands: &Set<Ref<MeterBand>>) {
    desired
        .row(Meter::NAME, name)
        .set(Meter::UNIT, MeterUnit::Pktps)
        .set(Meter::FAIR, Some(true))
        .set(Meter::BANDS, bands.clone());
}

/// A band with this rate: the one that meters with these names have already, or a new one.
pub(super) fn band<'a>(
    desired: &mut Desired,
    view: &View,
    meters: impl Iterator<Item = &'a str>,
    rate: i64,
) -> Ref<MeterBand> {
    let meters = meters.filter_map(|name| view.get_by(Meter::NAME, name));
    let mut bands = view.get_all(meters.flat_map(|meter| meter.bands.iter()));
    let fits = |band: &&Row<MeterBand>| {
        band.action == MeterBandAction::Drop && band.rate == rate && band.burst_size == 0
    };
    if let Some(band) = bands.find(fits) {
        return band.reference();
    }
    let band = desired.new_row::<MeterBand>().set(MeterBand::RATE, rate);
    band.set(MeterBand::ACTION, MeterBandAction::Drop)
        .reference()
}
