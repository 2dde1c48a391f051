//! The report as JSON, in the form that `report.schema.json` describes.

use super::{Report, escape};

/// What the document is like: JSON Schema 2020-12.
pub const JSON_SCHEMA: &str = include_str!("report.schema.json");

/// One document, indented, with a line break at its end; all that the report has, what rules hide
/// included.
///
/// The same report gives the same bytes: fields stand in the order of the types, objects in that of
/// the report.
pub fn render(report: &Report) -> String {
    let mut shown = report.clone();
    for field in shown
        .objects
        .iter_mut()
        .flat_map(|object| &mut object.fields)
    {
        if field.secret {
            field.desired = None;
            field.live = None;
        }
    }
    escape::json(&shown)
}
