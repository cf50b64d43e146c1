//! Counts how many times the SDK sends a request.

use std::cell::Cell;

use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use futures_util::future::BoxFuture;

tokio::task_local! {
    /// How many times the SDK has sent the watched request.
    static SENDS: Cell<u32>;
}

/// An interceptor that counts how many times the SDK sends a request. It is added to the whole
/// client, because the SDK would build a new configuration for each call that adds an interceptor.
#[derive(Debug)]
pub(in crate::store) struct SendCounter;

impl SendCounter {
    /// Runs a future that sends a request. Sets `sent_again` if the SDK sends the request more than
    /// once, because an earlier copy may then still arrive. The future is boxed because it is
    /// large, and every future around it would otherwise contain and move it.
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
        // The SDK sends requests in the caller's task, so the task-local variable is accessible
        // here. Outside of `watch`, the update fails, but then the count isn't needed.
        let _ = SENDS.try_with(|sends| sends.set(sends.get() + 1));
        Ok(())
    }
}
