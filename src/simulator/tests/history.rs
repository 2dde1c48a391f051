//! Properties of the store alone: what it shows of any moment is what was there.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::config_map;
use crate::simulator::store::{Entry, Store};
use crate::simulator::{SimulatorOptions, Writer};

/// Names and values at one moment.
type Moment = BTreeMap<String, String>;

fn value(stored: &crate::simulator::store::Stored) -> String {
    stored.value()["data"]["key"].as_str().unwrap().to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Pages of any size at any resourceVersion add up to that moment, and the log leads from
    /// there to now.
    #[test]
    fn every_moment_can_be_read_and_followed(
        writes in proptest::collection::vec((0_u8..6, proptest::option::of(0_u8..3)), 1..40),
        limit in 1_usize..4,
    ) {
        let mut store = Store::new(1, SimulatorOptions::default().start);
        let api_type = store.find_type("configmaps").unwrap();
        let mut now = Moment::new();
        let mut moments = vec![(store.version(), now.clone())];
        for (name, value) in writes {
            let name = format!("m{name}");
            if let Some(value) = value {
                let object = config_map(&name, &value.to_string());
                store.apply(&Writer::update("test"), object).unwrap();
                now.insert(name, value.to_string());
            } else if now.remove(&name).is_some() {
                let key = crate::object::ObjectKey {
                    api_type: api_type.clone(),
                    namespace: Some("default".into()),
                    name: name.into(),
                };
                store.delete(&key).unwrap();
            }
            moments.push((store.version(), now.clone()));
        }
        let state = store.state(&api_type).unwrap();
        for (version, moment) in moments {
            let mut seen = Moment::new();
            let mut start = None;
            loop {
                let page = state.page(version, Some("default"), start.as_deref(), limit, |_| true);
                for object in &page.objects {
                    seen.insert(object.name.to_string(), value(object));
                }
                prop_assert_eq!(page.remaining, moment.len() - seen.len());
                if page.remaining == 0 {
                    break;
                }
                start = Some(page.last);
            }
            prop_assert_eq!(&seen, &moment);
            for entry in &state.log[state.after(version)..] {
                if let Entry::Change { before, after, tombstone, version } = entry {
                    prop_assert_eq!(after.is_none(), tombstone.is_some());
                    if let Some(object) = after {
                        prop_assert_eq!(object.version, *version);
                        let old = seen.insert(object.name.to_string(), value(object));
                        prop_assert_eq!(old, before.as_deref().map(value));
                    } else {
                        let name = before.as_ref().unwrap().name.to_string();
                        prop_assert!(seen.remove(&name).is_some());
                    }
                }
            }
            prop_assert_eq!(&seen, &now);
        }
    }
}
