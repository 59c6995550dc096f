//! A streaming answer, once its first content is there.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tollgate_wire::exchange::{Relay, State};
use tollgate_wire::ir::Fault;

use crate::attempts::note;
use crate::body::Body;
use crate::dispatch::stream_failure;
use crate::provider::Provider;
use crate::within::within;

/// How long the end of an answer is waited for once its final event is there, so that the connection can be used again.
const LINGER: Duration = Duration::from_millis(100);

/// A streaming answer. Dropping it stops the upstream call; the books up to there are in [`Self::state`].
#[derive(Debug)]
pub struct LiveStream {
    pub(crate) relay: Relay,
    pub(crate) body: Body,
    pub(crate) provider: Arc<Provider>,
    pub(crate) begun: std::time::Instant,
    pub(crate) deadline: Instant,
    /// What came up to its first content.
    pub(crate) held: Option<Vec<u8>>,
}

/// What a step of a stream brought.
#[derive(Debug)]
pub enum Step {
    /// Bytes for the client. When [`LiveStream::state`] is done now, nothing comes after them.
    Bytes(Bytes),
    /// Bytes for the client, the last ones (possibly none): the answer is complete.
    Last(Bytes),
    /// Bytes for the client, the last ones: an error event, since the upstream failed in the middle.
    Failed(Bytes, Fault),
}

impl LiveStream {
    /// What was seen so far.
    pub fn state(&self) -> &State {
        self.relay.state()
    }

    /// The next bytes. Not to be called again after `Last` or `Failed`.
    pub async fn step(&mut self, request_id: &str) -> Step {
        if let Some(held) = self.held.take() {
            return Step::Bytes(held.into());
        }
        if self.relay.state().done {
            // The client has everything. The connection goes back to the pool only if its end was read.
            let until = Instant::now() + LINGER;
            let _ = within(until, async { while let Ok(Some(_)) = self.body.chunk().await {} }).await;
            return Step::Last(Bytes::new());
        }
        let mut out = Vec::new();
        let ended = loop {
            match self.body.chunk_within(self.provider.idle_timeout(), self.deadline).await {
                Ok(Some(bytes)) => match self.relay.chunk(&bytes, &mut out) {
                    Ok(()) if out.is_empty() && !self.relay.state().done => {}
                    Ok(()) => return Step::Bytes(out.into()),
                    Err(fault) => break Err(stream_failure(fault)),
                },
                Ok(None) => break self.relay.finish(&mut out).map_err(stream_failure),
                Err(error) => break Err(error.into()),
            }
        };
        match ended {
            Ok(()) => Step::Last(out.into()),
            Err(failure) => {
                note(&self.provider, None, &failure, self.begun);
                let fault = failure.for_client();
                self.relay.fail(&fault, request_id, &mut out);
                Step::Failed(out.into(), fault)
            }
        }
    }
}
