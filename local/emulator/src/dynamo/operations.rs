//! The operations of the embedded DynamoDB. Some operations differ from the database's own
//! operations: they use shard ids that AWS's SDKs accept, or describe an AWS account.

use axum::http::StatusCode;
use dynoxide::actions::describe_stream::{DescribeStreamRequest, DescribeStreamResponse};
use dynoxide::actions::describe_table::DescribeTableRequest;
use dynoxide::actions::get_shard_iterator::{GetShardIteratorRequest, GetShardIteratorResponse};
use dynoxide::actions::transact_write_items::TransactWriteItemsRequest;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Performs a call from an authorized caller, and returns the status and the body of the reply.
/// `target` is the `x-amz-target` header, and `host` is the `Host` header.
pub fn perform(database: &Database, target: &str, host: &str, body: &[u8]) -> (StatusCode, String) {
    let operation = target
        .strip_prefix("DynamoDB_20120810.")
        .or_else(|| target.strip_prefix("DynamoDBStreams_20120810."))
        .unwrap_or_default();
    let done = match operation {
        "DescribeContinuousBackups" => return describe_continuous_backups(database, body),
        "DescribeEndpoints" => Ok(endpoints(host).to_string()),
        "DescribeLimits" => Ok(limits().to_string()),
        "DescribeStream" => read(body)
            .and_then(|request| describe_stream(database, request))
            .and_then(|reply| written(&reply)),
        "GetShardIterator" => read(body)
            .and_then(|request| get_shard_iterator(database, request))
            .and_then(|reply| written(&reply)),
        _ => call(database, operation, body),
    };
    answered(done)
}

/// Performs a call that code in this process makes without a connection. No reply can be lost, so
/// the caller never repeats a transaction, and the database doesn't have to remember the
/// transaction's request token. If it did, every transaction would search through all transactions
/// from the last ten minutes.
pub fn perform_once(database: &Database, target: &str, body: &[u8]) -> (StatusCode, String) {
    if target != "DynamoDB_20120810.TransactWriteItems" {
        return perform(database, target, "in-process", body);
    }
    let done = read(body).and_then(|request: TransactWriteItemsRequest| {
        let request = TransactWriteItemsRequest { client_request_token: None, ..request };
        written(&database.transact_write_items(request)?)
    });
    answered(done)
}

macro_rules! operations {
    ($($name:literal => $method:ident,)*) => {
        /// Runs one database operation. The operation blocks the thread, but for less time than a
        /// switch to another thread would take.
        fn call(database: &Database, operation: &str, body: &[u8]) -> dynoxide::Result<String> {
            match operation {
                $($name => written(&database.$method(read(body)?)?),)*
                _ => Err(DynoxideError::ValidationException(format!("{operation:?} is no operation of this store."))),
            }
        }
    };
}

operations! {
    "BatchGetItem" => batch_get_item,
    "BatchWriteItem" => batch_write_item,
    "CreateTable" => create_table,
    "DeleteItem" => delete_item,
    "DeleteTable" => delete_table,
    "DescribeTable" => describe_table,
    "DescribeTimeToLive" => describe_time_to_live,
    "ExecuteStatement" => execute_statement,
    "GetItem" => get_item,
    "GetRecords" => get_records,
    "ListStreams" => list_streams,
    "ListTables" => list_tables,
    "PutItem" => put_item,
    "Query" => query,
    "Scan" => scan,
    "TransactGetItems" => transact_get_items,
    "TransactWriteItems" => transact_write_items,
    "UpdateItem" => update_item,
    "UpdateTable" => update_table,
    "UpdateTimeToLive" => update_time_to_live,
}

/// Describes a stream. The id of a stream's only shard has the form of
/// [DynamoDB's](https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Shard.html)
/// shard ids: 28 to 65 characters, which AWS's SDKs check before they send an id. The database
/// itself uses an id that contains the table's name and may be too short or too long.
fn describe_stream(
    database: &Database,
    request: DescribeStreamRequest,
) -> dynoxide::Result<DescribeStreamResponse> {
    let after = request.exclusive_start_shard_id.clone();
    let mut reply = database.describe_stream(request)?;
    let stream = &mut reply.stream_description;
    let id = shard_id(&stream.stream_label);
    stream.shards.retain(|_| after.as_ref() != Some(&id));
    for shard in &mut stream.shards {
        shard.shard_id.clone_from(&id);
    }
    Ok(reply)
}

fn get_shard_iterator(
    database: &Database,
    mut request: GetShardIteratorRequest,
) -> dynoxide::Result<GetShardIteratorResponse> {
    let stream_arn = request.stream_arn.clone();
    let stream = DescribeStreamRequest { stream_arn, ..DescribeStreamRequest::default() };
    let stream = database.describe_stream(stream)?.stream_description;
    let named = request.shard_id == shard_id(&stream.stream_label);
    let shard = stream.shards.into_iter().next().filter(|_| named).ok_or_else(|| {
        DynoxideError::ResourceNotFoundException(format!(
            "Requested resource not found: Shard: {}",
            request.shard_id
        ))
    })?;
    request.shard_id = shard.shard_id;
    database.get_shard_iterator(request)
}

/// Makes a stream's shard id from the stream's label. The label is the time at which the stream was
/// created: the seconds, a dot, and the nanoseconds.
fn shard_id(label: &str) -> String {
    let (second, nanosecond) = label.split_once('.').unwrap_or((label, ""));
    let number = |digits: &str| digits.parse::<u64>().unwrap_or_default();
    format!("shardId-{:020}-{:08x}", number(second), number(nanosecond))
}

/// Describes a table's backups. Tables here have no backups, so point-in-time recovery is always
/// off.
fn describe_continuous_backups(database: &Database, body: &[u8]) -> (StatusCode, String) {
    match read::<DescribeTableRequest>(body).and_then(|table| database.describe_table(table)) {
        Ok(_) => {
            let recovery = json!({ "PointInTimeRecoveryStatus": "DISABLED" });
            let backups = json!({
                "ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery,
            });
            (StatusCode::OK, json!({ "ContinuousBackupsDescription": backups }).to_string())
        }
        Err(DynoxideError::ResourceNotFoundException(_)) => {
            let table = serde_json::from_slice::<Value>(body).unwrap_or_default();
            let name = table.get("TableName").and_then(Value::as_str).unwrap_or_default();
            let body = json!({
                "__type": "com.amazonaws.dynamodb.v20120810#TableNotFoundException",
                "message": format!("Table not found: {name}"),
            });
            (StatusCode::BAD_REQUEST, body.to_string())
        }
        Err(error) => failed(&error),
    }
}

/// Returns the
/// [quotas](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html) of
/// a new AWS account. The embedded store doesn't enforce quotas.
fn limits() -> Value {
    json!({
        "AccountMaxReadCapacityUnits": 80_000, "AccountMaxWriteCapacityUnits": 80_000,
        "TableMaxReadCapacityUnits": 40_000, "TableMaxWriteCapacityUnits": 40_000,
    })
}

/// Returns this store's endpoint, under the host name that the caller used.
fn endpoints(host: &str) -> Value {
    json!({ "Endpoints": [{ "Address": host, "CachePeriodInMinutes": 1440 }] })
}

fn answered(done: dynoxide::Result<String>) -> (StatusCode, String) {
    done.map_or_else(|error| failed(&error), |reply| (StatusCode::OK, reply))
}

fn failed(error: &DynoxideError) -> (StatusCode, String) {
    let status = StatusCode::from_u16(error.status_code());
    (status.unwrap_or(StatusCode::BAD_REQUEST), error.to_json())
}

fn read<T: DeserializeOwned>(body: &[u8]) -> dynoxide::Result<T> {
    serde_json::from_slice(body)
        .map_err(|error| DynoxideError::SerializationException(error.to_string()))
}

fn written(reply: &impl Serialize) -> dynoxide::Result<String> {
    serde_json::to_string(reply)
        .map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}
