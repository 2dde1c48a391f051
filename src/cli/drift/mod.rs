//! `strandline drift`.

mod print;

use super::output::Output;
use super::{Exit, Failure};
use crate::config::{DriftArgs, DriftSettings};

/// Compares, prints the report, and says how it went.
#[expect(
    clippy::unused_async,
    reason = "reading both sides comes with the evaluation"
)]
pub(super) async fn run(args: &DriftArgs, _output: &Output) -> Result<Exit, Failure> {
    let _settings = DriftSettings::new(args)?;
    Err("drift is not built yet".into())
}
