//! `GET /api/admin/users` - all users, or the users whom a search finds, as a bare list. For
//! administrators.
//!
//! Reads the page and the administrator's account in parallel, unless the page is filtered.

mod query;

use shared::app::HistoryApp;
use shared::http::{Paging, ProvenPage};
use shared::openapi::PageQuery;
use shared::store::{DataPeriod, Label, ListedAccount, PageStart};
use shared::view::ListedUser;
use shared::{App, Reply, Request, auth};

use self::query::{FILTERS, Filters, UserQuery, scope};
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Lists users for administrators").permits(permits![
    VERIFY_TOKENS,
    get_many(Users(&["user:*", "email:*"])),
    get_many(Tokens(&["ranking:*"])),
    query(UsersByTime),
    get(Tokens(&["imports:*"])),
    query(UsersByLabel),
]);

/// The users that are read in parallel with the administrator's account.
enum Users {
    /// The names and addresses found by a search.
    Found(Vec<Label>, Option<String>),
    /// The listed users.
    Listed(Vec<ListedAccount>, Option<String>),
    /// No users have been read yet. Filtering may need many reads, so the caller's role is checked
    /// first.
    Unread,
}

/// List users
///
/// Newest first, or by `sort`. With `q`, the users whose name or address begins with it or, with
/// `match=anywhere`, contains it, in alphabetical order. A request looks at a limited number of
/// users: a page may be short or empty, and still have a next page.
#[utoipa::path(
    get,
    path = super::path::admin_users,
    tag = "Administration",
    security(("access_token" = [])),
    params(PageQuery, Filters),
    responses((status = 200, description = "A page of the users.", body = Vec<ListedUser>)),
)]
pub async fn handle(app: HistoryApp, req: Request) -> Reply {
    let read = async {
        let period = app.data_period().await?;
        let asked = UserQuery::read(&req)?;
        let paging = Paging::from_request(&req, &FILTERS)?;
        let users = match asked.search {
            _ if !asked.is_plain() => Users::Unread,
            Some(search) => {
                let (labels, next) =
                    app.store.labels(search, paging.position(), paging.limit()).await?;
                Users::Found(labels, next)
            }
            None => {
                let start = paging.position().map(PageStart::parse).transpose()?;
                let (users, next) = app.store.users(start.as_ref(), period, paging.limit()).await?;
                Users::Listed(users, next.map(|next| next.to_string()))
            }
        };
        Ok((asked, paging, users, period))
    };
    let (administrator, (asked, paging, users, period)) =
        auth::administrator(&app, &req, read).await?;

    let scope = scope(&req);
    let page = paging.prove(administrator.account(), &scope)?;
    match users {
        Users::Found(labels, next) => {
            let prefix = asked.search.unwrap_or_default();
            reply(&page, &app.store.users_labelled(labels, prefix).await?, next.as_deref())
        }
        Users::Listed(users, next) => reply(&page, &users, next.as_deref()),
        Users::Unread => chosen(&app, &asked, &paging, &page, period).await,
    }
}

/// Replies with a page of filtered users.
async fn chosen(
    app: &App,
    asked: &UserQuery<'_>,
    paging: &Paging<'_>,
    page: &ProvenPage<'_>,
    period: DataPeriod,
) -> Reply {
    let (position, limit) = (paging.position(), paging.limit());
    if !asked.asks_the_accounts() {
        let start = position.map(PageStart::parse).transpose()?;
        let (users, next) =
            app.store.users_of(&asked.filter, start.as_ref(), period, limit).await?;
        return reply(page, &users, next.map(|next| next.to_string()).as_deref());
    }
    let (accounts, next) =
        app.store.accounts_of(&asked.source(), &asked.filter, position, period, limit).await?;
    let listed: Vec<ListedAccount> = accounts.iter().map(ListedAccount::from_account).collect();
    if !asked.details {
        return reply(page, &listed, next.as_deref());
    }
    let rows = listed.iter().zip(&accounts);
    let rows: Vec<ListedUser<'_>> = rows
        .map(|(listed, account)| ListedUser::of(listed).detailed(account, period.now / 1000))
        .collect();
    page.reply(&rows, next.as_deref())
}

fn reply(page: &ProvenPage<'_>, users: &[ListedAccount], next: Option<&str>) -> Reply {
    let rows: Vec<ListedUser<'_>> = users.iter().map(ListedUser::of).collect();
    page.reply(&rows, next)
}
