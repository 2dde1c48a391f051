//! Whatever a cluster or a repository says, each rendering stays what it is.

use proptest::prelude::*;
use serde_json::Value;

use super::samples::{SECRET, full, hostile, object};
use super::tests::{all, check_sarif, json_of};
use super::*;

fn options() -> impl Strategy<Value = Options> {
    (any::<bool>(), 0..200_usize).prop_map(|(show_ignored, width)| Options {
        color: false,
        width,
        show_ignored,
    })
}

/// Fences and `<details>` as a Markdown reader sees them, line by line; the text outside of fences.
fn outside_of_fences(page: &str) -> String {
    let mut fence: Option<usize> = None;
    let mut depth = 0_usize;
    let mut outside = String::new();
    for line in page.lines() {
        // Up to three spaces may stand before a fence.
        let indent = line.len() - line.trim_start_matches(' ').len();
        let line = if indent <= 3 { &line[indent..] } else { line };
        let ticks = line.chars().take_while(|c| *c == '`').count();
        match fence {
            // https://spec.commonmark.org/0.31.2/#fenced-code-blocks: as long, and nothing after it.
            Some(open) => {
                if ticks >= open && line[ticks..].trim().is_empty() {
                    fence = None;
                }
            }
            None if ticks >= 3 => fence = Some(ticks),
            None => {
                depth += line.matches("<details>").count();
                let closed = line.matches("</details>").count();
                assert!(closed <= depth, "{line}\n{page}");
                depth -= closed;
                outside.push_str(line);
                outside.push('\n');
            }
        }
    }
    assert_eq!(fence, None, "an open fence:\n{page}");
    assert_eq!(depth, 0, "an open <details>:\n{page}");
    outside
}

/// Nothing that a reader of Markdown or a forge would take for more than text, but our own.
fn check_markdown(page: &str) {
    let outside = outside_of_fences(page);
    let mut rest = outside.clone();
    for own in [
        "<details>",
        "</details>",
        "<summary>",
        "</summary>",
        "<code>",
        "</code>",
        "`strandline drift -o text`",
        "*none*",
        "*cluster*",
        "**Cut to fit:**",
        "### ",
        "## ",
    ] {
        rest = rest.replace(own, "");
    }
    // Character references: `&#123;` is no issue's number.
    let mut plain = String::new();
    for (at, part) in rest.split("&#").enumerate() {
        let (number, after) = part
            .split_once(';')
            .filter(|_| at > 0)
            .unwrap_or(("0", part));
        assert!(number.bytes().all(|b| b.is_ascii_digit()), "{page}");
        plain.push_str(after);
    }
    for c in [
        '<', '>', '&', '@', '#', '`', '*', '_', '[', ']', '\\', '!', '~', '$',
    ] {
        assert!(!plain.contains(c), "{c} in\n{outside}");
    }
    for line in outside.lines().filter(|line| line.starts_with('|')) {
        assert!([4, 9].contains(&line.matches('|').count()), "{line}");
    }
    assert!(!page.contains("<!--"), "{page}");
}

/// A strict reader of the XML that we write: elements, attributes, the five entities.
fn check_xml(xml: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = xml
        .strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
        .unwrap();
    let check_text = |text: &str| {
        let mut text = text;
        while let Some(at) = text.find('&') {
            let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&apos;"];
            assert!(
                known.iter().any(|e| text[at..].starts_with(e)),
                "{text}\n{xml}"
            );
            text = &text[at + 1..];
        }
        assert!(!text.contains(['<', '>']), "{text}\n{xml}");
    };
    while let Some(at) = rest.find('<') {
        check_text(&rest[..at]);
        let end = at + rest[at..].find('>').unwrap();
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{xml}");
            continue;
        }
        let is_empty = tag.ends_with('/');
        let tag = tag.trim_end_matches('/');
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(name.bytes().all(|b| b.is_ascii_lowercase()), "{tag}\n{xml}");
        let parts: Vec<&str> = attributes.split('"').collect();
        for pair in parts.chunks(2).filter(|pair| pair.len() == 2) {
            let key = pair[0].trim().strip_suffix('=').unwrap();
            assert!(key.bytes().all(|b| b.is_ascii_lowercase()), "{tag}\n{xml}");
            check_text(pair[1]);
        }
        assert_eq!(parts.len() % 2, 1, "quotes in pairs: {tag}");
        if !is_empty {
            open.push(name);
        }
    }
    assert!(
        open.is_empty() && rest.trim().is_empty(),
        "{open:?} {rest}\n{xml}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_rendering_stays_what_it_is(report in hostile(), options in options()) {
        for page in all(&report, &options) {
            prop_assert!(!page.contains(SECRET), "{}", page);
            prop_assert!(page.ends_with('\n'));
            let hidden = page.chars().find(|c| *c != '\n' && escape::is_hidden(*c));
            prop_assert!(hidden.is_none(), "{:?}\n{}", hidden, page);
        }
        json_of(&report);
        check_markdown(&markdown::render(&report, &options));
        check_xml(&junit::render(&report, &options));
        let log: Value = serde_json::from_str(&sarif::render(&report, &options)).unwrap();
        check_sarif(&log);
    }

    #[test]
    fn markdown_keeps_to_its_budget(report in hostile(), options in options(), share in 0..=100_usize) {
        let whole = markdown::render(&report, &options);
        let budget = whole.len() * share / 100;
        let page = markdown::render_within(&report, &options, budget);
        prop_assert!(page.len() <= budget, "{} > {budget}\n{page}", page.len());
        if budget >= whole.len() {
            prop_assert_eq!(&page, &whole);
        }
        outside_of_fences(&page);
    }

    #[test]
    fn text_keeps_one_thing_on_one_line(report in hostile()) {
        // Lines begin with marks and headings of ours: content cannot forge a line.
        let mut quiet = report.clone();
        quiet.objects.clear();
        let text = text::render(&quiet, &Options::default());
        let expected = 4 + report.incomplete.len() + 4 + 2;
        prop_assert_eq!(text.lines().count(), expected, "{}", text);
    }
}

#[test]
fn ten_thousand_objects_fit_into_a_comment() {
    let mut report = full();
    let template = report.objects[1].clone();
    report.objects.clear();
    for namespace in 0..50 {
        for n in 0..200 {
            let mut web = template.clone();
            web.namespace = Some(format!("team-{namespace:02}"));
            web.name = format!("web-{n}");
            if (namespace, n) == (3, 7) {
                web.fields[0].live = Some(Value::from("x".repeat(1_000_000)));
            }
            report.objects.push(web);
        }
    }
    report.summary.modified = report.objects.len();
    let page = markdown::render_within(&report, &Options::default(), 65_000);
    assert!(
        page.len() <= 65_000 && page.len() > 50_000,
        "{}",
        page.len()
    );
    check_markdown(&page);
    assert!(
        page.starts_with("## Incomplete: 10000 modified"),
        "{}",
        &page[..200]
    );
    for namespace in 0..50 {
        assert!(page.contains(&format!("<code>team-{namespace:02}</code> | 200 |")));
    }
    assert!(page.contains("**Cut to fit:** details of"), "{page}");
    report.objects.truncate(1000);
    for page in all(&report, &Options::default()) {
        assert!(page.len() > 100_000);
    }
}

#[test]
fn the_largest_details_go_first() {
    let mut report = full();
    report.objects.truncate(1);
    for n in 0..4 {
        let mut object = object("ConfigMap", &format!("c{n}"), ObjectClass::Modified);
        let text = "x".repeat(if n == 2 { 230 } else { 20 });
        for at in 0..10 {
            object.fields.push(samples::field(
                &format!("data.k{at}"),
                FieldClass::Added,
                Value::Null,
                Value::from(text.clone()),
            ));
        }
        report.objects.push(object);
    }
    let whole = markdown::render(&report, &Options::default());
    let page = markdown::render_within(&report, &Options::default(), whole.len() - 500);
    assert_eq!(
        page.matches("<details><summary>Modified").count(),
        3,
        "{page}"
    );
    assert!(
        page.contains("- Modified <code>ConfigMap</code> <code>c2</code>"),
        "{page}"
    );
    assert!(
        page.contains("details of 1 objects and 0 whole objects"),
        "{page}"
    );
    check_markdown(&page);
}
