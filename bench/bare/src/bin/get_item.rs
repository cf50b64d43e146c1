//! Measures the cost of lambda_http and AWS's SDK together, with the functions' HTTP client: the
//! function reads one item, an account, from DynamoDB and replies "hello". The request contains the
//! account's username instead of an access token.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use lambda_http::{Body, Error, Request, Response, run, service_fn};
use shared::aws::{ServiceUrl, emulated_at};

fn main() -> Result<(), Error> {
    let endpoint = ServiceUrl::parse(&std::env::var("DYNAMODB_ENDPOINT")?).ok_or("no endpoint")?;
    let (client, table) = (Client::new(&emulated_at(&endpoint)), std::env::var("USERS_TABLE")?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(service_fn(|request: Request| {
        let read = client.get_item().table_name(&table).consistent_read(true);
        async move {
            let token = request.headers()["authorization"].to_str()?;
            let name = token.split(' ').next_back().ok_or("no name")?;
            let read = read.key("pk", AttributeValue::S(format!("user:{name}"))).send().await?;
            read.item.ok_or("no such account")?;
            Ok::<_, Error>(Response::new(Body::from("hello")))
        }
    })))
}
