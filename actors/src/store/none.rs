//! The backend of a node whose sessions end with its process: they live with their workers, and nowhere else.

use std::sync::Arc;

use micro_mq_core::records::Entry;

use super::backend::{Answer, Cursor, Home, Piece, SessionBackend, StoreError};

/// Keeps nothing.
#[derive(Debug, Default)]
pub struct NoBackend;

impl SessionBackend for NoBackend {
    fn append(&mut self, _: Arc<Entry>, answer: Answer) {
        answer.kept();
    }

    fn load(&mut self, _: &Home, _: Option<&Cursor>) -> Result<Piece, StoreError> {
        Ok(Piece::default())
    }
}
