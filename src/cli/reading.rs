//! Reading a type once.

use std::sync::Arc;

use crate::cluster::{Cause, Cluster, Event, Reflector, ReflectorOptions, Scope, Selectors};
use crate::object::{ApiType, RawObject};

/// Reads every object of a type once, page by page; none is kept. Says why where it cannot.
pub(super) async fn each(
    cluster: &Cluster,
    api_type: &Arc<ApiType>,
    scope: &Scope,
    selectors: Selectors,
    mut see: impl FnMut(RawObject),
) -> Result<(), String> {
    let mut reflector = Reflector::new(
        cluster.clone(),
        api_type.clone(),
        scope.clone(),
        selectors,
        ReflectorOptions::default(),
        None,
        0,
    );
    let mut tries = 0;
    loop {
        match reflector.next().await {
            Event::Applied(object) => see(object),
            Event::Complete { .. } => return Ok(()),
            Event::Unknown { cause, reason } => {
                tries += 1;
                if cause.is_blind_spot() || tries >= TRIES {
                    return Err(format!("{}: {reason}", Cause::as_str(cause)));
                }
            }
            _ => {}
        }
    }
}

/// What may pass in a moment gets this many tries.
const TRIES: u32 = 3;
