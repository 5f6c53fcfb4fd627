//! What went wrong, in the form of RFC 9457.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why there is no other answer (RFC 9457), as `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What kind of problem it is: `about:blank`, that is none but what the status says.
    pub r#type: String,
    /// The status in words.
    pub title: String,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What is wrong with this request.
    pub detail: String,
}

impl Problem {
    /// A problem that is no more than its status and a sentence.
    pub fn new(status: u16, title: &str, detail: impl Into<String>) -> Self {
        Self { r#type: "about:blank".to_owned(), title: title.to_owned(), status, detail: detail.into() }
    }
}
