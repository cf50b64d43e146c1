//! A deployed stack, as the AWS CLI describes it.

use std::collections::HashMap;
use std::fmt;
use std::process::Command;

use emulator::template::Template;
use serde::Deserialize;
use serde_json::Value;
use shared::config::{Settings, variable};

/// The variables that name the six tables.
pub(crate) const TABLES: [&str; 6] =
    ["USERS_TABLE", "TOKENS_TABLE", "KEYS_TABLE", "CHATS_TABLE", "LEDGER_TABLE", "FILES_TABLE"];

/// A deployed stack.
pub(crate) struct Stack {
    name: String,
    /// The AWS region.
    pub(crate) region: String,
    account: String,
    outputs: HashMap<String, String>,
    parameters: HashMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    stacks: Vec<DescribedStack>,
}

/// A stack in the reply to
/// [`DescribeStacks`](https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Stack.html).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribedStack {
    stack_name: String,
    stack_id: String,
    #[serde(default)]
    outputs: Vec<Output>,
    #[serde(default)]
    parameters: Vec<Parameter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    output_key: String,
    output_value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    parameter_key: String,
    #[serde(default)]
    parameter_value: String,
}

impl Stack {
    /// Reads a stack with the AWS CLI, which chooses the region and the credentials.
    ///
    /// # Errors
    /// Fails with an error message for the terminal.
    pub(crate) async fn read(name: &str) -> Result<Self, String> {
        let json = aws(&["cloudformation", "describe-stacks", "--stack-name", name]).await;
        let json = json.map_err(|why| format!("The stack {name} can't be read: {why}"))?;
        Self::from_json(&json).ok_or_else(|| {
            format!("{name} is not a stack of Farebox: it has no outputs with the names of tables.")
        })
    }

    /// Reads the reply of the AWS CLI. `None` if the stack doesn't belong to this project.
    fn from_json(json: &Value) -> Option<Self> {
        let described: Described = serde_json::from_value(json.clone()).ok()?;
        let stack = described.stacks.into_iter().next()?;
        // arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME/ID
        let mut arn = stack.stack_id.split(':').skip(3);
        let (region, account) = (arn.next()?.to_owned(), arn.next()?.to_owned());
        let outputs: HashMap<String, String> =
            stack.outputs.into_iter().map(|each| (each.output_key, each.output_value)).collect();
        let parameters = stack.parameters.into_iter();
        TABLES.iter().all(|table| outputs.contains_key(&output_of(table))).then_some(Self {
            name: stack.stack_name,
            region,
            account,
            outputs,
            parameters: parameters.map(|each| (each.parameter_key, each.parameter_value)).collect(),
        })
    }

    /// Returns the settings of the stack's functions. The tables and the signing secret come from
    /// the stack's outputs, and other settings come from the template with the stack's parameters.
    ///
    /// # Errors
    /// Fails with an error message for the terminal.
    pub(crate) fn settings(&self) -> Result<Settings<'static>, String> {
        let defaults = Template::load()?;
        // Ignore parameters that exist only in other versions of the template.
        let known: Vec<(&str, &str)> = self
            .parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| defaults.has_parameter(name))
            .collect();
        let template = Template::with_parameters(&known)?;
        let outputs = self.outputs.clone();
        Ok(Settings::new(move |name| {
            outputs.get(&output_of(name)).cloned().or_else(|| {
                template
                    .functions
                    .iter()
                    .find_map(|function| function.environment.get(name).cloned())
            })
        }))
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, region, account, .. } = self;
        write!(f, "the stack {name} in {region}, account {account}")
    }
}

/// Returns the name of the output for a setting: `UsersTable` for `USERS_TABLE`.
fn output_of(setting: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(1.min(word.len()));
        format!("{first}{}", rest.to_ascii_lowercase())
    };
    setting.split('_').map(word).collect()
}

/// Returns the AWS region in `AWS_REGION` or `AWS_DEFAULT_REGION`, if either is set. boto3 and SAM
/// CLI, which deploy a stack, read only `AWS_DEFAULT_REGION`.
///
/// # Errors
/// Fails with an error message for the terminal if the variables name two regions.
pub(crate) fn region_of(
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<String>, String> {
    let set = |name| variable(name).filter(|region| !region.is_empty());
    match (set("AWS_REGION"), set("AWS_DEFAULT_REGION")) {
        (Some(one), Some(other)) if one != other => Err(format!(
            "AWS_REGION is {one} and AWS_DEFAULT_REGION is {other}: set both to the region that you mean."
        )),
        (Some(region), _) | (None, Some(region)) => Ok(Some(region)),
        (None, None) => Ok(None),
    }
}

/// Runs the AWS CLI, and returns the JSON that it prints.
///
/// # Errors
/// Fails with an error message for the terminal.
pub(crate) async fn aws(arguments: &[&str]) -> Result<Value, String> {
    let mut command = Command::new("aws");
    command.args(arguments).args(["--output", "json"]).env("AWS_PAGER", "");
    // Version 1 of the AWS CLI ignores `AWS_REGION`, and would call the profile's region.
    if let Some(region) = region_of(variable)? {
        command.args(["--region", &region]);
    }
    let run = tokio::task::spawn_blocking(move || command.output()).await;
    let output = run.map_err(|error| error.to_string())?.map_err(|error| {
        format!(
            "the AWS CLI (`aws`) can't be run: {error}. \
             https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html says \
             how to install it."
        )
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        // Version 1 prints a remark about version 2 first.
        let line = said.lines().map(str::trim).rfind(|line| !line.is_empty());
        return Err(line.unwrap_or("the AWS CLI failed without a reason.").to_owned());
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("the AWS CLI printed no JSON: {error}."))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn described() -> Value {
        let output = |name: &str, value: &str| json!({ "OutputKey": name, "OutputValue": value });
        json!({ "Stacks": [{
            "StackName": "shop",
            "StackId": "arn:aws:cloudformation:eu-west-1:111122223333:stack/shop/1",
            "Outputs": [
                output("UsersTable", "shop-users"), output("TokensTable", "shop-tokens"),
                output("KeysTable", "shop-keys"), output("ChatsTable", "shop-chats"),
                output("LedgerTable", "shop-ledger"), output("FilesTable", "shop-files"),
                output("SigningSecret", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:s"),
            ],
            "Parameters": [
                { "ParameterKey": "ChatPrice", "ParameterValue": "7" },
                { "ParameterKey": "OfALaterRelease", "ParameterValue": "x" },
                { "ParameterKey": "StripeKeyArn", "ParameterValue": "arn:aws:x" },
            ],
        }] })
    }

    #[test]
    fn the_region_is_read_from_either_variable() {
        let of = |one: &'static str, other: &'static str| {
            region_of(move |name| {
                let named = if name == "AWS_REGION" { one } else { other };
                (named != "-").then(|| named.to_owned())
            })
        };
        for (one, other) in
            [("eu-west-1", "-"), ("-", "eu-west-1"), ("", "eu-west-1"), ("eu-west-1", "eu-west-1")]
        {
            assert_eq!(of(one, other), Ok(Some("eu-west-1".into())));
        }
        assert!(of("eu-west-1", "us-east-1").unwrap_err().contains("set both"));
        assert_eq!(of("-", ""), Ok(None));
    }

    #[test]
    fn settings_are_those_of_the_stack() {
        let stack = Stack::from_json(&described()).unwrap();
        assert_eq!(stack.to_string(), "the stack shop in eu-west-1, account 111122223333");
        let config = shared::config::Config::read(&stack.settings().unwrap()).unwrap();
        assert_eq!(config.tables.ledger, "shop-ledger");
        assert_eq!(config.chat_price.get(), 7);
        assert_eq!(config.dynamodb_endpoint, None);
        let checkout = shared::config::StripeConfig::read(&stack.settings().unwrap()).unwrap();
        assert!(checkout.key.is_some());
    }

    #[test]
    fn other_stacks_are_refused() {
        let mut other = described();
        other["Stacks"][0]["Outputs"].as_array_mut().unwrap().remove(2);
        assert!(Stack::from_json(&other).is_none());
        assert!(Stack::from_json(&json!({ "Stacks": [] })).is_none());
    }
}
