use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What reading the cluster cost and met. Cheap to clone; all clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Pages asked for.
    pub list_requests: Counter,
    /// Watches and `WatchList`s opened.
    pub watch_requests: Counter,
    /// Lists that started over, first ones included.
    pub relists: Counter,
    /// 410 as an ERROR event inside a stream.
    pub expired_events: Counter,
    /// 410 as the status of a response.
    pub expired_statuses: Counter,
    /// `WatchList`s that fell back to pages.
    pub watch_list_fallbacks: Counter,
    /// Objects read from lists and streams, deletions included.
    pub objects: Counter,
    /// Requests that failed, and streams that were cut.
    pub failures: Counter,
    /// (type, scope) pairs that may not be read.
    pub blind_spots: Gauge,
}

impl Metrics {
    /// Registers every metric under its public name.
    pub fn register(&self, registry: &mut Registry) {
        let counters = [
            ("list_requests", "Pages asked for", &self.list_requests),
            ("watch_requests", "Watches opened", &self.watch_requests),
            (
                "relists",
                "Lists started over, first ones included",
                &self.relists,
            ),
            (
                "expired_events",
                "410 as an ERROR event",
                &self.expired_events,
            ),
            (
                "expired_statuses",
                "410 as an HTTP status",
                &self.expired_statuses,
            ),
            (
                "watch_list_fallbacks",
                "WatchLists read in pages",
                &self.watch_list_fallbacks,
            ),
            ("objects", "Objects read, deletions included", &self.objects),
            (
                "api_failures",
                "Failed requests and cut streams",
                &self.failures,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "blind_spots",
            "(type, scope) pairs that may not be read",
            self.blind_spots.clone(),
        );
    }
}
