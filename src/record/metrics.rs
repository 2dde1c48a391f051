use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What the recorder did. Cheap to clone; all clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Objects that keep changing and are sampled.
    pub damped_objects: Gauge,
    /// Changes of damped objects that went into no commit of their own.
    pub damped_changes: Counter,
}

impl Metrics {
    /// Registers every metric under its public name.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "damped_objects",
            "Objects that keep changing and are sampled",
            self.damped_objects.clone(),
        );
        registry.register(
            "damped_changes",
            "Changes of damped objects without a commit of their own",
            self.damped_changes.clone(),
        );
    }
}
