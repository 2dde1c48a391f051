//! Lists: pages of one moment's state, and single objects.

use bytes::Bytes;
use futures_util::stream;

use super::query::{Continue, Match, Options, ResourcePath};
use super::selector::Selector;
use super::serve::{Answer, Broken};
use super::status::{self, Refused};
use super::store::{Page, Store, TypeState, place};
use super::{Failure, Refusal};

/// Bytes are handed to the connection in pieces of about this size.
const CHUNK: usize = 64 * 1024;

/// `"apiVersion":…,"kind":…,`, in the order in which the real server writes them.
pub(super) fn type_meta(state: &TypeState, path: &ResourcePath<'_>) -> String {
    let kind = &state.document.api_type.kind;
    let api_version = path.api_version();
    if state.document.custom {
        format!(r#""apiVersion":"{api_version}","kind":"{kind}","#)
    } else {
        format!(r#""kind":"{kind}","apiVersion":"{api_version}","#)
    }
}

/// The resourceVersion that a token, or options without one, stand for.
fn moment(
    store: &Store,
    state: &TypeState,
    options: &Options,
) -> Result<(u64, Option<String>), Refused> {
    let now = store.version();
    if let Some(token) = &options.continued {
        if !options.resource_version.is_empty() {
            return Err(status::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let token = Continue::decode(token)?;
        return match token.version {
            Some(version) if version < state.floor => Err(gone_from_continue(token)),
            version => Ok((version.unwrap_or(now), Some(token.start))),
        };
    }
    let asked = &options.resource_version;
    if asked.is_empty() || asked == "0" {
        return Ok((now, None));
    }
    let version: u64 = asked.parse().map_err(|_| status::list_at_nonsense(asked))?;
    if version > now {
        return Err(status::too_large_version(version, now));
    }
    let exact = match options.version_match {
        Some(given) => given == Match::Exact,
        // A page at a resourceVersion is exact unless the client says otherwise.
        None => options.limit.is_some(),
    };
    match exact {
        true if version < state.floor => Err(status::gone("list")),
        true => Ok((version, None)),
        false => Ok((now, None)),
    }
}

/// 410, with a token that goes on from the same place without consistency.
fn gone_from_continue(token: Continue) -> Refused {
    let onward = Continue {
        version: None,
        ..token
    };
    status::gone_from_continue(&onward.encode())
}

/// What [`Refusal::Gone`] looks like on this request.
pub(super) fn gone(options: &Options) -> Refused {
    match options.continued.as_deref().map(Continue::decode) {
        Some(Ok(token)) => gone_from_continue(token),
        Some(Err(refused)) => refused,
        None => status::gone(if options.watch { "watch" } else { "list" }),
    }
}

/// Answers a list.
pub(super) fn list(
    store: &Store,
    path: &ResourcePath<'_>,
    options: &Options,
    failure: Option<Failure>,
) -> Result<Answer, Refused> {
    let state = store.served(path)?;
    if options.send_initial_events.is_some() {
        return Err(status::invalid_options(
            "sendInitialEvents",
            "sendInitialEvents is forbidden for list",
        ));
    }
    let document = &state.document;
    let selector = Selector::parse(
        &options.labels,
        &options.fields,
        &document.api_type,
        document.custom,
    )
    .map_err(|message| status::bad_request(&message))?;
    let (version, start) = moment(store, state, options)?;
    // Seen on 1.36: with resourceVersion=0 the cache answers, and limit does not count.
    let mut limit = options.limit.filter(|_| options.resource_version != "0");
    if let Some(Failure::PageLimit(most)) = failure {
        limit = Some(limit.map_or(most, |limit| limit.min(most)));
    }
    let page = if failure == Some(Failure::EmptyList) {
        Page::default()
    } else {
        state.page(
            version,
            path.namespace,
            start.as_deref(),
            limit.unwrap_or(usize::MAX),
            |stored| selector.matches(stored),
        )
    };
    Ok(Answer::stream(render(
        state,
        path,
        version,
        page,
        selector.is_empty(),
        failure,
    )))
}

/// The pieces of a list's body.
fn render(
    state: &TypeState,
    path: &ResourcePath<'_>,
    version: u64,
    page: Page,
    count_rest: bool,
    failure: Option<Failure>,
) -> impl futures_util::Stream<Item = Result<Bytes, Broken>> + Send + 'static {
    let custom = state.document.custom;
    let head = type_meta(state, path);
    let list_kind = &state.document.list_kind;
    let api_version = path.api_version();
    let continued = (page.remaining > 0).then(|| {
        Continue {
            version: Some(version),
            start: page.last.clone(),
        }
        .encode()
    });
    let rest = match (&continued, count_rest) {
        (Some(_), true) => format!(r#","remainingItemCount":{}"#, page.remaining),
        _ => String::new(),
    };
    let (opening, closing) = if custom {
        (
            format!(r#"{{"apiVersion":"{api_version}","items":["#),
            format!(
                r#"],"kind":"{list_kind}","metadata":{{"continue":"{}"{rest},"resourceVersion":"{version}"}}}}"#,
                continued.unwrap_or_default(),
            ),
        )
    } else {
        let continued =
            continued.map_or_else(String::new, |token| format!(r#","continue":"{token}""#));
        (
            format!(
                r#"{{"kind":"{list_kind}","apiVersion":"{api_version}","metadata":{{"resourceVersion":"{version}"{continued}{rest}}},"items":["#
            ),
            "]}\n".to_owned(),
        )
    };
    let item_head = if custom {
        format!("{{{head}")
    } else {
        "{".to_owned()
    };
    let cut = match failure {
        Some(Failure::Cut { after, mid_line }) => Some((after, mid_line)),
        _ => None,
    };
    let mut items = page.objects.into_iter().enumerate();
    let mut opening = Some(opening);
    let mut closing = Some(closing);
    let mut broken = false;
    let pieces = std::iter::from_fn(move || {
        if broken {
            return Some(Err(Broken));
        }
        let mut piece = opening.take().unwrap_or_default().into_bytes();
        while piece.len() < CHUNK {
            let next = items.next();
            if let Some((after, mid_line)) = cut
                && next.as_ref().is_none_or(|(at, _)| *at >= after)
            {
                if let Some((_, object)) = next.filter(|_| mid_line) {
                    piece.extend_from_slice(item_head.as_bytes());
                    piece.extend_from_slice(&object.body[..object.body.len() / 2]);
                }
                broken = true;
                return Some(Ok(Bytes::from(piece)));
            }
            let Some((at, object)) = next else {
                piece.extend_from_slice(closing.take().unwrap_or_default().as_bytes());
                break;
            };
            if at > 0 {
                piece.push(b',');
            }
            piece.extend_from_slice(item_head.as_bytes());
            piece.extend_from_slice(&object.body);
        }
        (!piece.is_empty()).then(|| Ok(Bytes::from(piece)))
    });
    stream::iter(pieces)
}

/// Answers for a single object.
pub(super) fn get(store: &Store, path: &ResourcePath<'_>, name: &str) -> Result<Answer, Refused> {
    let state = store.served(path)?;
    let Some(object) = state.objects.get(&place(path.namespace, name)) else {
        return Err(status::no_such_object(path.asked("get"), name));
    };
    let mut body = format!("{{{}", type_meta(state, path)).into_bytes();
    body.extend_from_slice(&object.body);
    Ok(Answer::json(body.into()))
}

/// The HTTP error that a refusal stands for.
pub(super) fn refuse(refusal: Refusal, path: &ResourcePath<'_>, options: &Options) -> Refused {
    let verb = if options.watch {
        "watch"
    } else if path.name.is_some() {
        "get"
    } else {
        "list"
    };
    match refusal {
        Refusal::Unauthorized => status::unauthorized(),
        Refusal::Forbidden => status::forbidden(path.asked(verb)),
        Refusal::NotFound => status::no_such_resource(),
        Refusal::Gone => gone(options),
        Refusal::Unprocessable => status::invalid_options(
            "sendInitialEvents",
            "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
        ),
        Refusal::BadRequest => status::bad_request("unknown parameter sendInitialEvents"),
        Refusal::TooManyRequests(retry_after) => status::too_many_requests(retry_after),
        Refusal::Internal => status::internal_error(),
        Refusal::Unavailable => status::unavailable(),
    }
}
