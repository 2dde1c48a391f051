//! What our credentials may do, found out by doing it: reviews would need the right to create.

use super::api::{Answer, ApiError, Failure};
use super::client::Cluster;
use super::reflector::{Scope, path};
use crate::object::ApiType;

impl Cluster {
    /// Tries to list one object and to open a watch; returns what is missing, in words, or `None`
    /// where both may be done.
    pub async fn rights(
        &self,
        api_type: &ApiType,
        scope: &Scope,
    ) -> Result<Option<String>, ApiError> {
        let base = path(api_type, scope);
        let tries = [
            ("listed", format!("{base}?limit=1")),
            (
                "watched",
                format!("{base}?watch=true&timeoutSeconds=1&resourceVersion=0"),
            ),
        ];
        for (act, url) in tries {
            match self.get(&url, &[]).await {
                Ok(Answer::Success(_) | Answer::NotModified) => {}
                Err(error) if error.failure == Failure::Forbidden => {
                    return Ok(Some(format!(
                        "may not be {act}: its files would stay as they are"
                    )));
                }
                Err(error) if error.failure == Failure::NotListable => {
                    return Ok(Some(format!("cannot be {act}")));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
