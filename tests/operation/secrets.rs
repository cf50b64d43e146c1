//! The calls of Secrets Manager.

use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::config::Region;
use serde_json::json;
use shared::config::Secret;
use shared::secrets;

use super::keys::{ARN, secrets_manager};
use crate::support::amazon::Asked;

const NEW: &str = "whsec_the_new_secret_9876543210";

#[tokio::test]
async fn secrets_manager_gets_signed_calls_in_its_protocol() {
    let secret = Arc::new(Mutex::new(None));
    let amazon = secrets_manager(secret).await;
    let aws = amazon.config();
    let named = Secret::Arn(ARN.into());
    let refused = secrets::read(&named, &aws).await.unwrap_err();
    assert_eq!(refused.to_string(), "AccessDeniedException: no");
    secrets::put(ARN, NEW, &aws).await.unwrap();
    assert_eq!(secrets::read(&named, &aws).await.unwrap(), NEW);
    let asked = amazon.asked();
    let targets: Vec<_> = asked.iter().map(|asked| asked.target.as_str()).collect();
    let [get, put] = ["secretsmanager.GetSecretValue", "secretsmanager.PutSecretValue"];
    assert_eq!(targets, [get, put, get]);
    let is_in_protocol = |asked: &Asked| {
        (asked.path.as_str(), asked.content_type.as_str()) == ("/", "application/x-amz-json-1.1")
    };
    assert!(asked.iter().all(is_in_protocol), "{asked:?}");
    assert_eq!(asked[2].body, json!({ "SecretId": ARN }));

    // The fake has these credentials' secret, but none of another key.
    let foreign = shared::aws::emulated();
    let foreign = foreign.to_builder().endpoint_url(aws.endpoint_url().unwrap()).build();
    let refused = secrets::read(&named, &foreign).await.unwrap_err();
    assert_eq!(refused.to_string(), "InvalidSignatureException: no message");
    let nowhere = aws.to_builder().region(None::<Region>).build();
    let refused = secrets::read(&named, &nowhere).await.unwrap_err();
    assert_eq!(refused.to_string(), "AWS_REGION must be set");
}
