//! What lists and watches look like on the wire.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use kube::client::Body;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::object::{ApiType, ParseError, RawObject};

/// One line of a watch: an event.
#[derive(Debug, Deserialize)]
pub struct WatchEvent {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// The object; of a bookmark its metadata alone, of an error a `Status`.
    pub object: RawObject,
}

impl WatchEvent {
    /// Reads a line. An object comes checked, its `apiVersion` and `kind` stamped from discovery.
    pub fn read(line: &[u8], api_type: &Arc<ApiType>) -> Result<Self, ParseError> {
        let mut event: Self = serde_json::from_slice(line).map_err(|error| ParseError::Json {
            line: error.line(),
            column: error.column(),
        })?;
        match event.kind {
            EventType::Added | EventType::Modified | EventType::Deleted => {
                event.object.stamp(api_type);
                event.object.key(api_type)?;
            }
            EventType::Bookmark | EventType::Error => {}
        }
        Ok(event)
    }
}

/// <https://kubernetes.io/docs/reference/using-api/api-concepts/#watch-bookmarks>
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum EventType {
    /// An object is new to this watch.
    Added,
    /// An object has changed.
    Modified,
    /// An object is gone; it is as it was before.
    Deleted,
    /// Nothing older than this is outstanding.
    Bookmark,
    /// The watch ends, and why.
    Error,
}

/// A page of a list: its items stay text until each is delivered.
#[derive(Debug)]
pub(super) struct Page {
    body: Bytes,
    items: std::vec::IntoIter<Range<usize>>,
    pub(super) continue_token: Option<String>,
    pub(super) resource_version: String,
}

#[derive(Deserialize)]
struct PageText<'a> {
    // The metadata of custom resources comes after the items.
    metadata: ListMeta,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    #[serde(default)]
    resource_version: String,
    #[serde(rename = "continue", default)]
    continue_token: Option<String>,
}

impl Page {
    pub(super) fn parse(body: Bytes) -> Result<Self, serde_json::Error> {
        let text: PageText<'_> = serde_json::from_slice(&body)?;
        let start = body.as_ptr() as usize;
        let items: Vec<_> = text
            .items
            .unwrap_or_default()
            .iter()
            .map(|item| {
                let at = item.get().as_ptr() as usize - start;
                at..at + item.get().len()
            })
            .collect();
        let ListMeta {
            resource_version,
            continue_token,
        } = text.metadata;
        Ok(Self {
            items: items.into_iter(),
            continue_token: continue_token.filter(|token| !token.is_empty()),
            resource_version,
            body,
        })
    }

    /// Size of the page in bytes.
    pub(super) fn len(&self) -> usize {
        self.body.len()
    }

    /// The next item as JSON text.
    pub(super) fn next_item(&mut self) -> Option<Bytes> {
        self.items.next().map(|range| self.body.slice(range))
    }
}

/// A line longer than this is not an object: etcd's own limit is 1.5 MB, custom servers' a few times that.
const LONGEST_LINE: usize = 64 << 20;

/// Cuts a body into lines. Cancel-safe: what was read stays.
pub(super) struct Lines {
    body: Body,
    buffer: BytesMut,
    /// How much of `buffer` has been searched for a line's end.
    searched: usize,
}

/// Why there is no further line.
pub(super) enum LinesEnd {
    /// The server ended the stream, perhaps inside a line: the rest of one is no line.
    Ended,
    /// The connection broke.
    Broken(String),
    /// A line went on without end.
    TooLong,
}

impl Lines {
    pub(super) fn new(body: Body) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            searched: 0,
        }
    }

    pub(super) async fn next(&mut self) -> Result<Bytes, LinesEnd> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[self.searched..]) {
                let line = self.buffer.split_to(self.searched + at).freeze();
                self.buffer.advance(1);
                self.searched = 0;
                return Ok(line);
            }
            self.searched = self.buffer.len();
            if self.searched > LONGEST_LINE {
                return Err(LinesEnd::TooLong);
            }
            match self.body.frame().await {
                None => return Err(LinesEnd::Ended),
                Some(Err(error)) => return Err(LinesEnd::Broken(super::api::describe(&error))),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}
