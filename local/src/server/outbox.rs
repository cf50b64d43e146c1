//! Delivers the outbox: follows the Tokens table's stream as Lambda does, and calls the `mail`
//! function for each new outgoing e-mail. The e-mail isn't sent. Instead it is printed as a line,
//! and stored as a file if there is a data folder.

use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::types::AttributeValue;
use functions::background::mail;
use futures_util::FutureExt;
use serde_json::{Value, json};
use shared::app::MailApp;
use shared::aws::{Call, JsonApi, Service, ServiceUrl, emulated_at};
use shared::clock::rfc3339;
use shared::mail::{Mail, MailTransport};
use shared::store::OUTBOX;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;

use crate::say;
use crate::server::scheduled::traced;
use emulator::dynamo::{Data, MAILS, make_private_folder, write_private};

/// The time between two reads of the stream.
const PAUSE: Duration = Duration::from_millis(100);

/// How long to wait before the next attempt after a store failure.
const LONG_PAUSE: Duration = Duration::from_secs(1);

/// The e-mails of this run, in the order in which they were sent.
pub type SentMails = watch::Receiver<Vec<Mail>>;

/// Delivers the e-mails in a store's outbox.
pub struct OutboxWorker {
    mailing: MailApp,
    endpoint: ServiceUrl,
    delivered: UnboundedReceiver<Mail>,
    folder: Option<PathBuf>,
    sent: watch::Sender<Vec<Mail>>,
}

impl OutboxWorker {
    /// Returns a worker for the store that `mailing` uses. The store's data is in `data`. `None` if
    /// the store is on AWS, where Lambda follows the stream.
    pub fn new(mailing: MailApp, data: &Data) -> Option<Self> {
        let endpoint = mailing.config.dynamodb_endpoint.clone().filter(ServiceUrl::is_emulator)?;
        let (deliver, delivered) = unbounded_channel();
        let folder = match data {
            Data::Folder(folder) => Some(folder.join(MAILS)),
            Data::Memory => None,
        };
        Some(Self {
            mailing: MailApp { transport: MailTransport::Channel(deliver), ..mailing },
            endpoint,
            delivered,
            folder,
            sent: watch::Sender::default(),
        })
    }

    /// Returns a receiver for the e-mails that were sent, including later e-mails.
    pub fn sent(&self) -> SentMails {
        self.sent.subscribe()
    }

    /// Delivers e-mails until the task is aborted. If the store fails, starts again from the
    /// outbox, which no longer contains the e-mails that were already sent.
    pub async fn work(mut self) {
        let mut warned = false;
        loop {
            if let Err(cause) = self.follow().await {
                if !warned {
                    tracing::warn!(cause, "e-mails can't be delivered now");
                    warned = true;
                }
                tokio::time::sleep(LONG_PAUSE).await;
            }
        }
    }

    /// Sends the e-mails in the outbox and then each new e-mail, until a shard of the stream ends.
    async fn follow(&mut self) -> Result<(), String> {
        let streams = Streams::at(&self.endpoint);
        // Read the positions in the stream first. Otherwise an e-mail could be missed if it is
        // added while the outbox is being read.
        let mut places = self.places(&streams).await?;
        for key in self.waiting().await? {
            self.deliver(key).await;
        }
        loop {
            for place in &mut places {
                let (records, next) = streams.records(place).await?;
                for record in records {
                    if let Some(key) = new_email(&record) {
                        self.deliver(key).await;
                    }
                }
                let Some(next) = next else { return Ok(()) };
                *place = next;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&emulated_at(&self.endpoint))
    }

    /// Returns the position of the end of each open shard in the stream.
    async fn places(&self, streams: &Streams) -> Result<Vec<String>, String> {
        let table = self
            .dynamodb()
            .describe_table()
            .table_name(&self.mailing.config.tables.tokens)
            .send()
            .await;
        let table = table.map_err(|error| cause(&error))?.table;
        let stream = table
            .and_then(|table| table.latest_stream_arn)
            .ok_or("the table Tokens has no stream; use another data folder")?;
        let mut places = Vec::new();
        for shard in streams.shards(&stream).await? {
            places.extend(streams.end(&stream, &shard).await?);
        }
        Ok(places)
    }

    /// Returns the keys of the e-mails in the outbox.
    async fn waiting(&self) -> Result<Vec<String>, String> {
        let scan = self
            .dynamodb()
            .scan()
            .table_name(&self.mailing.config.tables.tokens)
            .consistent_read(true);
        let scan = scan
            .filter_expression("begins_with(pk, :outbox)")
            .expression_attribute_values(":outbox", AttributeValue::S(OUTBOX.into()));
        let items = scan
            .projection_expression("pk")
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await;
        let items = items.map_err(|error| cause(&error))?;
        Ok(items.iter().filter_map(|item| item.get("pk")?.as_s().ok().cloned()).collect())
    }

    /// Delivers an outgoing e-mail. Shows the e-mail after its item is deleted from the outbox.
    async fn deliver(&mut self, key: String) {
        let sent = mail::work(self.mailing.clone(), key).boxed();
        if let Err(error) = traced(Some(&self.mailing.app), ("mail", "datasource"), sent).await {
            tracing::error!(
                code = error.code(),
                cause = error.cause(),
                "an e-mail could not be sent"
            );
        }
        while let Ok(mail) = self.delivered.try_recv() {
            self.show(&mail);
            self.sent.send_modify(|sent| sent.push(mail));
        }
    }

    fn show(&self, mail: &Mail) {
        // The line that contains the link, or only the link token.
        let link = mail
            .text
            .lines()
            .find(|line| line.len() >= 43 && !line.contains(' '))
            .unwrap_or_default();
        say!("E-mail to {}: {} {link}", mail.to, mail.subject);
        let Some(folder) = &self.folder else { return };
        let file = folder.join(format!(
            "{}-{}.txt",
            rfc3339(self.mailing.clock.millis()).replace(':', "-"),
            self.mailing.clock.id().simple()
        ));
        let text = format!("To: {}\nSubject: {}\n\n{}", mail.to, mail.subject, mail.text);
        let written = make_private_folder(folder)
            .map_err(|error| error.to_string())
            .and_then(|()| write_private(&file, &text));
        if let Err(error) = written {
            tracing::error!(error, "an e-mail can't be stored");
        }
    }
}

fn cause<E: std::error::Error>(error: &E) -> String {
    DisplayErrorContext(error).to_string()
}

/// Returns the key of a new outgoing e-mail, if the record describes one. The template's Lambda
/// trigger has the same filter.
fn new_email(record: &Value) -> Option<String> {
    let key = text(record, "/dynamodb/Keys/pk/S")?;
    (text(record, "/eventName")? == "INSERT" && key.starts_with(OUTBOX)).then_some(key)
}

fn text(reply: &Value, pointer: &str) -> Option<String> {
    reply.pointer(pointer)?.as_str().map(str::to_owned)
}

fn list(reply: &Value, pointer: &str) -> Vec<Value> {
    reply.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// The three operations that are needed from [DynamoDB
/// Streams](https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB_Streams.html).
struct Streams(JsonApi);

impl Streams {
    fn at(endpoint: &ServiceUrl) -> Self {
        let service = Service { host: "streams.dynamodb", name: "dynamodb" };
        Self(JsonApi::new(&service, &emulated_at(endpoint)))
    }

    /// Returns the ids of the stream's shards.
    async fn shards(&self, stream: &str) -> Result<Vec<String>, String> {
        let asked = json!({ "StreamArn": stream });
        let reply = self.ask("DynamoDBStreams_20120810.DescribeStream", &asked).await?;
        let shards = list(&reply, "/StreamDescription/Shards");
        Ok(shards.iter().filter_map(|shard| text(shard, "/ShardId")).collect())
    }

    /// Returns an iterator at a shard's end, which reads later records.
    async fn end(&self, stream: &str, shard: &str) -> Result<Option<String>, String> {
        let asked = json!({ "StreamArn": stream, "ShardId": shard, "ShardIteratorType": "LATEST" });
        let reply = self.ask("DynamoDBStreams_20120810.GetShardIterator", &asked).await?;
        Ok(text(&reply, "/ShardIterator"))
    }

    /// Returns an iterator's records, and the next iterator unless the shard has ended.
    async fn records(&self, iterator: &str) -> Result<(Vec<Value>, Option<String>), String> {
        let asked = json!({ "ShardIterator": iterator });
        let reply = self.ask("DynamoDBStreams_20120810.GetRecords", &asked).await?;
        Ok((list(&reply, "/Records"), text(&reply, "/NextShardIterator")))
    }

    async fn ask(&self, operation: &'static str, asked: &Value) -> Result<Value, String> {
        let call = Call::rpc_1_0(operation, asked.to_string());
        let reply = self.0.call(call).await.map_err(|error| cause(&error))?;
        serde_json::from_slice(&reply).map_err(|error| cause(&error))
    }
}
