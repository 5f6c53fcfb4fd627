//! A page of a list.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Rows of a page if none are asked for.
pub const LIMIT_DEFAULT: u16 = 100;
/// Rows of a page at most.
pub const LIMIT_MAX: u16 = 1000;

/// Whether the smallest or the largest comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Smallest first.
    #[default]
    Asc,
    /// Largest first.
    Desc,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The rows, in the order that was asked for.
    pub items: Vec<T>,
    /// What to ask for the next page with, as `cursor`; null on the last one.
    pub next: Option<String>,
    /// Members of the cluster that did not answer in time: what they have is missing.
    pub silent: Vec<String>,
}
