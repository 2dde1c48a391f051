//! What `record --drift` counts.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::drift::report::{FieldClass, Report};

type ByClass = Family<[(&'static str, &'static str); 1], Gauge>;
type Ratio = Gauge<f64, AtomicU64>;

/// Drift as it is. Cheap to clone; all clones count together.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct DriftMetrics {
    objects: ByClass,
    fields: ByClass,
    coverage: Ratio,
    /// Evaluations, whole or of what was touched.
    pub(super) evaluations: Counter,
    /// Objects that they judged.
    pub(super) judged: Counter,
    /// When the desired side was last read, in seconds since 1970 UTC.
    pub(super) desired_read: Gauge,
    /// How long the last evaluation took.
    pub(super) duration: Ratio,
}

impl DriftMetrics {
    /// Registers every metric under its public name.
    pub(in crate::cli) fn register(&self, registry: &mut Registry) {
        registry.register(
            "drift_objects",
            "Objects by class of drift",
            self.objects.clone(),
        );
        registry.register(
            "drift_fields",
            "Fields by class of drift",
            self.fields.clone(),
        );
        registry.register(
            "drift_coverage_ratio",
            "Share of the live objects that some source knows",
            self.coverage.clone(),
        );
        registry.register(
            "drift_evaluations",
            "Evaluations of drift, whole or of what was touched",
            self.evaluations.clone(),
        );
        registry.register(
            "drift_judged_objects",
            "Objects that evaluations of drift looked at",
            self.judged.clone(),
        );
        registry.register(
            "drift_desired_read_timestamp_seconds",
            "When the desired state was last read",
            self.desired_read.clone(),
        );
        registry.register(
            "drift_evaluation_duration_seconds",
            "How long the last evaluation of drift took",
            self.duration.clone(),
        );
    }

    /// Takes in a report. What is unknown is never zero where the report is incomplete.
    pub(super) fn tell(&self, report: &Report) {
        let summary = &report.summary;
        let incomplete = usize::from(!report.incomplete.is_empty());
        let objects = [
            ("InSync", summary.in_sync),
            ("Modified", summary.modified),
            ("Missing", summary.missing),
            ("Extra", summary.extra),
            ("Pending", summary.pending),
            ("Ignored", summary.ignored),
            ("Unknown", summary.unknown.max(incomplete)),
        ];
        let set = |family: &ByClass, class: &'static str, count: usize| {
            let gauge = family.get_or_create(&[("class", class)]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        };
        for (class, count) in objects {
            set(&self.objects, class, count);
        }
        let fields = [
            (FieldClass::Changed, "Changed"),
            (FieldClass::Removed, "Removed"),
            (FieldClass::Added, "Added"),
            (FieldClass::PendingRemoval, "PendingRemoval"),
            (FieldClass::Pending, "Pending"),
            (FieldClass::Dropped, "Dropped"),
            (FieldClass::Ignored, "Ignored"),
        ];
        for (class, name) in fields {
            let all = report.objects.iter().flat_map(|object| &object.fields);
            set(&self.fields, name, all.filter(|f| f.class == class).count());
        }
        self.coverage.set(summary.coverage.percent / 100.0);
    }
}
