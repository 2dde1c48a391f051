//! What the reflector decides.

use super::*;

fn watching(rv: &str) -> Machine {
    let (mut machine, effects) = Machine::start(ListMode::Pages, None);
    assert_eq!(effects, [Effect::AcquirePermit]);
    machine.step(Input::Permit);
    machine.step(Input::Page {
        bytes: 10,
        continue_token: None,
        resource_version: rv.to_owned(),
    });
    machine
}

fn rv(text: &str) -> String {
    text.to_owned()
}

#[test]
fn pages_are_read_to_the_last_and_then_watched() {
    let (mut machine, _) = Machine::start(ListMode::Pages, None);
    assert_eq!(
        machine.step(Input::Permit),
        [
            Effect::Restarted,
            Effect::ListPage {
                limit: 500,
                continue_token: None
            }
        ]
    );
    let more = Input::Page {
        bytes: LARGE_PAGE + 1,
        continue_token: Some(rv("t")),
        resource_version: rv("5"),
    };
    assert_eq!(
        machine.step(more),
        [Effect::ListPage {
            limit: 250,
            continue_token: Some(rv("t"))
        }],
        "a large page halves the next ones"
    );
    let last = Input::Page {
        bytes: 1,
        continue_token: None,
        resource_version: rv("5"),
    };
    assert_eq!(
        machine.step(last),
        [
            Effect::ReleasePermit,
            Effect::Complete {
                resource_version: rv("5")
            },
            Effect::OpenWatch {
                resource_version: rv("5")
            },
        ]
    );
}

#[test]
fn watch_list_is_complete_at_its_end_bookmark_only() {
    let (mut machine, _) = Machine::start(ListMode::WatchList, None);
    assert_eq!(
        machine.step(Input::Permit),
        [Effect::Restarted, Effect::OpenWatchList]
    );
    assert_eq!(
        machine.step(Input::Object {
            resource_version: rv("1")
        }),
        []
    );
    assert_eq!(
        machine.step(Input::Bookmark {
            resource_version: rv("2")
        }),
        []
    );
    assert_eq!(
        machine.step(Input::InitialEventsEnd {
            resource_version: rv("3")
        }),
        [
            Effect::ReleasePermit,
            Effect::Complete {
                resource_version: rv("3")
            }
        ]
    );
}

#[test]
fn refused_silent_or_cut_watch_lists_fall_back_to_pages() {
    let ends = [
        Input::Failed(Failure::Unsupported),
        Input::Failed(Failure::NotListable),
        Input::Silent,
        Input::Ended {
            lasted: Duration::ZERO,
        },
    ];
    for end in ends {
        let (mut machine, _) = Machine::start(ListMode::WatchList, None);
        machine.step(Input::Permit);
        let effects = machine.step(end.clone());
        assert!(
            effects.contains(&Effect::ReleasePermit),
            "{end:?} keeps the permit"
        );
        assert!(
            !effects.iter().any(|e| matches!(e, Effect::Complete { .. })),
            "{end:?}"
        );
        machine.step(Input::Elapsed);
        let effects = machine.step(Input::Permit);
        assert!(
            effects.contains(&Effect::ListPage {
                limit: 500,
                continue_token: None
            }),
            "{end:?}: {effects:?}"
        );
    }
}

#[test]
fn an_expired_watch_lists_again_at_once_and_an_expired_list_after_a_pause() {
    let mut machine = watching("5");
    let effects = machine.step(Input::Failed(Failure::Expired));
    assert_eq!(effects, [Effect::Close, Effect::AcquirePermit]);
    machine.step(Input::Permit);
    let effects = machine.step(Input::Failed(Failure::Expired));
    assert!(
        matches!(effects.last(), Some(Effect::Wait { .. })),
        "{effects:?}"
    );
    assert!(effects.contains(&Effect::ReleasePermit));
}

#[test]
fn a_server_that_always_says_410_is_not_asked_in_a_hot_loop() {
    let mut machine = watching("5");
    let mut waits = 0;
    for _ in 0..20 {
        for effect in machine.step(Input::Failed(Failure::Expired)) {
            if matches!(effect, Effect::Wait { .. }) {
                waits += 1;
                machine.step(Input::Elapsed);
            }
        }
        machine.step(Input::Permit);
    }
    assert!(waits >= 19, "only {waits} pauses in 20 rounds");
}

#[test]
fn a_cut_stream_resumes_where_it_was_with_growing_pauses() {
    let mut machine = watching("5");
    machine.step(Input::Object {
        resource_version: rv("7"),
    });
    let mut last = Duration::ZERO;
    for _ in 0..12 {
        let effects = machine.step(Input::Ended {
            lasted: Duration::ZERO,
        });
        let Some(Effect::Wait { base }) = effects.last() else {
            panic!("{effects:?}")
        };
        assert!(
            *base >= FLOOR && *base <= CEILING && *base >= last,
            "{base:?}"
        );
        last = *base;
        assert_eq!(
            machine.step(Input::Elapsed),
            [Effect::OpenWatch {
                resource_version: rv("7")
            }]
        );
    }
    assert_eq!(last, CEILING);
    let effects = machine.step(Input::Ended {
        lasted: Duration::from_secs(300),
    });
    assert_eq!(
        effects.last(),
        Some(&Effect::Wait { base: FLOOR }),
        "a healthy stream resets"
    );
}

#[test]
fn failures_mean_unknown_and_never_complete() {
    let failures = [
        (Failure::Forbidden, Cause::Forbidden),
        (Failure::NotFound, Cause::NotServed),
        (Failure::NotListable, Cause::NotListable),
        (Failure::Unauthorized, Cause::Unauthorized),
        (Failure::Throttled { retry_after: None }, Cause::Throttled),
        (Failure::Server { retry_after: None }, Cause::Unreachable),
        (Failure::Transport, Cause::Unreachable),
        (Failure::Garbled, Cause::Unreachable),
    ];
    for (failure, cause) in failures {
        let (mut machine, _) = Machine::start(ListMode::Pages, None);
        machine.step(Input::Permit);
        let effects = machine.step(Input::Failed(failure));
        assert!(
            effects.contains(&Effect::Unknown(cause)),
            "{failure:?}: {effects:?}"
        );
        assert!(effects.contains(&Effect::ReleasePermit), "{failure:?}");
        assert!(
            matches!(effects.last(), Some(Effect::Wait { .. })),
            "{failure:?}"
        );
        assert_eq!(
            machine.step(Input::Elapsed),
            [Effect::AcquirePermit],
            "{failure:?}"
        );
    }
}

#[test]
fn retry_after_is_the_least_pause_and_a_throttled_watch_resumes() {
    let mut machine = watching("5");
    let retry_after = Some(Duration::from_secs(7));
    let effects = machine.step(Input::Failed(Failure::Throttled { retry_after }));
    assert_eq!(
        effects.last(),
        Some(&Effect::Wait {
            base: Duration::from_secs(7)
        })
    );
    machine.step(Input::Elapsed);
    assert_eq!(
        machine.step(Input::Bookmark {
            resource_version: rv("9")
        }),
        [
            Effect::Recovered,
            Effect::Progress {
                resource_version: rv("9")
            }
        ]
    );
}

#[test]
fn a_relist_on_request_closes_the_watch_and_queues() {
    let mut machine = watching("5");
    assert_eq!(
        machine.step(Input::Relist),
        [Effect::Close, Effect::AcquirePermit]
    );
    assert_eq!(machine.step(Input::Relist), [], "one list at a time");
}

#[test]
fn a_cursor_starts_with_a_watch() {
    let (_, effects) = Machine::start(ListMode::Pages, Some(rv("5")));
    assert_eq!(
        effects,
        [Effect::OpenWatch {
            resource_version: rv("5")
        }]
    );
}

#[test]
fn a_bookmark_without_a_resource_version_moves_nothing() {
    let mut machine = watching("5");
    assert_eq!(
        machine.step(Input::Bookmark {
            resource_version: rv("")
        }),
        []
    );
    machine.step(Input::Object {
        resource_version: rv(""),
    });
    machine.step(Input::Ended { lasted: HEALTHY });
    assert_eq!(
        machine.step(Input::Elapsed),
        [Effect::OpenWatch {
            resource_version: rv("5")
        }]
    );
}
