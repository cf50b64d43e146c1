//! Groups of functions. One alarm adds up the errors or the throttles of a group, because an alarm
//! can use at most ten metrics
//! ([reference](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html)).

use functions::ENDPOINTS;

use crate::Failure;
use crate::files::Files;
use crate::functions::Function;

/// The groups whose functions never change. If a group's functions changed, its alarm would become
/// a different alarm. All other functions are in additional groups of ten.
const FIXED: [(&str, &str, &[&str]); 7] = [
    (
        "Account",
        "Functions for registration, log-in, passwords and e-mail addresses",
        &[
            "register",
            "login",
            "token_refresh",
            "logout",
            "password_change",
            "password_reset",
            "password_reset_confirm",
            "email_verify",
            "email_resend",
            "account_delete",
        ],
    ),
    (
        "Chat",
        "Functions for messages",
        &[
            "chat",
            "chat_stream",
            "completions",
            "responses",
            "chat_history",
            "chat_read",
            "chat_delete",
            "chat_stop",
        ],
    ),
    (
        "Conversation",
        "Functions for conversations",
        &["conversations", "conversation", "conversation_rename", "conversation_delete"],
    ),
    (
        "Data",
        "Functions for balances, profiles, sessions and API keys",
        &[
            "balance",
            "profile",
            "profile_change",
            "ledger",
            "export",
            "sessions",
            "session_end",
            "api_keys",
            "api_key_create",
            "api_key_revoke",
        ],
    ),
    (
        "Administration",
        "Functions for administrators",
        &[
            "admin_users",
            "admin_user",
            "admin_user_change",
            "admin_adjustment",
            "admin_ledger",
            "admin_chats",
            "admin_trail",
            "admin_figures",
            "admin_export",
            "admin_grants",
        ],
    ),
    (
        "UserAdministration",
        "Functions that administrators use to create and delete users, end sessions and revoke keys",
        &[
            "admin_user_create",
            "admin_user_delete",
            "admin_sessions_end",
            "admin_api_keys",
            "admin_api_keys_revoke",
            "admin_password_reset",
        ],
    ),
    (
        "Service",
        "Functions that don't need an account",
        &[
            "health",
            "openapi",
            "jwks",
            "models",
            "site",
            "brand",
            "not_found",
            "token_verify",
            "token_blacklist",
            "discovery",
        ],
    ),
];

/// The functions whose response time is watched. These functions are called often, don't call the
/// AI, and don't export data.
const QUICK: [&str; 10] = [
    "register",
    "login",
    "token_refresh",
    "balance",
    "chat_history",
    "conversations",
    "conversation",
    "profile",
    "sessions",
    "ledger",
];

/// The maximum number of functions in a group.
const MOST: usize = 10;

/// A group of functions.
pub struct Group {
    /// The parameter of `alarms.yaml` that lists the functions.
    pub parameter: String,
    /// The suffix of the group's alarm names. `None` if the group has no alarms for errors and
    /// throttles.
    pub alarms: Option<String>,
    pub about: String,
    /// The names and logical ids of the functions.
    pub functions: Vec<(String, String)>,
}

impl Group {
    /// Returns true if a schedule or a stream invokes the group's functions.
    pub fn is_background(&self) -> bool {
        self.parameter == "BackgroundFunctions"
    }

    /// Returns a reference to one of the group's functions, for `alarms.yaml`.
    pub fn reference(&self, name: &str) -> Result<String, Failure> {
        let index = self.functions.iter().position(|(function, _)| function == name);
        let index = index.ok_or_else(|| format!("{name} is not in {}", self.parameter))?;
        Ok(format!("!Select [{index}, !Ref {}]", self.parameter))
    }

    /// Returns a reference to a function in any of these groups, for `alarms.yaml`.
    pub fn any_reference(groups: &[Self], name: &str) -> Result<String, Failure> {
        let has = |group: &&Self| group.functions.iter().any(|(function, _)| function == name);
        let group = groups.iter().find(has);
        group.ok_or_else(|| format!("no group has {name}"))?.reference(name)
    }
}

/// Returns all groups. The quick functions are the last group.
pub fn groups(functions: &[Function]) -> Result<Vec<Group>, Failure> {
    let group = |name: &str, about: &str, names: &[&str]| -> Result<Group, Failure> {
        let ids: Result<Vec<_>, Failure> = names
            .iter()
            .map(|name| {
                let found = functions.iter().find(|function| function.name == *name);
                let found = found.ok_or_else(|| format!("no function has the name {name}"))?;
                Ok(((*name).to_owned(), found.id.clone()))
            })
            .collect();
        Ok(Group {
            parameter: format!("{name}Functions"),
            alarms: Some(match name {
                "Account" | "Chat" | "Conversation" => format!("{name}s"),
                name => name.to_owned(),
            }),
            about: about.to_owned(),
            functions: ids?,
        })
    };
    let mut groups = Vec::new();
    for (name, about, functions) in FIXED {
        groups.push(group(name, about, functions)?);
    }
    let background: Vec<&str> = functions
        .iter()
        .filter(|function| function.lambda.trigger.is_some())
        .map(|function| function.name)
        .collect();
    let about = format!("Functions that aren't called by requests: {}", background.join(", "));
    groups.push(group("Background", &about, &background)?);
    let is_fixed = |name: &&str| FIXED.iter().any(|(_, _, functions)| functions.contains(name));
    let further: Vec<&str> =
        ENDPOINTS.iter().map(|endpoint| endpoint.name).filter(|name| !is_fixed(name)).collect();
    for (number, functions) in (1..).zip(further.chunks(MOST)) {
        groups.push(group(&format!("Further{number}"), "Further functions", functions)?);
    }
    let quick = group(
        "Quick",
        "Ten functions that are called often and neither call the AI nor export data",
        &QUICK,
    )?;
    groups.push(Group { alarms: None, ..quick });
    Ok(groups)
}

/// Generates the lists that `template.yaml` passes to `alarms.yaml`, and the table of groups in
/// docs/operate/runbooks.md.
pub fn generate(files: &mut Files, groups: &[Group]) -> Result<(), Failure> {
    let mut lists = String::new();
    let mut table = "\n| ending | functions |\n|---|---|\n".to_owned();
    for Group { parameter, alarms, functions, .. } in groups {
        lists += &format!("        {parameter}: !Join\n          - \",\"\n");
        for (index, (_, id)) in functions.iter().enumerate() {
            let dash = if index == 0 { "- - " } else { "  - " };
            lists += &format!("          {dash}!Ref {id}\n");
        }
        if let Some(ending) = alarms {
            let names: Vec<String> =
                functions.iter().map(|(name, _)| format!("`{name}`")).collect();
            table += &format!("| `{ending}` | {} |\n", names.join(", "));
        }
    }
    files.put_part("template.yaml", "functions of each alarm", &lists)?;
    files.put_part("docs/operate/runbooks.md", "groups", &(table + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_functions_dont_call_the_ai() {
        let mut calls = ENDPOINTS.iter().filter(|endpoint| endpoint.calls_ai());
        assert!(calls.all(|endpoint| !QUICK.contains(&endpoint.name)));
    }
}
