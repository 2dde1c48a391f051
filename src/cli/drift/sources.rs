//! The desired side, from everywhere that it is asked for.

use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use super::super::Failure;
use super::{Run, Seen};
use crate::drift::accept::Ignore;
use crate::drift::desired::{Desired, RenderContext, SourceKind, read_source};
use crate::owners::Managers;

/// Bytes of standard input that are read: no more can be parsed.
const LONGEST: u64 = 64 << 20;

/// What is desired, and what of it is not to be told.
pub(super) struct DesiredSide {
    pub(super) sources: Vec<Desired>,
    pub(super) ignores: Vec<Ignore>,
    pub(super) warnings: Vec<String>,
}

/// Reads every source.
pub(super) async fn read(run: &Run, _seen: &Seen) -> Result<DesiredSide, Failure> {
    let settings = &run.settings;
    let takes_stdin = run
        .sources
        .iter()
        .any(|source| source.kind == SourceKind::Stdin);
    let context = RenderContext {
        default_namespace: settings.default_namespace.as_deref().map(Into::into),
        stdin: if takes_stdin { Some(stdin()?) } else { None },
        ..RenderContext::default()
    };
    let mut side = DesiredSide {
        sources: Vec::new(),
        ignores: Vec::new(),
        warnings: Vec::new(),
    };
    for source in &run.sources {
        if source.kind == SourceKind::Auto {
            continue;
        }
        side.sources.push(read_source(source, &context).await);
    }
    Ok(side)
}

fn stdin() -> Result<Arc<[u8]>, Failure> {
    let mut text = Vec::new();
    io::stdin().lock().take(LONGEST).read_to_end(&mut text)?;
    Ok(text.into())
}

/// The table of managers, with those of a file.
pub(super) fn managers(path: Option<&Path>) -> Result<Option<Arc<Managers>>, Failure> {
    let Some(path) = path else { return Ok(None) };
    Err(format!("{}: managers", path.display()).into())
}
