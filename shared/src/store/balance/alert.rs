//! E-mails about a low balance. A user receives at most one such e-mail after each change of
//! `granted`.

use crate::Credits;
use crate::store::balance::hold::Hold;
use crate::store::credentials::outbox::OutgoingEmail;
use crate::store::schema::{ACCOUNT, pk};
use crate::store::{Result, Store, Write, flag, n, s};

/// The condition that the account's address is verified, that `granted` hasn't changed since the
/// reserve, and that no other chat has written the e-mail.
const ALERT_CONDITION: &str = "id = :id AND active = :true AND email_verified = :true AND granted = :granted \
    AND (attribute_not_exists(alerted) OR alerted <> :granted)";

impl Store {
    /// Writes an outgoing e-mail if the hold's account has less than `low` credits, unless such an
    /// e-mail was written since `granted` last changed. Credits that are held for other chats count
    /// as part of the balance, because most of a hold is usually returned if the model is charged
    /// by usage. Must be called after the settle, so that only the e-mail is lost if the call
    /// fails. Idempotent.
    pub async fn alert(&self, hold: &Hold, low: Credits, now: u64) -> Result<()> {
        let Some(granted) = hold.granted_without_alert else { return Ok(()) };
        let mark = Write::update(&self.tables.users, pk(&hold.account), "SET alerted = :granted")
            .condition(ALERT_CONDITION)
            .values([(":id", s(&hold.user_id)), (":true", flag(true)), (":granted", n(granted))]);
        let mark = match granted.checked_sub(low) {
            None => mark,
            Some(enough) => mark
                .condition(format!("{ALERT_CONDITION} AND spent > :enough"))
                .values([(":enough", n(enough))]),
        };
        let name = hold.account.strip_prefix(ACCOUNT).unwrap_or_default();
        let email = OutgoingEmail::low_balance(&hold.user_id, name);
        let writes = vec![mark, self.post(&email, now)?];
        self.transact(writes, &uuid::Uuid::new_v4().to_string()).await.map(drop)
    }
}
