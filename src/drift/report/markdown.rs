//! The report as Markdown, for a pull request's comment.
//!
//! What a cluster or a repository says is inert: names stand in `<code>` as character references,
//! which no Markdown takes for structure
//! (<https://spec.commonmark.org/0.31.2/#entity-and-numeric-character-references>) and in which no
//! forge looks for mentions, issues or links; values stand in fences that are longer than any run of
//! backticks in them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::escape::{beginning, visible};
use super::tell::{self, Verdict};
use super::values::{cut, inline, text_diff};
use super::{FieldReport, ObjectClass, ObjectReport, Options, Report, Side};

/// Lines of one text's difference.
const MOST_DIFF_LINES: usize = 40;
/// Columns of a value.
const WIDEST_VALUE: usize = 240;
/// Columns of a name outside of fences.
const WIDEST_NAME: usize = 253;
/// Fields of one object.
const MOST_FIELDS: usize = 200;
/// Rows of the table of counts.
const MOST_ROWS: usize = 500;
/// Lines of a list: rules, warnings, reasons.
const MOST_LINES: usize = 20;

/// Writes the whole report as Markdown.
pub fn render(report: &Report, options: &Options) -> String {
    render_within(report, options, usize::MAX)
}

/// Writes the report as Markdown of at most `budget` bytes.
///
/// What does not fit is left out by structure: first the details of single objects, the largest
/// first, then their lines, the last first, then rows of the table; the page says how many. The
/// verdict comes first and stays.
pub fn render_within(report: &Report, options: &Options, budget: usize) -> String {
    let entries: Vec<Entry> = tell::listed(report, options)
        .map(|object| Entry::new(object, options))
        .collect();
    let foot = foot(report, options);
    let page = Page {
        verdict: verdict(report),
        table: table(report, options),
        entries,
        foot,
    };
    page.within(budget)
}

/// One object.
struct Entry {
    /// The source and namespace that it is listed under.
    heading: String,
    /// All of it.
    detail: String,
    /// One line, where there is no room for more.
    line: String,
    shown: Shown,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Detail,
    Line,
    Nothing,
}

impl Entry {
    fn new(object: &ObjectReport, options: &Options) -> Self {
        let fields = tell::listed_fields(object, options);
        let body = body(object, &fields);
        let title = title(object, fields.len());
        let line = format!("- {title}\n");
        let detail = if body.is_empty() {
            line.clone()
        } else {
            let fence = fence(&body);
            format!(
                "<details><summary>{title}</summary>\n\n{fence}diff\n{body}{fence}\n\n</details>\n"
            )
        };
        Self {
            heading: heading(object),
            detail,
            line,
            shown: Shown::Detail,
        }
    }

    fn text(&self) -> &str {
        match self.shown {
            Shown::Detail => &self.detail,
            Shown::Line => &self.line,
            Shown::Nothing => "",
        }
    }
}

struct Page {
    verdict: String,
    table: Vec<String>,
    entries: Vec<Entry>,
    foot: String,
}

/// Bytes that are kept for the sentence that says what was left out.
const NOTE: usize = 160;

impl Page {
    fn within(mut self, budget: usize) -> String {
        let page = self.write();
        if page.len() <= budget {
            return page;
        }
        // Headings are counted as if each entry had one: the page is never longer than that.
        let fixed = self.verdict.len() + self.foot.len() + NOTE + self.table_len();
        let cost = |entry: &Entry| {
            let text = entry.text();
            if text.is_empty() { 0 } else { text.len() + 2 }
        };
        let headings = self.headings_len();
        let mut total = fixed + headings + self.entries.iter().map(cost).sum::<usize>();
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        order.sort_by_key(|&at| std::cmp::Reverse(self.entries[at].detail.len()));
        for at in order {
            if total <= budget {
                break;
            }
            let entry = &mut self.entries[at];
            total -= cost(entry);
            entry.shown = Shown::Line;
            total += cost(entry);
        }
        for entry in self.entries.iter_mut().rev() {
            if total <= budget {
                break;
            }
            total -= cost(entry);
            entry.shown = Shown::Nothing;
        }
        if total > budget && self.entries.iter().all(|e| e.shown == Shown::Nothing) {
            total -= headings;
        }
        while total > budget && self.table.len() > 2 {
            total -= self.table.pop().map_or(0, |row| row.len());
        }
        if total > budget {
            self.table.clear();
            self.foot.clear();
        }
        let page = self.write();
        if page.len() <= budget {
            return page;
        }
        // Plain words and character references: cut between words, nothing is left open.
        let page = beginning(&page, budget.min(self.verdict.len()));
        let end = page.rfind(char::is_whitespace).unwrap_or(0);
        page[..end].to_owned()
    }

    fn table_len(&self) -> usize {
        self.table.iter().map(String::len).sum::<usize>() + 1
    }

    fn headings_len(&self) -> usize {
        let mut last = "";
        let mut length = 0;
        for entry in &self.entries {
            if entry.heading != last {
                length += entry.heading.len() + 2;
                last = &entry.heading;
            }
        }
        length
    }

    fn write(&self) -> String {
        let mut out = self.verdict.clone();
        if !self.table.is_empty() {
            out.push('\n');
            out.extend(self.table.iter().map(String::as_str));
        }
        let count = |shown| self.entries.iter().filter(|e| e.shown == shown).count();
        let (lines, nothing) = (count(Shown::Line), count(Shown::Nothing));
        let mut last = "";
        let mut was_line = false;
        for entry in self.entries.iter().filter(|e| e.shown != Shown::Nothing) {
            if entry.heading != last {
                let _ = write!(out, "\n{}", entry.heading);
                last = &entry.heading;
                was_line = false;
            }
            // Items of one list stand together; all else has an empty line before it.
            let is_line = entry.text().starts_with('-');
            if !(is_line && was_line) {
                out.push('\n');
            }
            out.push_str(entry.text());
            was_line = is_line;
        }
        if lines + nothing > 0 {
            let _ = write!(
                out,
                "\n**Cut to fit:** details of {lines} objects and {nothing} whole objects were \
                 left out; `strandline drift -o text` shows them.\n"
            );
        }
        out.push_str(&self.foot);
        out
    }
}

fn verdict(report: &Report) -> String {
    let mut out = format!(
        "## {}: {}\n\n{}; live: {}\n{}\n",
        match Verdict::of(report) {
            Verdict::Incomplete => "Incomplete",
            Verdict::Drift => "Drift",
            Verdict::Pending | Verdict::InSync => "No drift",
        },
        tell::counts(report),
        code(&tell::as_of(report)),
        code(&tell::live(report)),
        references(&tell::coverage(report)),
    );
    if let Some(text) = tell::not_compared(report) {
        let _ = writeln!(out, "\n{}", references(&text));
    }
    list(&mut out, "Could not be evaluated:", &report.incomplete);
    out
}

fn list(out: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{title}\n");
    for line in lines.iter().take(MOST_LINES) {
        let _ = writeln!(out, "- {}", code(line));
    }
    if lines.len() > MOST_LINES {
        let _ = writeln!(out, "- … {} more", lines.len() - MOST_LINES);
    }
}

/// Rows of a table, the head's two first; none where nothing is listed.
fn table(report: &Report, options: &Options) -> Vec<String> {
    const CLASSES: [ObjectClass; 6] = [
        ObjectClass::Modified,
        ObjectClass::Missing,
        ObjectClass::Extra,
        ObjectClass::Unknown,
        ObjectClass::Pending,
        ObjectClass::Ignored,
    ];
    let mut counts: BTreeMap<_, [usize; CLASSES.len()]> = BTreeMap::new();
    for object in tell::listed(report, options) {
        let at = CLASSES.iter().position(|class| *class == object.class);
        if let Some(at) = at {
            // What no source knows comes last.
            let place = (object.source.is_none(), &object.source, &object.namespace);
            counts.entry(place).or_default()[at] += 1;
        }
    }
    if counts.is_empty() {
        return Vec::new();
    }
    let names = CLASSES.map(tell::object_class).join(" | ");
    let mut rows = vec![
        format!("| source | namespace | {names} |\n"),
        format!("|---|---|{}\n", "--:|".repeat(CLASSES.len())),
    ];
    let more = counts.len().saturating_sub(MOST_ROWS);
    for ((_, source, namespace), numbers) in counts.into_iter().take(MOST_ROWS) {
        let source = source.as_deref().map_or("*none*".to_owned(), code);
        let namespace = namespace.as_deref().map_or("*cluster*".to_owned(), code);
        let numbers = numbers.map(|n| if n == 0 { String::new() } else { n.to_string() });
        rows.push(format!(
            "| {source} | {namespace} | {} |\n",
            numbers.join(" | ")
        ));
    }
    if more > 0 {
        rows.push(format!(
            "| … | {more} more |{}\n",
            " |".repeat(CLASSES.len())
        ));
    }
    rows
}

fn heading(object: &ObjectReport) -> String {
    let source = object.source.as_deref().map_or_else(
        || "In no source".to_owned(),
        |source| format!("Source {}", code(source)),
    );
    let namespace = object.namespace.as_deref().map_or_else(
        || "cluster".to_owned(),
        |namespace| format!("namespace {}", code(namespace)),
    );
    format!("### {source}, {namespace}\n")
}

fn title(object: &ObjectReport, fields: usize) -> String {
    let mut title = format!(
        "{} {} {}",
        tell::object_class(object.class),
        code(&tell::kind(object)),
        code(&object.name)
    );
    match fields {
        0 => {}
        1 => title.push_str(", 1 field"),
        n => {
            let _ = write!(title, ", {n} fields");
        }
    }
    for mark in &object.marks {
        let _ = write!(title, ", {}", code(mark));
    }
    if let Some(place) = tell::place(object, None) {
        let _ = write!(title, ", {}", code(&place));
    }
    title
}

/// Lines of a `diff` fence: desired is `-`, live is `+`.
fn body(object: &ObjectReport, fields: &[&FieldReport]) -> String {
    let mut out = String::new();
    if let Some(reason) = &object.reason {
        out.push_str(&inert(&format!(
            "  {}",
            cut(&visible(reason), 4 * WIDEST_VALUE)
        )));
    }
    for field in fields.iter().take(MOST_FIELDS) {
        out.push_str(&lines_of(field));
    }
    if fields.len() > MOST_FIELDS {
        let _ = writeln!(out, "  … {} more fields", fields.len() - MOST_FIELDS);
    }
    out
}

fn lines_of(field: &FieldReport) -> String {
    let path = cut(&visible(&field.path), WIDEST_VALUE);
    let mut out = inert(&format!("# {path}: {}", tell::attribution(field)));
    if field.secret {
        out.push_str("  (secret)\n");
        return out;
    }
    if let Some(lines) = text_diff(field, MOST_DIFF_LINES) {
        for line in lines {
            out.push_str(&inert(&format!(
                "{} {}",
                line.sign,
                cut(&line.text, WIDEST_VALUE)
            )));
        }
        return out;
    }
    for (sign, side) in [('-', Side::Desired), ('+', Side::Live)] {
        if let Some(value) = field.value(side) {
            out.push_str(&inert(&format!(
                "{sign} {}",
                cut(&inline(value), WIDEST_VALUE)
            )));
        }
    }
    out
}

/// One line of a fence; a comment's marker in it is none.
fn inert(line: &str) -> String {
    let mut line = line.replace("<!--", "<!- -");
    line.push('\n');
    line
}

/// Longer than any run of backticks: <https://spec.commonmark.org/0.31.2/#fenced-code-blocks>.
fn fence(body: &str) -> String {
    let mut longest = 0;
    let mut run = 0;
    for c in body.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    "`".repeat((longest + 1).max(3))
}

/// Text that no Markdown, HTML or forge takes for anything but text.
fn references(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in visible(text).chars() {
        if c.is_alphanumeric() || matches!(c, ' ' | '-' | '…' | '→') {
            out.push(c);
        } else {
            let _ = write!(out, "&#{};", u32::from(c));
        }
    }
    out
}

/// A name of a cluster or repository.
fn code(text: &str) -> String {
    format!(
        "<code>{}</code>",
        references(&cut(&visible(text), WIDEST_NAME))
    )
}

fn foot(report: &Report, options: &Options) -> String {
    let mut out = String::new();
    if !report.ignored_by.is_empty() {
        let fields: usize = report.ignored_by.iter().map(|rule| rule.fields).sum();
        let objects: usize = report.ignored_by.iter().map(|rule| rule.objects).sum();
        let _ = write!(
            out,
            "\n<details><summary>Ignored by rules: {fields} fields, {objects} objects</summary>\n\n\
             | fields | objects | rule |\n|--:|--:|---|\n"
        );
        for rule in report.ignored_by.iter().take(MOST_LINES) {
            let _ = writeln!(
                out,
                "| {} | {} | {} |",
                rule.fields,
                rule.objects,
                code(&rule.rule)
            );
        }
        if report.ignored_by.len() > MOST_LINES {
            let _ = writeln!(out, "| | | {} more |", report.ignored_by.len() - MOST_LINES);
        }
        out.push_str("\n</details>\n");
    }
    list(&mut out, "Warnings:", &report.warnings);
    let has_manager = |object: &ObjectReport| {
        let fields = tell::listed_fields(object, options);
        fields.iter().any(|field| field.manager.is_some())
    };
    if tell::listed(report, options).any(has_manager) {
        let _ = writeln!(out, "\n{}", tell::MANAGER_NOTE);
    }
    out
}
