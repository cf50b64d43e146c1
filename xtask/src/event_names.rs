//! The names of the gateway's events. A few follow no rule. They keep their names, because
//! CloudFormation would replace the permissions of an event with another name.

/// Names that don't follow from the path and the method.
const ODD: [(&str, &str, &str); 34] = [
    ("/api/user/sessions/{id}", "ANY", "UserSessionAny"),
    ("/api/user/api-keys/{id}", "DELETE", "UserApiKeyDelete"),
    ("/api/user/api-keys/{id}", "GET", "UserApiKeyGet"),
    ("/api/user/api-keys/{id}", "HEAD", "UserApiKeyHead"),
    ("/api/user/api-keys/{id}", "OPTIONS", "UserApiKeyOptions"),
    ("/api/user/api-keys/{id}", "POST", "UserApiKeyPost"),
    ("/api/user/api-keys/{id}", "PUT", "UserApiKeyPut"),
    ("/api/user/api-keys/{id}", "PATCH", "UserApiKeyPatch"),
    ("/api/admin/users/{id}", "GET", "AdminUserGet"),
    ("/api/admin/users/{id}", "PUT", "AdminUserPut"),
    ("/api/admin/users/{id}", "POST", "AdminUserPost"),
    ("/api/admin/users/{id}", "HEAD", "AdminUserHead"),
    ("/api/admin/users/{id}", "OPTIONS", "AdminUserOptions"),
    ("/api/admin/users/{id}", "PATCH", "AdminUserPatch"),
    ("/api/admin/users", "POST", "AdminUserPost"),
    ("/api/admin/users/{id}", "DELETE", "AdminUserDelete"),
    ("/api/admin/users/{id}/sessions", "ANY", "AdminSessionsAny"),
    ("/api/admin/users/{id}/api-keys", "GET", "AdminApiKeysGet"),
    ("/api/admin/users/{id}/api-keys", "HEAD", "AdminApiKeysHead"),
    ("/api/admin/users/{id}/api-keys", "PUT", "AdminApiKeysPut"),
    ("/api/admin/users/{id}/api-keys", "POST", "AdminApiKeysPost"),
    ("/api/admin/users/{id}/api-keys", "PATCH", "AdminApiKeysPatch"),
    ("/api/admin/users/{id}/api-keys", "OPTIONS", "AdminApiKeysOptions"),
    ("/api/admin/users/{id}/api-keys", "DELETE", "AdminApiKeysDelete"),
    ("/api/admin/users/{id}/api-keys/{key}", "ANY", "AdminApiKeyAny"),
    ("/api/admin/users/{id}/password-reset", "ANY", "AdminResetAny"),
    ("/api/admin/users/{id}/adjustments", "ANY", "AdminAdjustmentsAny"),
    ("/api/admin/users/{id}/ledger", "ANY", "AdminLedgerAny"),
    ("/api/admin/vouchers/{id}", "ANY", "AdminVouchersVoidAny"),
    ("/api/admin/export/{list}", "GET", "AdminExportGet"),
    ("/api/admin/export/{list}", "ANY", "AdminExportAny"),
    ("/.well-known/openid-configuration", "ANY", "OpenidConfigurationAny"),
    ("/.well-known/oauth-authorization-server", "ANY", "AuthorizationServerAny"),
    ("/", "ANY", "RootAny"),
];

/// Returns the name of the event for a method and a path.
pub fn event_name(path: &str, method: &str) -> String {
    let odd = ODD.iter().find(|(of, by, _)| *of == path && *by == method);
    if let Some((_, _, name)) = odd {
        return (*name).to_owned();
    }
    let capital = |word: &str| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    };
    let words = path.strip_prefix("/api").unwrap_or(path);
    let words = words.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: String = words.filter(|word| !word.is_empty()).map(capital).collect();
    words + &capital(&method.to_lowercase())
}
