//! Trace spans for DynamoDB calls. The interceptor is added only if tracing is enabled.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use aws_sdk_dynamodb::config::interceptors::{
    BeforeSerializationInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemInput;
use aws_sdk_dynamodb::operation::get_item::GetItemInput;
use aws_sdk_dynamodb::operation::put_item::PutItemInput;
use aws_sdk_dynamodb::operation::query::QueryInput;
use aws_sdk_dynamodb::operation::scan::ScanInput;
use aws_sdk_dynamodb::operation::update_item::UpdateItemInput;
use aws_smithy_runtime_api::client::interceptors::context::Input;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_types::config_bag::{Storable, StoreReplace};

use crate::telemetry::trace::{self, Attributes, Trace};

/// Records a span for each DynamoDB call that is part of a trace.
#[derive(Debug)]
pub(in crate::store) struct TraceInterceptor;

impl Intercept for TraceInterceptor {
    fn name(&self) -> &'static str {
        "Traced"
    }

    /// Starts the span in this hook, because earlier hooks can't access the operation.
    fn read_before_serialization(
        &self,
        context: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(trace) = trace::recorded() else { return Ok(()) };
        let operation = bag.load::<Metadata>().map_or("", Metadata::name).to_owned();
        let (table, began) = (table(context.input()).map(str::to_owned), Instant::now());
        let running =
            RunningCall { trace, operation, table, began, has_ended: AtomicBool::new(false) };
        bag.interceptor_state().store_put(running);
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(running) = bag.load::<RunningCall>() else { return Ok(()) };
        let mut said = Attributes::new();
        let attempts = bag.load::<RequestAttempts>().map_or(1, RequestAttempts::attempts);
        if attempts > 1 {
            said.push(("http.request.resend_count", (attempts - 1).into()));
        }
        let response = context.response();
        if let Some(response) = response {
            said.push(("http.response.status_code", u32::from(response.status().as_u16()).into()));
        }
        let failure = match context.output_or_error() {
            Some(Ok(_)) => None,
            Some(Err(error)) if error.is_operation_error() => {
                let body = response.and_then(|response| response.body().bytes());
                let code = body.and_then(code).unwrap_or("unknown");
                said.push(("db.response.status_code", code.into()));
                // A refused conditional write isn't a failure.
                (!REFUSALS.contains(&code)).then_some(code)
            }
            Some(Err(error)) if error.is_timeout_error() => Some("timeout"),
            _ => Some("no_answer"),
        };
        running.end(said, failure);
        Ok(())
    }
}

/// The error codes that DynamoDB returns when a condition doesn't hold.
const REFUSALS: [&str; 2] = ["ConditionalCheckFailedException", "TransactionCanceledException"];

/// A call in progress. If this value is dropped early, the span ends with the error `given_up`.
#[derive(Debug)]
struct RunningCall {
    trace: Trace,
    operation: String,
    table: Option<String>,
    began: Instant,
    has_ended: AtomicBool,
}

impl Storable for RunningCall {
    type Storer = StoreReplace<Self>;
}

impl RunningCall {
    fn end(&self, said: Attributes, failure: Option<&str>) {
        if self.has_ended.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut attributes = vec![
            ("db.system.name", "aws.dynamodb".into()),
            ("db.operation.name", self.operation.as_str().into()),
        ];
        attributes.extend(self.table.as_deref().map(|table| ("db.collection.name", table.into())));
        attributes.extend(said);
        let name = match &self.table {
            Some(table) => format!("{} {table}", self.operation),
            None => self.operation.clone(),
        };
        self.trace.call(name, self.began, attributes, failure);
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        self.end(Attributes::new(), Some("given_up"));
    }
}

/// Returns the table that a call uses. `None` if the call may use several tables.
fn table(input: &Input) -> Option<&str> {
    macro_rules! of {
        ($($type:ident)+) => {
            $(if let Some(input) = input.downcast_ref::<$type>() {
                return input.table_name();
            })+
        };
    }
    of!(UpdateItemInput GetItemInput QueryInput PutItemInput ScanInput DeleteItemInput);
    None
}

/// Returns the error code in the body of DynamoDB's reply:
/// `{"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", ..}`.
fn code(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, after) = text.split_once(r#""__type""#)?;
    let kind = after.split('"').nth(1)?;
    let code = kind.rsplit('#').next()?;
    let is_code = code.len() <= 80 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_code.then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_error_code_is_recorded() {
        for (body, expected) in [
            (
                r#"{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"x"}"#,
                Some("ConditionalCheckFailedException"),
            ),
            (r#"{"__type" : "ThrottlingException"}"#, Some("ThrottlingException")),
            (r#"{"__type":"a secret, and more"}"#, None),
            (r#"{"message":"x"}"#, None),
            ("", None),
        ] {
            assert_eq!(code(body.as_bytes()), expected, "{body}");
        }
        assert_eq!(code(b"\xff"), None);
    }
}
