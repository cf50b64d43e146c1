//! Plays what carries mail on AWS: follows the stream of the table Tokens as Lambda does, has the
//! function `mail` write each mail, and shows it instead of sending it: a line on the console, and
//! a file where data is kept.

use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodbstreams::types::{OperationType, Record, ShardIteratorType};
use functions::mail;
use shared::app::Mailing;
use shared::aws::{Endpoint, emulated_at};
use shared::clock::rfc3339;
use shared::mail::{Carrier, Mail};
use shared::store::OUTBOX;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;

use crate::dynamo::{Data, MAILS, make_private_folder, write_private};

/// How often the stream is asked for something new.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a store that doesn't answer is left alone.
const LONG_PAUSE: Duration = Duration::from_secs(1);

/// The mails of this run, in the order in which they would have been sent.
pub type Sent = watch::Receiver<Vec<Mail>>;

/// Somebody who carries the mails of a store.
pub struct Postman {
    mailing: Mailing,
    endpoint: Endpoint,
    hand: UnboundedReceiver<Mail>,
    folder: Option<PathBuf>,
    sent: watch::Sender<Vec<Mail>>,
}

impl Postman {
    /// For the store of this function `mail`, whose data is kept here. Nobody where that store is
    /// AWS's own, which has Lambda.
    pub fn new(mailing: Mailing, data: &Data) -> Option<Self> {
        let endpoint = mailing.config.dynamodb_endpoint.clone().filter(Endpoint::is_emulator)?;
        let (give, hand) = unbounded_channel();
        let folder = match data {
            Data::Folder(folder) => Some(folder.join(MAILS)),
            Data::Memory => None,
        };
        Some(Self {
            mailing: Mailing { carrier: Carrier::Hand(give), ..mailing },
            endpoint,
            hand,
            folder,
            sent: watch::Sender::default(),
        })
    }

    /// What was sent so far, and will be.
    pub fn sent(&self) -> Sent {
        self.sent.subscribe()
    }

    /// Carries mails for ever. Where the store fails it begins anew: what was sent is no longer in
    /// the outbox.
    pub async fn work(mut self) {
        let mut warned = false;
        loop {
            if let Err(cause) = self.follow().await {
                if !warned {
                    tracing::warn!(cause, "no mails right now");
                    warned = true;
                }
                tokio::time::sleep(LONG_PAUSE).await;
            }
        }
    }

    /// Sends what waits, and then what comes, until a shard of the stream ends.
    async fn follow(&mut self) -> Result<(), String> {
        let streams = aws_sdk_dynamodbstreams::Client::new(&emulated_at(&self.endpoint));
        // The place in the stream comes first, so that nothing falls between it and what waits.
        let mut places = self.places(&streams).await?;
        for key in self.waiting().await? {
            self.carry(key).await;
        }
        loop {
            for place in &mut places {
                let read = streams
                    .get_records()
                    .shard_iterator(&*place)
                    .send()
                    .await
                    .map_err(|error| cause(&error))?;
                for record in read.records.unwrap_or_default() {
                    if let Some(key) = new_letter(&record) {
                        self.carry(key).await;
                    }
                }
                let Some(next) = read.next_shard_iterator else { return Ok(()) };
                *place = next;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&emulated_at(&self.endpoint))
    }

    /// The end of each open shard of the stream.
    async fn places(
        &self,
        streams: &aws_sdk_dynamodbstreams::Client,
    ) -> Result<Vec<String>, String> {
        let table = self
            .dynamodb()
            .describe_table()
            .table_name(&self.mailing.config.tables.tokens)
            .send()
            .await;
        let table = table.map_err(|error| cause(&error))?.table;
        let stream = table
            .and_then(|table| table.latest_stream_arn)
            .ok_or("the table Tokens has no stream; begin with another data folder")?;
        let described = streams
            .describe_stream()
            .stream_arn(&stream)
            .send()
            .await
            .map_err(|error| cause(&error))?;
        let mut places = Vec::new();
        for shard in
            described.stream_description.and_then(|stream| stream.shards).unwrap_or_default()
        {
            let place = streams
                .get_shard_iterator()
                .stream_arn(&stream)
                .set_shard_id(shard.shard_id)
                .shard_iterator_type(ShardIteratorType::Latest);
            places.extend(place.send().await.map_err(|error| cause(&error))?.shard_iterator);
        }
        Ok(places)
    }

    /// The letters that stand in the outbox.
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

    /// A letter's mail, shown once the letter is out of the outbox.
    async fn carry(&mut self, key: String) {
        if let Err(error) = mail::work(self.mailing.clone(), key).await {
            tracing::error!(code = error.code(), cause = error.cause(), "a mail could not be sent");
        }
        while let Ok(mail) = self.hand.try_recv() {
            self.show(&mail);
            self.sent.send_modify(|sent| sent.push(mail));
        }
    }

    fn show(&self, mail: &Mail) {
        // The one line of a mail that somebody would click on, or copy.
        let link = mail
            .text
            .lines()
            .find(|line| line.len() >= 43 && !line.contains(' '))
            .unwrap_or_default();
        println!("Mail to {}: {} {link}", mail.to, mail.subject);
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
            tracing::error!(error, "a mail can't be kept");
        }
    }
}

fn cause<E: std::error::Error>(error: &E) -> String {
    DisplayErrorContext(error).to_string()
}

/// The key of the letter that a record tells of, as the filter of the template picks it.
fn new_letter(record: &Record) -> Option<String> {
    let is_new = record.event_name == Some(OperationType::Insert);
    let key = record.dynamodb.as_ref()?.keys.as_ref()?.get("pk")?.as_s().ok()?;
    (is_new && key.starts_with(OUTBOX)).then(|| key.clone())
}
