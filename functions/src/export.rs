//! `GET /api/user/export` - everything that is kept of the caller, as one JSON document.
//!
//! Out: `profile`, `balance`, and `sessions`, `chats` and `ledger`, newest first, as a file. It is read page by page as the client
//! takes it, so that only Lambda limits its size (200 MB).
//! Where something fails in the middle, the document ends there and is no JSON.

use serde_json::{Value, json};
use shared::auth::AccessToken;
use shared::chat::Chat;
use shared::store::Entry;
use shared::stream::Pieces;
use shared::user::{Account, balance_fields};
use shared::{App, Reply, Request, Result, auth, clock, http};

/// How many chats or rows are read at a time; DynamoDB gives up to 1 MB.
const PAGE: usize = 100;

/// Refuses whom the account doesn't admit before the first byte.
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let account = app.store.account(&caller).await?;
    tracing::info!(user = account.id, "exporting");
    http::download("farebox-export.json", |pieces| write(app, caller, account, pieces))
}

/// The pages are read one after the other, so that no more than two are kept.
async fn write(app: App, caller: AccessToken, account: Account, pieces: Pieces) -> Result<()> {
    let balance = balance_fields(account.balance(app.clock.seconds()));
    let balance = http::merge([balance, json!({ "granted": account.granted, "spent": account.spent })]);
    let (exported, profile) = (json!(clock::rfc3339(app.clock.millis())), account.data());
    pieces.send(format!("{{\"exported\":{exported},\"profile\":{profile},\"balance\":{balance},\"sessions\":[")).await?;

    let (mut list, mut before) = (List::default(), None);
    loop {
        let (ids, more) = app.store.session_ids(&account.id, before.as_deref()).await?;
        let (mut live, now) = (app.store.sessions(&ids).await?, app.clock.seconds());
        live.retain(|session| session.opens(&account, now));
        pieces.send(list.goes_on(live.iter().map(|session| session.data(&caller.session)))).await?;
        before = ids.into_iter().next_back();
        if !more || before.is_none() {
            break;
        }
    }
    pieces.send("],\"chats\":[").await?;
    let (mut list, mut before) = (List::default(), None);
    loop {
        let (chats, more) = app.store.chats(&account.id, before.as_deref(), PAGE).await?;
        pieces.send(list.goes_on(chats.iter().map(Chat::data))).await?;
        before = chats.into_iter().next_back().map(|chat| chat.chat_id);
        if !more || before.is_none() {
            break;
        }
    }
    pieces.send("],\"ledger\":[").await?;
    let (mut list, mut before) = (List::default(), None);
    loop {
        let (entries, more) = app.store.entries(&account.id, before.as_deref(), PAGE).await?;
        pieces.send(list.goes_on(entries.iter().map(row))).await?;
        before = entries.into_iter().next_back().map(|entry| entry.entry_id);
        if !more || before.is_none() {
            break;
        }
    }
    // An account that was deleted meanwhile has lost chats that this document would seem not to miss.
    app.store.account(&caller).await?;
    pieces.send("]}\n").await
}

fn row(entry: &Entry) -> Value {
    json!({
        "id": entry.entry_id,
        "timestamp": clock::rfc3339(entry.time),
        "kind": entry.kind.word(),
        "amount": entry.amount,
        "reason": entry.reason,
        "chat_id": entry.chat_id,
    })
}

/// The items of a JSON list, in parts.
#[derive(Default)]
struct List {
    begun: bool,
}

impl List {
    fn goes_on(&mut self, items: impl Iterator<Item = Value>) -> String {
        let mut text = String::new();
        for item in items {
            if self.begun {
                text.push(',');
            }
            self.begun = true;
            text.push_str(&item.to_string());
        }
        text
    }
}
