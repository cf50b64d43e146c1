//! Writes permissions as IAM policy statements.

use functions::lambda::permit::{Permit, Resource};

use crate::Failure;
use crate::files::Files;
use crate::yaml::list;

/// The named statements in functions/statements.yaml. They express permissions that can't be
/// expressed by any other kind of permit.
pub struct Statements(String);

impl Statements {
    pub fn read(files: &Files) -> Result<Self, Failure> {
        files.read("functions/statements.yaml").map(Self)
    }

    /// Returns the lines under a name.
    fn named(&self, name: &str) -> Result<&str, Failure> {
        let missing = || format!("functions/statements.yaml has no {name}");
        let key = format!("\n{name}:\n");
        let (_, rest) = self.0.split_once(&key).ok_or_else(missing)?;
        let belongs = |line: &&str| line.trim().is_empty() || line.starts_with([' ', '-', '#']);
        let length: usize = rest.split_inclusive('\n').take_while(belongs).map(str::len).sum();
        Ok(rest.get(..length).unwrap_or(rest).trim_end())
    }
}

/// Returns the lines of each statement for these permissions. Skips shared policies, because their
/// statements are generated separately.
pub fn statements(
    permits: &[Permit],
    from: &Statements,
    indent: &str,
) -> Result<Vec<String>, Failure> {
    let mut statements = Vec::new();
    for permit in permits {
        match permit {
            Permit::Items { actions, on, when } => {
                let actions: Vec<String> =
                    actions.iter().map(|action| format!("dynamodb:{action:?}")).collect();
                let (resource, keys) = resource(on);
                let mut lines = vec![
                    "Effect: Allow".to_owned(),
                    format!("Action: [{}]", actions.join(", ")),
                    format!("Resource: {resource}"),
                ];
                if !keys.is_empty() {
                    lines.extend([
                        "Condition:".to_owned(),
                        "  ForAllValues:StringLike:".to_owned(),
                        format!("    dynamodb:LeadingKeys: {}", list(keys)),
                    ]);
                }
                statements.push(block(&lines, *when, indent));
            }
            Permit::Policy(_) => {}
            Permit::Group(together) => statements.extend(self::statements(together, from, indent)?),
            Permit::Secret(parameter) => {
                let stem = parameter.strip_suffix("Arn").unwrap_or(parameter);
                let condition = format!("Has{stem}");
                let read = [
                    "Effect: Allow".to_owned(),
                    "Action: [secretsmanager:GetSecretValue]".to_owned(),
                    format!("Resource: !Ref {parameter}"),
                ];
                let decrypt = [
                    "Effect: Allow".to_owned(),
                    "Action: [kms:Decrypt]".to_owned(),
                    "Resource: !Sub arn:${AWS::Partition}:kms:${AWS::Region}:*:key/*".to_owned(),
                    "Condition:".to_owned(),
                    "  StringEquals:".to_owned(),
                    "    kms:ViaService: !Sub secretsmanager.${AWS::Region}.${AWS::URLSuffix}"
                        .to_owned(),
                    format!("    kms:EncryptionContext:SecretARN: !Ref {parameter}"),
                ];
                statements.push(block(&read, Some(&condition), indent));
                statements.push(block(&decrypt, Some(&condition), indent));
            }
            Permit::Statements(name) => {
                let lines = from.named(name)?.lines();
                let lines = lines.filter(|line| !line.starts_with('#') && !line.is_empty());
                let lines = lines.map(|line| format!("{indent}{line}\n"));
                statements.push(lines.collect());
            }
        }
    }
    Ok(statements)
}

/// Returns the lines of a statement. `when` is the template condition that it depends on.
fn block(lines: &[String], when: Option<&str>, indent: &str) -> String {
    let inner = if when.is_some() { "    " } else { "  " };
    let mut text = match when {
        Some(condition) => format!("{indent}- !If\n{indent}  - {condition}\n"),
        None => String::new(),
    };
    for (index, line) in lines.iter().enumerate() {
        let dash = match (index, when) {
            (0, Some(_)) => "  - ",
            (0, None) => "- ",
            _ => inner,
        };
        text += &format!("{indent}{dash}{line}\n");
    }
    if when.is_some() {
        text += &format!("{indent}  - !Ref AWS::NoValue\n");
    }
    text
}

/// Returns the ARN of a table or an index, and the key prefixes of its items. The table may belong
/// to the stack or have been adopted.
fn resource(on: &Resource) -> (String, &'static [&'static str]) {
    let table =
        |table: &str| format!("!If [Own{table}, !GetAtt {table}Table.Arn, !Ref {table}TableArn]");
    let index = |table: &str, index: &str| {
        format!(
            "!If [Own{table}, !Sub \"${{{table}Table.Arn}}/index/{index}\", !Sub \"${{{table}TableArn}}/index/{index}\"]"
        )
    };
    match on {
        Resource::Keys => (table("Keys"), &[]),
        Resource::Users(keys) => (table("Users"), keys),
        Resource::UsersByTime => (index("Users", "by_time"), &[]),
        Resource::UsersByLabel => (index("Users", "by_label"), &[]),
        Resource::UsersDue => (index("Users", "due"), &[]),
        Resource::UsersErasing => (index("Users", "erasing"), &[]),
        Resource::Tokens(keys) => (table("Tokens"), keys),
        Resource::TokensByUser => (index("Tokens", "by_user"), &[]),
        Resource::Chats => (table("Chats"), &[]),
        Resource::ChatsByConversation => (index("Chats", "by_conversation"), &[]),
        Resource::ChatsByTime => (index("Chats", "by_time"), &[]),
        Resource::Ledger => (table("Ledger"), &[]),
        Resource::Standing => (table("Ledger"), &["standing#*"]),
        Resource::LedgerTrail => (index("Ledger", "trail"), &[]),
        Resource::Files => (table("Files"), &[]),
    }
}
