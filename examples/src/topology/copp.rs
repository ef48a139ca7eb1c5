//! The rows that all routers share: control plane protection (Copp), its meters, and the band
//! that those have in common.

use ovsdb::nb::{Copp, Meter, MeterBand, MeterBandAction, MeterUnit};
use ovsdb::{Map, Ref, Row, Set, Str};

use crate::plan::Plan;

/// The name of the Copp.
const NAME: &str = "ovnkube-default";

/// What is metered.
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

/// Plans the Copp, in one step.
pub(super) fn plan(plan: &mut Plan) -> Ref<Copp> {
    plan.begin("the control plane protection of all routers");
    // OVN-Kubernetes once left such rows behind.
    let view = plan.view().clone();
    for nameless in view.rows::<Copp>().filter(|copp| copp.name.is_empty()) {
        plan.delete(nameless);
    }
    meters(plan);
    let meters: Map<Str, Str> = PROTOCOLS.map(|p| (p, meter_name(p))).into();
    match plan.find(Copp::NAME, NAME) {
        Some(copp) => {
            plan.set(&copp, Copp::METERS, meters);
            copp.reference()
        }
        None => plan.insert(Copp {
            name: NAME.into(),
            meters,
            ..Default::default()
        }),
    }
}

fn meter_name(protocol: &str) -> String {
    format!("{protocol}-rate-limiter")
}

fn meters(plan: &mut Plan) {
    let mut band = existing_band(plan);
    for protocol in PROTOCOLS {
        let name = meter_name(protocol);
        let band = *band.get_or_insert_with(|| {
            plan.insert(MeterBand {
                action: MeterBandAction::Drop,
                rate: RATE,
                ..Default::default()
            })
        });
        match plan.find(Meter::NAME, &name) {
            Some(meter) => {
                plan.set(&meter, Meter::UNIT, MeterUnit::Pktps);
                plan.set(&meter, Meter::FAIR, Some(true));
                plan.set(&meter, Meter::BANDS, Set::from([band]));
            }
            None => drop(plan.insert(Meter {
                name: name.into(),
                unit: MeterUnit::Pktps,
                fair: Some(true),
                bands: [band].into(),
                ..Default::default()
            })),
        }
    }
}

/// The band that our meters have already.
fn existing_band(plan: &mut Plan) -> Option<Ref<MeterBand>> {
    let meters: Vec<_> = PROTOCOLS
        .iter()
        .filter_map(|protocol| plan.find(Meter::NAME, &meter_name(protocol)))
        .collect();
    let bands = meters.iter().flat_map(|meter| meter.bands.iter());
    let fits = |band: &MeterBand| {
        band.action == MeterBandAction::Drop && band.rate == RATE && band.burst_size == 0
    };
    let mut bands = plan.view().get_all(bands);
    bands.find(|band| fits(band)).map(Row::reference)
}
