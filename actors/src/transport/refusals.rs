//! WebSockets that were refused or closed for what their client did wrong.

use micro_mq_core::count::Counter;

use super::WebSocketRefusal;

/// Those of one worker, by reason. It alone writes them.
#[derive(Debug, Default)]
pub struct WebSocketRefusals([Counter; WebSocketRefusal::ALL.len()]);

impl WebSocketRefusals {
    /// One was refused or closed, if it was.
    pub(crate) fn count(&self, refusal: Option<WebSocketRefusal>) {
        if let Some(refusal) = refusal {
            self.0[refusal as usize].add(1);
        }
    }

    /// How many of each.
    pub fn all(&self) -> impl Iterator<Item = (WebSocketRefusal, u64)> {
        WebSocketRefusal::ALL.iter().map(|refusal| (*refusal, self.0[*refusal as usize].get()))
    }
}
