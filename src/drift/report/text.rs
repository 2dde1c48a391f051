//! The report for people at a terminal.

use super::escape::visible;
use super::tell::{self, Verdict};
use super::values::{self, arrow, cut, side, text_diff, width};
use super::{
    FieldClass, FieldReport, ObjectClass, ObjectReport, Options, Report, Severity, Side, SourceInfo,
};

/// Lines of one text's difference.
const MOST_DIFF_LINES: usize = 12;
/// The column at which attributions begin, where the lines before them are not longer.
const WIDEST_BEFORE: usize = 60;
/// Fields of one object.
const MOST_FIELDS: usize = 200;

/// Writes the report as text: the verdict with its counts, then what differs per source and
/// namespace, then what was hidden and what is to be looked at. No line holds a control character
/// of the cluster's; lines end with `\n`.
pub fn render(report: &Report, options: &Options) -> String {
    let mut page = Page {
        out: String::new(),
        options: *options,
    };
    page.verdict(report);
    page.objects(report);
    page.footer(report);
    page.out
}

/// Select Graphic Rendition codes of ECMA-48.
#[derive(Clone, Copy)]
enum Tint {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Magenta,
}

struct Page {
    out: String,
    options: Options,
}

impl Page {
    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    fn tint(&self, tint: Tint, text: &str) -> String {
        if !self.options.color || text.is_empty() {
            return text.to_owned();
        }
        let code = match tint {
            Tint::Bold => "1",
            Tint::Dim => "2",
            Tint::Red => "31",
            Tint::Green => "32",
            Tint::Yellow => "33",
            Tint::Magenta => "35",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    fn verdict(&mut self, report: &Report) {
        let verdict = Verdict::of(report);
        let tint = match verdict {
            Verdict::Incomplete => Tint::Magenta,
            Verdict::Drift => Tint::Red,
            Verdict::Pending => Tint::Yellow,
            Verdict::InSync => Tint::Green,
        };
        let word = self.tint(tint, verdict.word());
        let rest = format!(": {}; {}", tell::counts(report), tell::as_of(report));
        self.line(&format!("{word}{}", self.tint(Tint::Bold, &rest)));
        self.line(&format!("live: {}", tell::live(report)));
        self.line(&format!("coverage: {}", tell::coverage(report)));
        if let Some(text) = tell::not_compared(report) {
            self.line(&format!("secrets: {text}"));
        }
        for reason in &report.incomplete {
            let mark = self.tint(Tint::Magenta, "incomplete:");
            self.line(&format!("{mark} {}", visible(reason)));
        }
    }

    fn objects(&mut self, report: &Report) {
        let mut group = None;
        let options = self.options;
        for object in tell::listed(report, &options) {
            let of_source = group.map(|(source, _)| source);
            if of_source != Some(&object.source) {
                self.source(object.source.as_deref(), &report.sources);
            }
            let here = Some((&object.source, &object.namespace));
            if group != here {
                if of_source == Some(&object.source) {
                    self.line("");
                }
                let heading = object.namespace.as_deref().map_or_else(
                    || "cluster".to_owned(),
                    |namespace| format!("namespace {}", visible(namespace)),
                );
                let heading = self.tint(Tint::Bold, &heading);
                self.line(&format!("  {heading}"));
                group = here;
            }
            self.object(object);
        }
    }

    fn source(&mut self, name: Option<&str>, sources: &[SourceInfo]) {
        self.line("");
        let Some(name) = name else {
            let heading = self.tint(Tint::Bold, "in no source");
            self.line(&heading);
            return;
        };
        let mut heading = self.tint(Tint::Bold, &format!("source {}", visible(name)));
        if let Some(source) = sources.iter().find(|source| source.name == name) {
            let mut about = format!("{} {}", source.kind, source.location);
            if let Some(revision) = &source.revision {
                about = format!("{about} at {}", tell::revision(revision));
            }
            if let Some(head) = &source.head_revision {
                about = format!("{about}, next {}", tell::revision(head));
            }
            let about = self.tint(Tint::Dim, &visible(&about));
            heading = format!("{heading}  {about}");
        }
        self.line(&heading);
    }

    fn object(&mut self, object: &ObjectReport) {
        let (mark, tint) = match object.class {
            ObjectClass::InSync => ("=", Tint::Green),
            ObjectClass::Modified => ("~", Tint::Yellow),
            ObjectClass::Missing => ("-", Tint::Red),
            ObjectClass::Extra => ("+", Tint::Green),
            ObjectClass::Pending => (">", Tint::Yellow),
            ObjectClass::Ignored => ("·", Tint::Dim),
            ObjectClass::Unknown => ("?", Tint::Magenta),
        };
        let mark = self.tint(tint, mark);
        let name = format!("{} {}", tell::kind(object), visible(&object.name));
        let mut line = format!("    {mark} {}", self.tint(Tint::Bold, &name));
        if object.class != ObjectClass::Modified {
            let class = self.tint(tint, tell::object_class(object.class));
            line = format!("{line}  {class}");
        }
        if !object.marks.is_empty() {
            let marks = object.marks.join(", ");
            let marks = self.tint(Tint::Magenta, &format!("[{}]", visible(&marks)));
            line = format!("{line}  {marks}");
        }
        if let Some(place) = tell::place(object, None) {
            line = format!("{line}  {}", self.tint(Tint::Dim, &place));
        }
        self.line(&line);
        if let Some(reason) = &object.reason {
            self.line(&format!("        {}", visible(reason)));
        }
        let options = self.options;
        self.fields(&tell::listed_fields(object, &options));
    }

    fn fields(&mut self, fields: &[&FieldReport]) {
        let shown = &fields[..fields.len().min(MOST_FIELDS)];
        let lines: Vec<FieldLine> = shown
            .iter()
            .map(|field| FieldLine::new(field, self.options.width))
            .collect();
        let before = lines.iter().map(|line| width(&line.before));
        let column = before.filter(|w| *w <= WIDEST_BEFORE).max().unwrap_or(0);
        for (line, field) in lines.iter().zip(shown) {
            self.field(line, field, column);
        }
        if fields.len() > shown.len() {
            let more = format!("… {} more fields", fields.len() - shown.len());
            self.line(&format!("        {more}"));
        }
    }

    fn field(&mut self, line: &FieldLine, field: &FieldReport, column: usize) {
        let (mark, tint) = match field.class {
            FieldClass::Changed => ("~", Tint::Yellow),
            FieldClass::Removed => ("-", Tint::Red),
            FieldClass::Added | FieldClass::PendingRemoval => ("+", Tint::Green),
            FieldClass::Pending => (">", Tint::Yellow),
            FieldClass::Dropped => ("!", Tint::Red),
            FieldClass::Ignored => ("·", Tint::Dim),
        };
        let mark = self.tint(tint, mark);
        let by = if field.severity == Severity::Error {
            self.tint(Tint::Red, &line.attribution)
        } else {
            self.tint(Tint::Dim, &line.attribution)
        };
        let used = width(&line.before).max(column);
        if 8 + 2 + used + 2 + width(&line.attribution) <= self.options.width {
            let gap = " ".repeat(used - width(&line.before) + 2);
            self.line(&format!("        {mark} {}{gap}{by}", line.before));
        } else {
            self.line(&format!("        {mark} {}", line.before));
            self.line(&format!("            {by}"));
        }
        for diff in &line.diff {
            let text = cut(&diff.text, self.options.width.saturating_sub(16).max(20));
            let tint = match diff.sign {
                '+' => Tint::Green,
                '-' => Tint::Red,
                _ => Tint::Dim,
            };
            let text = self.tint(tint, &format!("{} {text}", diff.sign));
            self.line(&format!("            | {text}"));
        }
    }

    fn footer(&mut self, report: &Report) {
        if !report.ignored_by.is_empty() {
            self.line("");
            self.line(&self.tint(Tint::Bold, "ignored"));
            for rule in &report.ignored_by {
                self.line(&format!(
                    "    {}  {}",
                    count_of(rule.fields, rule.objects),
                    visible(&rule.rule)
                ));
            }
            if !self.options.show_ignored {
                self.line("    --show-ignored lists them");
            }
        }
        if !report.warnings.is_empty() {
            self.line("");
            for warning in &report.warnings {
                let mark = self.tint(Tint::Yellow, "warning:");
                self.line(&format!("{mark} {}", visible(warning)));
            }
        }
        let fields = report.objects.iter().flat_map(|object| &object.fields);
        if fields.clone().any(|field| field.manager.is_some()) {
            self.line("");
            self.line(&self.tint(Tint::Dim, tell::MANAGER_NOTE));
        }
    }
}

/// `2 fields, 1 object`.
fn count_of(fields: usize, objects: usize) -> String {
    let several = |count: usize, what: &str| match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        count => Some(format!("{count} {what}s")),
    };
    let parts = [several(fields, "field"), several(objects, "object")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        "nothing".to_owned()
    } else {
        parts.join(", ")
    }
}

/// One field, taken apart for alignment.
struct FieldLine {
    /// Path and values.
    before: String,
    attribution: String,
    diff: Vec<values::DiffLine>,
}

impl FieldLine {
    fn new(field: &FieldReport, columns: usize) -> Self {
        let path = cut(&visible(&field.path), columns.saturating_sub(30).max(40));
        let room = columns.saturating_sub(width(&path) + 12).clamp(24, 200);
        let diff = text_diff(field, MOST_DIFF_LINES);
        let both = matches!(field.class, FieldClass::Changed | FieldClass::Pending)
            || (field.desired.is_some() && field.live.is_some());
        let value = if diff.is_some() {
            String::new()
        } else if both {
            format!(" {}", arrow(field, room))
        } else {
            let value = side(field, Side::Live, room).or_else(|| side(field, Side::Desired, room));
            value.map_or(String::new(), |value| format!(" {value}"))
        };
        Self {
            before: format!("{path}:{value}"),
            attribution: tell::attribution(field),
            diff: diff.unwrap_or_default(),
        }
    }
}
