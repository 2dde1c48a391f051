//! Standard output and error: colour, JSON, errors. Nothing else prints.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use indicatif::MultiProgress;
use serde::Serialize;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::config::{ColorChoice, LogFormat, OutputArgs, OutputFormat, wants_no_color};
use crate::drift::report::Options;
use crate::telemetry::{LogOptions, start_logging};

/// How this run talks to the person or program that started it.
#[derive(Clone)]
pub(super) struct Output {
    args: Arc<OutputArgs>,
    /// Owns the terminal's last lines while a progress bar is shown.
    pub(super) bars: MultiProgress,
    color: bool,
}

/// What a line on the terminal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Good,
    Bad,
    Warning,
    Bold,
}

impl Output {
    pub(super) fn new(args: &OutputArgs) -> Self {
        let color = match args.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => io::stdout().is_terminal() && !wants_no_color(),
        };
        Self {
            args: Arc::new(args.clone()),
            bars: MultiProgress::new(),
            color,
        }
    }

    /// Whether standard output holds JSON.
    pub(super) fn is_json(&self) -> bool {
        self.args.output == OutputFormat::Json
    }

    /// The format of standard output.
    pub(super) fn format(&self) -> OutputFormat {
        self.args.output
    }

    /// How a report is laid out here.
    pub(super) fn report_options(&self, show_ignored: bool) -> Options {
        Options {
            color: self.color,
            show_ignored,
            ..Options::default()
        }
    }

    /// Whether somebody watches a terminal and wants to see progress.
    pub(super) fn shows_progress(&self) -> bool {
        !self.args.quiet && self.args.log_format == LogFormat::Text && io::stderr().is_terminal()
    }

    /// Starts the log; `level` is how much of it there is without `--quiet` and `--verbose`.
    pub(super) fn start_logging(&self, level: u8) {
        let bars = self.bars.clone();
        let color = match self.args.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => io::stderr().is_terminal() && !wants_no_color(),
        };
        start_logging(LogOptions {
            json: self.args.log_format == LogFormat::Json,
            color,
            level: if self.args.quiet {
                0
            } else {
                level.saturating_add(self.args.verbose)
            },
            writer: BoxMakeWriter::new(move || AboveBars(bars.clone())),
        });
    }

    /// One line of text on standard output; nothing in JSON mode.
    pub(super) fn line(&self, text: &str) {
        if !self.is_json() {
            self.bars.suspend(|| {
                // A closed pipe is nobody's error.
                let _ = writeln!(io::stdout(), "{text}");
            });
        }
    }

    /// One line of text on standard error, beside what standard output holds; nothing if `--quiet`.
    pub(super) fn note(&self, text: &str) {
        if !self.args.quiet {
            self.bars.suspend(|| {
                let _ = writeln!(io::stderr(), "{text}");
            });
        }
    }

    /// Bytes on standard output, as they are.
    pub(super) fn bytes(&self, bytes: &[u8]) {
        self.bars.suspend(|| {
            let _ = io::stdout().write_all(bytes);
        });
    }

    /// Asks a question on the terminal; `None` where there is nobody to answer.
    pub(super) fn ask(&self, question: &str) -> Option<bool> {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return None;
        }
        let mut answer = String::new();
        self.bars.suspend(|| {
            let _ = write!(io::stderr(), "{question} [y/N] ");
            io::stdin().read_line(&mut answer).ok()
        })?;
        Some(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    /// One JSON document on one line of standard output; nothing in text mode.
    pub(super) fn json(&self, value: &impl Serialize) {
        if self.is_json()
            && let Ok(text) = serde_json::to_string(value)
        {
            let _ = writeln!(io::stdout(), "{text}");
        }
    }

    /// `text` in a colour, where colour is wanted.
    pub(super) fn styled(&self, style: Style, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match style {
            Style::Good => "32",
            Style::Bad => "31",
            Style::Warning => "33",
            Style::Bold => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// An error with what caused it, on standard error.
    pub(super) fn failure(&self, failure: &(dyn std::error::Error + Send + Sync + 'static)) {
        self.error(&chain(failure));
    }

    /// An error on standard error.
    pub(super) fn error(&self, text: &str) {
        self.bars.suspend(|| {
            let line = if self.is_json() {
                serde_json::json!({ "error": text }).to_string()
            } else {
                format!("{} {text}", self.styled(Style::Bad, "error:"))
            };
            // `eprintln!` panics where nobody reads any more.
            let _ = writeln!(io::stderr(), "{line}");
        });
    }
}

/// Writes log lines above the progress bars.
struct AboveBars(MultiProgress);

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// An error with what caused it, on one line.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let line = cause.to_string();
        if !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        next = cause.source();
    }
    text
}
