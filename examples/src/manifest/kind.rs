//! The kinds of objects that are not Kubernetes' own.

/// The kind of a description of a network.
pub const NAD: &str = "NetworkAttachmentDefinition";
/// The kind of a policy for networks that NADs describe.
pub const POLICY: &str = "MultiNetworkPolicy";
