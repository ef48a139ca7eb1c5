//! Reads what pods and policies request of networks.

use std::collections::BTreeMap;

use super::{Attachment, Cluster};
use crate::config::{Profile, Topology};
use crate::error::{InputError, Place, Reason};
use crate::field::{Field, Wrong};
use crate::grant::{self, Grants};
use crate::manifest::{self, POLICY};
use crate::names::pod_port;
use crate::network::{Nads, Networks};
use crate::policy::{self, Peer, Policy, Rule};
use crate::report::Report;
use crate::selection::{self, Selection};

/// Refused objects, with the number of others that need them.
pub(super) type LeftOut = BTreeMap<Place, usize>;

/// Reads what a pod requests.
pub(super) struct PodReader<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) pod: &'a manifest::Pod,
    pub(super) networks: &'a Networks,
    pub(super) report: &'a mut Report,
    pub(super) left_out: &'a mut LeftOut,
}

impl PodReader<'_> {
    /// Records that a part of the pod is left out. Its ports are kept as they are.
    fn refuse(&mut self, error: InputError) {
        self.report.refused.push(error);
        self.keep();
    }

    fn keep(&mut self) {
        let Self { pod, report, .. } = self;
        report.kept.keep_object("Pod", &pod.namespace, &pod.name);
    }

    /// Records that an attachment is left out because an object that it needs was refused.
    fn leave_out(&mut self, because_of: &Place) {
        *self.left_out.entry(because_of.clone()).or_default() += 1;
        self.keep();
    }

    fn annotation(&self, key: &str) -> (String, &str) {
        let text = self.pod.annotations.get(key).map_or("", String::as_str);
        (format!("metadata.annotations.{key}"), text)
    }

    pub(super) fn attachments(&mut self) -> Vec<Attachment> {
        let (path, text) = self.annotation(selection::ANNOTATION);
        let selections = match selection::parse(&path, text, &self.pod.namespace) {
            Ok(selections) => selections,
            Err(wrong) => {
                self.refuse(wrong.at(&self.pod.place));
                return Vec::new();
            }
        };
        let (grant_path, text) = self.annotation(grant::ANNOTATION);
        let grants = match Grants::read(&grant_path, text) {
            Ok(grants) => grants,
            Err(wrong) => {
                self.refuse(wrong.at(&self.pod.place));
                return Vec::new();
            }
        };
        let place = &self.pod.place;
        self.report
            .unknown_members(place, &path, &selections.unknown);
        self.report
            .unknown_members(place, &grant_path, &grants.unknown);
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut attachments = Vec::new();
        for selection in selections.selections {
            let network = match self.networks.nad(&selection.nad) {
                Some(Nads::Network(network)) => network,
                Some(Nads::Skipped) => continue,
                Some(Nads::Refused) => {
                    let place = self.networks.place(&selection.nad);
                    self.leave_out(&place);
                    continue;
                }
                None => {
                    let reason = Reason::UnknownNad(selection.nad);
                    self.refuse(InputError::new(&self.pod.place, &path, reason));
                    continue;
                }
            };
            let repetition = seen.entry(selection.nad.clone()).or_default();
            *repetition += 1;
            let repetition = *repetition - 1;
            match self.attachment(network, selection, repetition, &grants) {
                Ok(attachment) => attachments.push(attachment),
                Err(wrong) => self.refuse(wrong.at(&self.pod.place)),
            }
        }
        attachments
    }

    fn attachment(
        &self,
        network: usize,
        selection: Selection,
        repetition: usize,
        grants: &Grants,
    ) -> Result<Attachment, Wrong> {
        let (path, _) = self.annotation(selection::ANNOTATION);
        let field = Field::new(path, None);
        let profile = self.cluster.profile;
        let nad = selection.nad;
        if repetition > 0 && profile == Profile::Mid2023 {
            return Err(field.wrong(format!("the network {nad} is requested more than once")));
        }
        let assigned = !self.networks.networks[network].config.is_without_ipam();
        if assigned && !selection.addresses.is_empty() && profile == Profile::Central2026 {
            let reason = format!("{nad} assigns addresses, and takes no requests for them");
            return Err(field.wrong(reason));
        }
        let key = match repetition {
            0 => nad.clone(),
            further => format!("{nad}/{further}"),
        };
        // Where addresses are assigned, a grant without addresses does not count.
        let grant = grants.get(&key)?;
        let grant = grant.filter(|grant| !assigned || !grant.addresses.is_empty());
        Ok(Attachment {
            network,
            port: pod_port(&key, &self.pod.namespace, &self.pod.name),
            grant,
            key,
            nad,
            interface: selection.interface,
            addresses: selection.addresses,
            mac: selection.mac,
            default_route: selection.default_route,
        })
    }

    /// Whether the pod's node is known, or need not be: only a layer3 network has a switch for each
    /// node. If not, records that the attachment is kept as it is, or why it is refused.
    pub(super) fn has_node(&mut self, attachment: &Attachment) -> bool {
        let network = &self.networks.networks[attachment.network];
        let Some(node) = &self.pod.node else {
            return true;
        };
        if network.config.topology != Topology::Layer3 || self.cluster.node(node).is_some() {
            return true;
        }
        if self.report.kept.node(node) {
            self.keep();
        } else {
            let reason = Reason::UnknownNode(node.clone());
            self.refuse(InputError::new(&self.pod.place, "spec.nodeName", reason));
        }
        false
    }
}

/// Removes the networks to which a policy cannot apply.
pub(super) fn check_policy(
    policy: &mut Policy,
    networks: &Networks,
    report: &mut Report,
    left_out: &mut LeftOut,
) {
    let by_pods = |rule: &Rule| rule.peers.iter().any(|p| matches!(p, Peer::Pods { .. }));
    let by_pods = policy.rules.iter().find(|rule| by_pods(rule));
    let field = format!("metadata.annotations.{}", policy::POLICY_FOR);
    let mut kept = false;
    policy.nads.retain(|nad| {
        let error = match networks.nad(nad) {
            Some(Nads::Network(network)) => {
                let config = &networks.networks[network].config;
                match by_pods {
                    // The addresses of pods on such a network are unknown.
                    Some(rule) if config.is_without_ipam() => {
                        let direction = rule.direction.as_str().to_lowercase();
                        let field = format!("spec.{direction}[{}]", rule.index);
                        let reason = Reason::SelectorWithoutIpam(config.name.clone());
                        InputError::new(&policy.place, field, reason)
                    }
                    _ => return true,
                }
            }
            Some(Nads::Skipped) => return true,
            Some(Nads::Refused) => {
                *left_out.entry(networks.place(nad)).or_default() += 1;
                kept = true;
                return false;
            }
            None => {
                let reason = Reason::UnknownNad(nad.clone());
                InputError::new(&policy.place, &field, reason)
            }
        };
        report.refused.push(error);
        kept = true;
        false
    });
    if kept {
        report
            .kept
            .keep_object(POLICY, &policy.namespace, &policy.name);
    }
}
