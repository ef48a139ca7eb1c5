//! Limits of the rates at which a pod may receive and send.

use std::fmt;
use std::str::FromStr;

use ovsdb::vswitch::{Database, Interface, Port, QoS};
use ovsdb::{Ref, Row, Transaction};

use super::{Effect, Node, NodeError, SANDBOX, View};

/// Bits per second, as the annotations `kubernetes.io/ingress-bandwidth` and
/// `kubernetes.io/egress-bandwidth` give them: a Kubernetes quantity from `1k` to `1P`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

impl Rate {
    const LOWEST: f64 = 1e3;
    const HIGHEST: f64 = 1e15;

    /// The rate in bits per second.
    #[must_use]
    pub const fn bits_per_second(self) -> u64 {
        self.0
    }

    /// The rate in kbit/s, as the column `ingress_policing_rate` needs it.
    fn kilobits(self) -> i64 {
        i64::try_from(self.0 / 1000).unwrap_or(i64::MAX)
    }
}

/// A text that is not a rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad rate {0:?}: must be a quantity from 1k to 1P, such as 10M")]
pub struct BadRate(pub String);

impl FromStr for Rate {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        let bad = || BadRate(text.to_owned());
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, suffix) = text.split_at(digits.unwrap_or(text.len()));
        let factor = match suffix {
            "" => 1.0,
            "k" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            "T" => 1e12,
            "P" => 1e15,
            "Ki" => 2_f64.powi(10),
            "Mi" => 2_f64.powi(20),
            "Gi" => 2_f64.powi(30),
            "Ti" => 2_f64.powi(40),
            exponent => {
                let power = exponent.strip_prefix(['e', 'E']).ok_or_else(bad)?;
                10_f64.powi(power.parse().map_err(|_| bad())?)
            }
        };
        let rate = number.parse::<f64>().map_err(|_| bad())? * factor;
        if !(Self::LOWEST..=Self::HIGHEST).contains(&rate) {
            return Err(bad());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range was checked; a fraction of a bit does not matter"
        )]
        Ok(Self(rate.round() as u64))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The limits of one interface of a pod; `None` for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bandwidth {
    /// The limit for what the pod receives.
    pub ingress: Option<Rate>,
    /// The limit for what the pod sends.
    pub egress: Option<Rate>,
}

impl Bandwidth {
    /// The columns `ingress_policing_rate` and `ingress_policing_burst`: for the switch, what the pod
    /// sends is ingress.
    pub(super) fn policing(self) -> (i64, i64) {
        let rate = self.egress.map_or(0, Rate::kilobits);
        (rate, rate / 10)
    }
}

impl Node {
    /// Sets or removes the limits of a pod's interface.
    ///
    /// # Errors
    /// When there is no such interface of a pod, the commit fails, or another client keeps changing the
    /// same rows.
    pub async fn set_bandwidth(
        &self,
        interface: &str,
        bandwidth: Bandwidth,
    ) -> Result<Effect, NodeError> {
        self.converge(|view, transaction| {
            let attached = view.interface(interface).zip(view.port(interface));
            let (row, port) = attached.ok_or_else(|| NodeError::NotAttached(interface.into()))?;
            let sandbox = row.external_ids.get(SANDBOX);
            let sandbox = sandbox.ok_or_else(|| NodeError::NotAttached(interface.into()))?;
            limit_egress(transaction, row, bandwidth);
            limit_ingress(view, transaction, port, sandbox, bandwidth.ingress);
            Ok(())
        })
        .await
    }
}

/// Sets the limit for what an attached pod sends.
pub(super) fn limit_egress(
    transaction: &mut Transaction<Database>,
    interface: &Row<Interface>,
    bandwidth: Bandwidth,
) {
    transaction.edit(interface, |row| {
        (row.ingress_policing_rate, row.ingress_policing_burst) = bandwidth.policing();
    });
}

/// Sets the limit for what an attached pod receives.
pub(super) fn limit_ingress(
    view: &View,
    transaction: &mut Transaction<Database>,
    port: &Row<Port>,
    sandbox: &str,
    ingress: Option<Rate>,
) {
    let known = port.qos.and_then(|qos| view.0.get(qos));
    let wanted = ingress.map(|rate| queue(sandbox, rate));
    if known.map(Row::columns) == wanted.as_ref() && port.qos.is_some() == wanted.is_some() {
        delete_queues(view, transaction, sandbox, None);
        return;
    }
    let qos = wanted.map(|queue| transaction.insert(queue));
    transaction.edit(port, |row| row.qos = qos);
    delete_queues(view, transaction, sandbox, Some(port));
}

/// Inserts the row that a port will refer to.
pub(super) fn insert_queue(
    transaction: &mut Transaction<Database>,
    sandbox: &str,
    rate: Rate,
) -> Ref<QoS> {
    transaction.insert(queue(sandbox, rate))
}

fn queue(sandbox: &str, rate: Rate) -> QoS {
    QoS {
        r#type: "linux-htb".into(),
        other_config: [("max-rate", rate.to_string())].into(),
        external_ids: [(SANDBOX, sandbox)].into(),
        ..Default::default()
    }
}

/// Deletes the QoS rows of a sandbox, except rows to which a port other than `leaving` refers. The
/// table QoS is in the root set, so the server does not delete unreferenced rows itself.
pub(super) fn delete_queues(
    view: &View,
    transaction: &mut Transaction<Database>,
    sandbox: &str,
    leaving: Option<&Row<Port>>,
) {
    let leaving = leaving.map(Row::uuid);
    let ports = view.0.rows::<Port>();
    let staying = ports.filter(|port| Some(port.uuid()) != leaving);
    let in_use: Vec<Ref<QoS>> = staying.filter_map(|port| port.qos).collect();
    for queue in view.0.rows::<QoS>() {
        let owner = queue.external_ids.get(SANDBOX);
        let owned = owner.is_some_and(|owner| *owner == *sandbox);
        if owned && !in_use.contains(&queue.reference()) {
            transaction.delete(queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_quantities() {
        for (text, bits) in [
            ("1k", 1000),
            ("1000", 1000),
            ("1.5M", 1_500_000),
            ("10G", 10_000_000_000),
            ("1Ki", 1024),
            ("5e3", 5000),
            ("1500E3", 1_500_000),
            ("1P", 1_000_000_000_000_000),
        ] {
            assert_eq!(text.parse::<Rate>().expect(text).bits_per_second(), bits);
        }
        for text in [
            "", "k", "999", "1.1P", "1m", "-1M", "1e6M", "1E", "1e99", "9e-1", "1.2.3k", "1 M",
            "NaN", "infk",
        ] {
            assert_eq!(
                text.parse::<Rate>(),
                Err(BadRate(text.to_owned())),
                "{text}"
            );
        }
    }
}
