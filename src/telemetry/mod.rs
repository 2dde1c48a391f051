//! Logs and metrics.

pub mod clock;

use std::io;

use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// What the log looks like, and where it goes.
pub struct LogOptions {
    /// One JSON object per line instead of text.
    pub json: bool,
    /// Colour in the text.
    pub color: bool,
    /// 0: warnings, 1: what happened, 2: why, 3: everything.
    pub level: u8,
    /// Where lines go; a progress display takes them to print above itself.
    pub writer: BoxMakeWriter,
}

/// Starts logging; later calls have no effect.
pub fn start_logging(options: LogOptions) {
    let directives = match options.level {
        // kube repeats one line about an unverified certificate for every connection, and says of
        // a failed request what we say of it, without the request.
        0 => "warn,kube_client=off",
        1 => "info,kube_client=off",
        2 => "info,kube_client=off,strandline=debug",
        _ => "debug,strandline=trace",
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(directives))
        .with_timer(Utc)
        .with_target(false)
        .with_ansi(options.color)
        // It would panic on a closed standard error, and take a reflector with it.
        .log_internal_errors(false)
        .with_writer(options.writer);
    // Only a second call can fail, and the first one's choice stands.
    let _ = if options.json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
}

/// RFC 3339 in UTC.
struct Utc;

impl tracing_subscriber::fmt::time::FormatTime for Utc {
    fn format_time(&self, w: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        write!(w, "{:.3}", clock::now())
    }
}

/// Standard error, the default place of log lines.
pub fn stderr() -> BoxMakeWriter {
    BoxMakeWriter::new(io::stderr)
}

/// An empty registry whose metrics will be called `strandline_…`.
pub fn registry() -> Registry {
    Registry::with_prefix("strandline")
}

/// The registry's content in the text format of
/// <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
pub fn encode(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = prometheus_client::encoding::text::encode(&mut text, registry);
    text
}
