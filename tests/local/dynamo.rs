//! The embedded DynamoDB, as AWS's SDKs use it.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, ContinuousBackupsStatus, KeySchemaElement,
    KeyType, PointInTimeRecoveryStatus, ScalarAttributeType, StreamSpecification, StreamViewType,
};
use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use emulator::dynamo::{self, Data, Dynamo};
use shared::aws::{ServiceUrl, emulated_at};

/// Starts an in-memory store, and returns a client for its tables.
async fn store() -> (Dynamo, aws_sdk_dynamodb::Client) {
    let dynamo = Dynamo::start(&Data::Memory, ([127, 0, 0, 1], 0).into()).await.unwrap();
    let client = dynamo::client(&dynamo.url);
    (dynamo, client)
}

/// A client for the store's streams.
fn streams(dynamo: &Dynamo) -> aws_sdk_dynamodbstreams::Client {
    aws_sdk_dynamodbstreams::Client::new(&emulated_at(&ServiceUrl::parse(&dynamo.url).unwrap()))
}

/// Creates a table with a stream. Returns the stream's ARN.
async fn table_with_stream(client: &aws_sdk_dynamodb::Client, name: &str) -> String {
    let attribute = AttributeDefinition::builder()
        .attribute_name("pk")
        .attribute_type(ScalarAttributeType::S)
        .build()
        .unwrap();
    let key = KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash).build();
    let stream = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::KeysOnly)
        .build()
        .unwrap();
    let created = client
        .create_table()
        .table_name(name)
        .attribute_definitions(attribute)
        .key_schema(key.unwrap())
        .billing_mode(BillingMode::PayPerRequest)
        .stream_specification(stream)
        .send()
        .await
        .unwrap();
    created.table_description.unwrap().latest_stream_arn.unwrap()
}

#[tokio::test]
async fn stream_shard_ids_are_accepted_by_the_sdks() {
    let (dynamo, client) = store().await;
    let streams = streams(&dynamo);
    let long = "t".repeat(255);
    for name in ["abc", "TokensOfATest", &long] {
        let stream = table_with_stream(&client, name).await;
        let put = client.put_item().table_name(name).item("pk", AttributeValue::S("x".into()));
        put.send().await.unwrap();
        let described = streams.describe_stream().stream_arn(&stream).send().await.unwrap();
        let shards = described.stream_description.unwrap().shards.unwrap();
        let [shard] = &shards[..] else { panic!("{shards:?}") };
        let id = shard.shard_id.as_deref().unwrap();
        // boto3 checks these lengths before it sends a call.
        assert!((28..=65).contains(&id.len()), "{id}");
        let from = shard.sequence_number_range.as_ref().unwrap().starting_sequence_number.as_ref();
        assert!((21..=40).contains(&from.unwrap().len()), "{from:?}");

        let place = streams.get_shard_iterator().stream_arn(&stream).shard_id(id);
        let place = place.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
        let read = streams.get_records().shard_iterator(place.shard_iterator.unwrap());
        assert_eq!(read.send().await.unwrap().records.unwrap().len(), 1, "{name}");

        let later = streams.describe_stream().stream_arn(&stream).exclusive_start_shard_id(id);
        let later = later.send().await.unwrap().stream_description.unwrap();
        assert!(later.shards.unwrap_or_default().is_empty(), "a second page has no other shard");
        let other = streams
            .get_shard_iterator()
            .stream_arn(&stream)
            .shard_id("shardId-00000000000000000001-00000000")
            .shard_iterator_type(ShardIteratorType::TrimHorizon);
        let refused = other.send().await.unwrap_err().into_service_error();
        assert!(refused.is_resource_not_found_exception(), "{refused:?}");
    }
}

#[tokio::test]
async fn account_descriptions_work_and_tables_have_no_backups() {
    let (dynamo, client) = store().await;
    let limits = client.describe_limits().send().await.unwrap();
    assert_eq!(
        (limits.account_max_read_capacity_units, limits.table_max_write_capacity_units),
        (Some(80_000), Some(40_000))
    );
    let endpoints = client.describe_endpoints().send().await.unwrap().endpoints;
    assert_eq!(endpoints[0].address, dynamo.address.to_string());
    let backups = client.describe_continuous_backups().table_name("UsersTable").send().await;
    let backups = backups.unwrap().continuous_backups_description.unwrap();
    assert_eq!(backups.continuous_backups_status, ContinuousBackupsStatus::Enabled);
    assert_eq!(
        backups.point_in_time_recovery_description.unwrap().point_in_time_recovery_status,
        Some(PointInTimeRecoveryStatus::Disabled)
    );
    let missing = client.describe_continuous_backups().table_name("Nothing").send().await;
    let missing = missing.unwrap_err().into_service_error();
    assert!(missing.is_table_not_found_exception(), "{missing:?}");
}
