//! The functions' permissions for the store and for AWS services.
//!
//! Permissions are written by hand, not recorded from calls. `tests/proofs/permissions.rs` makes
//! each function perform all its calls, and finds missing and unnecessary permissions.

pub use Action::{
    BatchGetItem, BatchWriteItem, ConditionCheckItem, DeleteItem, GetItem, PutItem, Query, Scan,
    UpdateItem,
};
pub use Resource::{
    Chats, ChatsByConversation, ChatsByTime, Files, Keys, Ledger, LedgerTrail, Standing, Tokens,
    TokensByUser, Users, UsersByLabel, UsersByTime, UsersDue, UsersErasing,
};

/// Lists permissions. Inside the macro, this module's names can be used without an import.
macro_rules! permits {
    ($($permit:expr),+ $(,)?) => {{
        #[allow(unused_imports)]
        use $crate::lambda::permit::*;
        const PERMITS: &[Permit] = &[$($permit),+];
        PERMITS
    }};
}

/// A permission.
#[derive(Clone, Copy, Debug)]
pub enum Permit {
    /// Actions on one table or index.
    Items {
        /// The actions. In a transaction, AWS checks each operation's own action, such as
        /// `UpdateItem` for an update.
        actions: &'static [Action],
        /// The table or index, and the kinds of its items.
        on: Resource,
        /// The template condition under which the function needs this permission.
        when: Option<&'static str>,
    },
    /// All permissions in a shared policy.
    Policy(&'static Policy),
    /// Several permissions that functions need together.
    Group(&'static [Self]),
    /// Permission to read the secret whose ARN is in this parameter, if the parameter is set.
    Secret(&'static str),
    /// The statements with this name in `functions/statements.yaml`.
    Statements(&'static str),
}

impl Permit {
    /// Allows this only under the given template condition.
    #[expect(clippy::panic, reason = "the compiler evaluates it")]
    pub const fn when(self, condition: &'static str) -> Self {
        match self {
            Self::Items { actions, on, .. } => Self::Items { actions, on, when: Some(condition) },
            _ => panic!("only permissions on items depend on a condition"),
        }
    }
}

/// A managed policy shared by several functions.
#[derive(Debug)]
pub struct Policy {
    /// The policy's logical id.
    pub id: &'static str,
    /// What the policy allows a function to do.
    pub about: &'static str,
    /// The permissions.
    pub permits: &'static [Permit],
}

/// A DynamoDB action. The names are those that AWS uses
/// ([list](https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the list of AWS describes them")]
pub enum Action {
    BatchGetItem,
    BatchWriteItem,
    ConditionCheckItem,
    DeleteItem,
    GetItem,
    PutItem,
    Query,
    Scan,
    UpdateItem,
}

/// A table or an index. If a table contains several kinds of items, the variant lists the key
/// prefixes that the permission covers.
#[derive(Clone, Copy, Debug)]
pub enum Resource {
    /// The public signing keys.
    Keys,
    /// Items in the Users table.
    Users(&'static [&'static str]),
    /// The index that lists all accounts by registration time.
    UsersByTime,
    /// The index that lists all accounts by name and address.
    UsersByLabel,
    /// The index of accounts with overdue holds.
    UsersDue,
    /// The index of deleted accounts whose data hasn't been erased yet.
    UsersErasing,
    /// Items in the Tokens table.
    Tokens(&'static [&'static str]),
    /// The index of a user's items in the Tokens table.
    TokensByUser,
    /// Messages and conversations.
    Chats,
    /// The index of a user's conversations and their messages.
    ChatsByConversation,
    /// The index that lists all messages by time.
    ChatsByTime,
    /// The ledger.
    Ledger,
    /// The ledger rows that record administrators' actions on accounts.
    Standing,
    /// The index that lists the ledger by time.
    LedgerTrail,
    /// The pictures and texts that users attach to messages.
    Files,
}

/// Allows several actions on one table or index.
pub const fn allow(actions: &'static [Action], on: Resource) -> Permit {
    Permit::Items { actions, on, when: None }
}

/// Allows reading single items.
pub const fn get(on: Resource) -> Permit {
    allow(&[GetItem], on)
}

/// Allows reading several items at once.
pub const fn get_many(on: Resource) -> Permit {
    allow(&[BatchGetItem], on)
}

/// Allows writing new items, alone or in a transaction.
pub const fn put(on: Resource) -> Permit {
    allow(&[PutItem], on)
}

/// Allows changing items, alone or in a transaction.
pub const fn update(on: Resource) -> Permit {
    allow(&[UpdateItem], on)
}

/// Allows deleting items, alone or in a transaction.
pub const fn delete(on: Resource) -> Permit {
    allow(&[DeleteItem], on)
}

/// Allows checking items in a transaction without changing them.
pub const fn check(on: Resource) -> Permit {
    allow(&[ConditionCheckItem], on)
}

/// Allows listing the items of one partition.
pub const fn query(on: Resource) -> Permit {
    allow(&[Query], on)
}

/// Allows listing all items.
pub const fn scan(on: Resource) -> Permit {
    allow(&[Scan], on)
}

/// Allows reading the secret whose ARN is in this parameter, and decrypting it if the operator
/// encrypted it with a KMS key.
pub const fn read_secret(parameter: &'static str) -> Permit {
    Permit::Secret(parameter)
}

/// Permission to verify the caller's token: to read the public keys and the caller's account. A
/// function that doesn't read the account uses `scan(Keys)` instead.
pub const VERIFY_TOKENS: Permit = Permit::Policy(&VERIFY_TOKENS_POLICY);

const VERIFY_TOKENS_POLICY: Policy = Policy {
    id: "VerifyTokensPolicy",
    about: "Lets a function verify the caller's token",
    permits: &[scan(Keys), get(Users(&["user:*"]))],
};

/// Permission to send messages to the AI: to charge the account, to write the message with its
/// answer, the ledger row and the idempotency key, and to call a provider.
pub const ASK_AI: Permit = Permit::Policy(&ASK_AI_POLICY);

const ASK_AI_POLICY: Policy = Policy {
    id: "AskAiPolicy",
    about: "Lets a function send messages to the AI and charge for them",
    permits: &[allow(&[GetItem, PutItem], Chats), EMBED],
};

/// Permission to request embeddings: to charge the account, to write the ledger row and the
/// idempotency key, and to call a provider. Embeddings aren't stored, so the function can neither
/// read nor write messages.
pub const EMBED: Permit = Permit::Group(&[
    update(Users(&["user:*"])),
    allow(&[GetItem, PutItem], Ledger),
    put(Tokens(&["idem:*"])),
    put(Tokens(&["outbox:*"])).when("SendsAlerts"),
    CALL_PROVIDERS,
]);

/// Permission to read the price list and the providers' API keys, and to call a provider.
pub const CALL_PROVIDERS: Permit = Permit::Group(&[
    get(Tokens(&["models:*"])),
    read_secret("OpenAiKeyArn"),
    read_secret("OpenAi2KeyArn"),
    read_secret("AnthropicKeyArn"),
    Permit::Statements("InvokeBedrock"),
]);

/// Permission to sign tokens: to read the secret from which the signing key is derived.
pub const READ_SIGNING_SECRET: Permit = Permit::Policy(&READ_SIGNING_SECRET_POLICY);

const READ_SIGNING_SECRET_POLICY: Policy = Policy {
    id: "ReadSigningSecretPolicy",
    about: "Lets a function read the secret that the signing key is derived from",
    permits: &[Permit::Statements("ReadSigningSecret")],
};

/// The shared policies, in the same order as in the template.
pub const POLICIES: [&Policy; 3] =
    [&VERIFY_TOKENS_POLICY, &ASK_AI_POLICY, &READ_SIGNING_SECRET_POLICY];

/// Permission to count log-in attempts by unknown and by known clients.
pub const COUNT_LOG_INS: Permit =
    allow(&[GetItem, UpdateItem, DeleteItem], Tokens(&["attempt:login:*", "attempt:known:*"]));

/// Permission to count checks of the current password.
pub const COUNT_PASSWORD_CHECKS: Permit =
    allow(&[GetItem, UpdateItem, DeleteItem], Tokens(&["attempt:login:owner:*"]));

/// Permission to count failed attempts from a network.
pub const COUNT_FAILURES: Permit = update(Tokens(&["attempt:address:*"]));

/// Permission to record an administrator's action, and to check in the same transaction that the
/// caller is still an administrator.
pub const RECORD_ACTION: Permit =
    Permit::Group(&[check(Users(&["user:*"])), allow(&[GetItem, PutItem], Standing)]);

/// Permission to read the conversation that a message continues, the user's instructions and
/// folders, and the record of an earlier attempt.
pub const CONTINUE_CONVERSATION: Permit = Permit::Group(&[
    allow(&[BatchGetItem, UpdateItem], Chats),
    query(ChatsByConversation),
    get(Tokens(&["idem:*"])),
    get(Tokens(&["instructions:*"])),
    get(Tokens(&["folders:*"])),
]);

/// Permission to store a message's files, to read those of earlier messages, and to list the files
/// until the message is stored.
pub const ATTACH_FILES: Permit = Permit::Group(&[
    allow(&[BatchGetItem, PutItem], Files),
    allow(&[PutItem, DeleteItem], Tokens(&["pending:*"])),
]);

/// Permission to read an API key and the record of an earlier attempt, and to record the key's last
/// use.
pub const ACCEPT_PROGRAMS: Permit =
    Permit::Group(&[get(Tokens(&["idem:*", "apikey:*"])), update(Tokens(&["idem:*", "apikey:*"]))]);

/// Permission to find the purchases for which an account owes credits, and to remove them from the
/// list of purchases that need attention.
pub const COLLECT_OWED: Permit = Permit::Group(&[
    query(TokensByUser),
    get_many(Tokens(&["order:*"])),
    delete(Tokens(&["attention:*"])),
]);
