//! The live side, as far as `auto` looks at it, from what the API server serves.

use std::sync::Arc;

use serde_json::Value;
use strandline::drift::desired::Identity;
use strandline::drift::live::{Coverage, Live, LiveObject, ServedKind};
use strandline::filter::Rules;
use strandline::owners::{Shape, Times, reported};

use super::support::plane::ControlPlane;
use super::support::{Failure, Result};

/// All objects of these types (`TYPE`, or `TYPE.GROUP`; cluster-scoped ones begin with `/`).
pub fn read(plane: &ControlPlane, types: &[&str]) -> Result<Live> {
    let mut live = Live::new(Arc::new(Rules::core()));
    for name in types {
        let resource = name.trim_start_matches('/');
        let list = plane.kubectl_json(&["get", resource, "-A"])?;
        for value in list["items"].as_array().into_iter().flatten() {
            let identity = Identity::of(value).ok_or_else(|| Failure::new("a nameless object"))?;
            let api_version = value["apiVersion"].as_str().unwrap_or_default();
            let version = api_version.rsplit('/').next().unwrap_or_default();
            let kind = ServedKind {
                group: identity.group.clone(),
                kind: identity.kind.clone(),
                resource: resource.into(),
                versions: vec![version.into()],
                namespaced: !name.starts_with('/'),
                coverage: Coverage::Complete,
            };
            live.kinds
                .insert((identity.group.clone(), identity.kind.clone()), kind);
            let shape = Shape {
                reported: reported(&identity.group, &identity.kind, value),
                ..Shape::default()
            };
            let mut recorded = value.clone();
            // Status is not recorded: what is needed of it travels in the shape.
            if let Value::Object(fields) = &mut recorded {
                fields.remove("status");
            }
            let object = LiveObject {
                version: version.into(),
                value: Arc::new(recorded).into(),
                shape: Arc::new(shape),
                times: Arc::new(Times::default()),
                path: "".into(),
            };
            live.objects.insert(identity, object);
        }
    }
    Ok(live)
}
