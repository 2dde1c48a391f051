//! `strandline demo`.

use super::output::Output;
use super::{Exit, Failure};
use crate::config::DemoArgs;

pub(super) async fn run(_args: &DemoArgs, _output: &Output) -> Result<Exit, Failure> {
    Err("the demo comes with the simulator".into())
}
