//! Sessions in the table Tokens: what refresh tokens hang on.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[cfg(feature = "seeded-bugs")]
use super::Bug;
use super::{Item, Store, applied, from_item, n, refused_item, s, send, to_item};
use crate::Result;
use crate::auth::{LEEWAY, RefreshToken};
use crate::user::Account;

/// A session: begun by a log-in, ended by its time, a log-out or the alarm of a dead refresh token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// `session:<id>`.
    pk: String,
    /// The account's id.
    pub user_id: String,
    /// The highest generation of its refresh tokens that was ever presented.
    generation: u64,
    /// The account's epoch when it began.
    pub auth_epoch: u64,
    /// The second at which it ends, however often it is refreshed.
    pub ends: u64,
    /// DynamoDB deletes it some time after this second.
    expires_at: u64,
}

/// What became of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// It is its session's current or next one.
    Current(Session),
    /// It was dead: a later generation has been used. Somebody has an old copy.
    Dead,
    /// Its session has ended, or never was.
    Gone,
}

const PREFIX: &str = "session:";

/// How many revoked sessions an account keeps: each makes every write of the account larger.
const REVOKED: usize = 50;

impl Session {
    /// A session of this account that ends at the second `ends`.
    pub fn new(account: &Account, ends: u64) -> Self {
        Self {
            pk: format!("{PREFIX}{}", Uuid::new_v4()),
            user_id: account.id.clone(),
            generation: 0,
            auth_epoch: account.auth_epoch,
            ends,
            expires_at: ends,
        }
    }

    /// Its random id.
    pub fn id(&self) -> &str {
        self.pk.strip_prefix(PREFIX).unwrap_or_default()
    }
}

impl Store {
    /// Writes a new session. The id is random, so that one that stands already is this one.
    pub async fn start_session(&self, session: &Session) -> Result<()> {
        let put = self.client.put_item().table_name(&self.tables.tokens).set_item(Some(to_item(session)?));
        let put = put.condition_expression("attribute_not_exists(pk)");
        applied(send(|| put.clone().send()).await).map(drop)
    }

    /// Presents a refresh token: the session's generation becomes this one's, if it was this one's or the one before.
    /// One conditional write; sent twice, it acts once.
    pub async fn rotate(&self, token: &RefreshToken, now: u64) -> Result<Rotation> {
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.tokens)
            .key("pk", s(format!("{PREFIX}{}", token.session)))
            .update_expression("SET generation = :presented")
            .condition_expression("user_id = :user AND ends > :now AND generation IN (:presented, :before)")
            .expression_attribute_values(":user", s(&token.user_id))
            .expression_attribute_values(":now", n(now))
            .expression_attribute_values(":presented", n(token.generation))
            .expression_attribute_values(":before", n(i128::from(token.generation) - 1))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllNew)
            .return_values_on_condition_check_failure(AllOld);
        #[cfg(feature = "seeded-bugs")]
        let update = match self.has(Bug::RotateStrictly) {
            true => update
                .condition_expression("user_id = :user AND ends > :now AND generation = :before")
                .expression_attribute_values(":presented", n(token.generation + 1))
                .expression_attribute_values(":before", n(token.generation)),
            false => update,
        };
        let error = match send(|| update.clone().send()).await {
            Ok(updated) => return Ok(Rotation::Current(from_item(updated.attributes.unwrap_or_default())?)),
            Err(error) => error,
        };
        let refused = match refused_item(error)? {
            Some(item) => Some(item),
            // Where the refusal came without the item, a read tells.
            None => self.session(&token.session).await?,
        };
        let Some(item) = refused else { return Ok(Rotation::Gone) };
        let session: Session = from_item(item)?;
        let dead = session.user_id == token.user_id && session.ends > now && token.generation < session.generation;
        Ok(if dead { Rotation::Dead } else { Rotation::Gone })
    }

    async fn session(&self, id: &str) -> Result<Option<Item>> {
        let get = self.client.get_item().table_name(&self.tables.tokens).key("pk", s(format!("{PREFIX}{id}")));
        Ok(get.consistent_read(true).send().await?.item)
    }

    /// Ends the session of a refresh token: it gets no successor, and its access tokens open nothing any more. Ended again, it stays so.
    /// `account` is the account as it was just read.
    pub async fn end_session(&self, token: &RefreshToken, account: &Account, now: u64) -> Result<()> {
        // The revocation comes first: without the session nobody would find the way here again.
        self.revoke(token, account, now).await?;
        let delete = self.client.delete_item().table_name(&self.tables.tokens).key("pk", s(format!("{PREFIX}{}", token.session)));
        let delete = delete.condition_expression("attribute_not_exists(pk) OR user_id = :user").expression_attribute_values(":user", s(&account.id));
        applied(send(|| delete.clone().send()).await).map(drop)
    }

    /// Writes a session among the account's revoked ones, and removes those whose time is over. Where there are too many, the epoch
    /// rises instead, which ends every session of the account.
    async fn revoke(&self, token: &RefreshToken, account: &Account, now: u64) -> Result<()> {
        let update = self.client.update_item().table_name(&self.tables.users).key("pk", s(&account.pk));
        let update = update.condition_expression("id = :id AND auth_epoch = :seen");
        let mut update = update.expression_attribute_values(":id", s(&account.id)).expression_attribute_values(":seen", n(account.auth_epoch));
        let outdated: Vec<_> = account.revoked.iter().filter(|(_, ends)| **ends + LEEWAY < now).map(|(session, _)| session).collect();
        if account.revoked.len() - outdated.len() >= REVOKED {
            update = update.update_expression("SET auth_epoch = :next, revoked = :none");
            update = update.expression_attribute_values(":next", n(account.auth_epoch + 1));
            update = update.expression_attribute_values(":none", AttributeValue::M(Default::default()));
        } else {
            let mut expression = String::from("SET revoked.#session = :ends");
            for (index, session) in outdated.into_iter().enumerate() {
                expression.push_str(if index == 0 { " REMOVE" } else { "," });
                expression.push_str(&format!(" revoked.#old{index}"));
                update = update.expression_attribute_names(format!("#old{index}"), session);
            }
            update = update.update_expression(expression).expression_attribute_names("#session", &token.session);
            update = update.expression_attribute_values(":ends", n(token.ends));
        }
        // Where it is refused, another epoch has ended the session already.
        applied(send(|| update.clone().send()).await).map(drop)
    }
}
