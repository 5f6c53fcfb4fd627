//! The actors' figures, as the admin listener serves them.

use micro_mq_actors::{AdminHandle, Unanswered};

use crate::admin::{AdminError, AdminSource, Answer};

impl AdminSource for AdminHandle {
    fn ready(&self) -> bool {
        Self::ready(self)
    }

    fn metrics(&self) -> Answer<String> {
        let handle = self.clone();
        Box::pin(async move { Ok(handle.prometheus().await?) })
    }

    fn ledger(&self) -> Answer<serde_json::Value> {
        let handle = self.clone();
        Box::pin(async move { json(&handle.ledger().await?) })
    }

    fn client(&self, client_identifier: String) -> Answer<Option<serde_json::Value>> {
        let handle = self.clone();
        Box::pin(async move { handle.client_ledger(client_identifier).await?.as_ref().map(json).transpose() })
    }
}

impl From<Unanswered> for AdminError {
    fn from(_: Unanswered) -> Self {
        Self::Unavailable
    }
}

fn json(value: &impl serde::Serialize) -> Result<serde_json::Value, AdminError> {
    serde_json::to_value(value).map_err(|error| AdminError::Failed(error.into()))
}
