//! The rules for controllers that people run, each a file of its own in `filters/presets`.

use std::sync::LazyLock;

use super::assemble::read_preset;

/// The files. A new preset is a file there and a line here.
const FILES: [&str; 22] = [
    include_str!("../../filters/presets/actions-runner-controller.yaml"),
    include_str!("../../filters/presets/argo-cd.yaml"),
    include_str!("../../filters/presets/argo-rollouts.yaml"),
    include_str!("../../filters/presets/argo-workflows.yaml"),
    include_str!("../../filters/presets/calico.yaml"),
    include_str!("../../filters/presets/cert-manager.yaml"),
    include_str!("../../filters/presets/cilium.yaml"),
    include_str!("../../filters/presets/cluster-autoscaler.yaml"),
    include_str!("../../filters/presets/crossplane.yaml"),
    include_str!("../../filters/presets/external-secrets.yaml"),
    include_str!("../../filters/presets/flux.yaml"),
    include_str!("../../filters/presets/helm.yaml"),
    include_str!("../../filters/presets/istio.yaml"),
    include_str!("../../filters/presets/karpenter.yaml"),
    include_str!("../../filters/presets/keda.yaml"),
    include_str!("../../filters/presets/knative.yaml"),
    include_str!("../../filters/presets/kyverno.yaml"),
    include_str!("../../filters/presets/large-values.yaml"),
    include_str!("../../filters/presets/linkerd.yaml"),
    include_str!("../../filters/presets/longhorn.yaml"),
    include_str!("../../filters/presets/tekton.yaml"),
    include_str!("../../filters/presets/velero.yaml"),
];

/// Rules that come with Strandline and can be switched on and off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name, as it is switched.
    pub name: String,
    /// What it is for, in one line.
    pub title: String,
    /// Whether it is on where nobody says otherwise.
    pub on_by_default: bool,
    /// The file.
    pub(super) text: &'static str,
}

/// All presets, in the order in which they win over each other.
///
/// # Panics
///
/// Never: a test reads them.
pub fn presets() -> &'static [Preset] {
    static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
        FILES
            .iter()
            .map(|text| read_preset(text).expect("the embedded presets are read by a test"))
            .collect()
    });
    &PRESETS
}
