//! Counts how often the SDK sends a request.

use std::cell::Cell;

use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use futures_util::future::BoxFuture;

tokio::task_local! {
    /// How often the SDK has sent the request that is being watched.
    static SENDS: Cell<u32>;
}

/// The client's interceptor that counts how often the SDK sends a request. It belongs to the client,
/// since for an interceptor of a single call the SDK builds a configuration for that call.
#[derive(Debug)]
pub(in crate::store) struct SendCounter;

impl SendCounter {
    /// Runs a future that sends a request. `sent_again` becomes true if the SDK sends the request more
    /// than once: an earlier copy may still arrive. Takes a box, since the future is large, and each
    /// layer around it would move it over the stack.
    pub(in crate::store) async fn watch<T>(sending: BoxFuture<'_, T>, sent_again: &mut bool) -> T {
        let counted = async {
            let sent = sending.await;
            *sent_again |= SENDS.with(Cell::get) > 1;
            sent
        };
        SENDS.scope(Cell::new(0), counted).await
    }
}

impl Intercept for SendCounter {
    fn name(&self) -> &'static str {
        "Sends"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // Fails outside of `watch`: how often a read is sent doesn't matter. The SDK sends in the
        // caller's task.
        let _ = SENDS.try_with(|sends| sends.set(sends.get() + 1));
        Ok(())
    }
}
