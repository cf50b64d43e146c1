//! Compares the template's permissions with the functions' calls, as IAM would. Finds calls that
//! AWS would refuse, and permissions that no call needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::LazyLock;

use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use serde_json::Value;
use serde_norway::Value as Yaml;

use crate::support::stack::Stack;

/// The condition key for the partition keys that a call accesses in a table.
const LEADING_KEYS: &str = "dynamodb:LeadingKeys";

/// The Bedrock model that the functions of [`STACK`] call.
pub const MODEL: &str = "amazon.nova-lite-v1:0";

/// The operator's KMS key in [`STACK`].
pub const KMS_KEY: &str = "arn:aws:kms:us-east-1:000000000000:key/own";

/// A stack with every permission that depends on a parameter.
pub static STACK: LazyLock<Stack> = LazyLock::new(|| {
    Stack::with(&[
        ("OpenAiKeyArn", "arn:aws:secretsmanager:us-east-1:000000000000:secret:openai"),
        ("StripeKeyArn", "arn:aws:secretsmanager:us-east-1:000000000000:secret:stripe"),
        ("StripeWebhookSecretArn", "arn:aws:secretsmanager:us-east-1:000000000000:secret:webhook"),
        ("OpenAi2KeyArn", "arn:aws:secretsmanager:us-east-1:000000000000:secret:openai2"),
        ("AnthropicKeyArn", "arn:aws:secretsmanager:us-east-1:000000000000:secret:anthropic"),
        ("BedrockModel", MODEL),
        ("Allowance", "1000/day"),
        ("LowBalance", "1000000"),
        ("KmsKeyArn", KMS_KEY),
        ("MailFrom", "no-reply@example.com"),
        ("MailConfigurationSet", "transactional"),
    ])
});

/// Each function's permissions, keyed by the name of the function's binary.
pub static FUNCTIONS: LazyLock<BTreeMap<String, Vec<Permission>>> = LazyLock::new(|| {
    let functions = STACK.functions().into_iter();
    functions.map(|(name, binary, function)| (binary, of_function(&name, function))).collect()
});

/// The permissions boundary of all functions.
pub static BOUNDARY: LazyLock<Vec<Permission>> =
    LazyLock::new(|| of_managed_policy(&STACK, "FunctionBoundary"));

/// A call to an AWS service, as IAM sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    action: String,
    resource: String,
    /// The values of each condition key.
    context: BTreeMap<String, BTreeSet<String>>,
}

impl Call {
    pub fn of(action: &str, resource: impl Into<String>) -> Self {
        Self { action: action.to_owned(), resource: resource.into(), context: BTreeMap::new() }
    }

    /// Returns the call with these values of a condition key.
    #[must_use]
    pub fn with(mut self, key: &str, values: impl IntoIterator<Item = String>) -> Self {
        self.context.insert(key.to_owned(), values.into_iter().collect());
        self
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} {:?}", self.action, self.resource, self.context)
    }
}

/// One action on one resource that a statement allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The name of the template's resource that contains the statement.
    of: String,
    action: String,
    /// The actions in `NotAction`, which the permission excludes although `action` matches them.
    except: Vec<String>,
    resource: String,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    operator: String,
    key: String,
    values: Vec<String>,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.action, self.resource)?;
        for Condition { key, values, .. } in &self.conditions {
            write!(f, ", {key} {values:?}")?;
        }
        write!(f, " ({})", self.of)
    }
}

impl Permission {
    /// Returns true if the permission is for this action.
    pub fn is_for(&self, action: &str) -> bool {
        self.action == action
    }

    fn allows(&self, call: &Call) -> bool {
        is_like(&call.action, &self.action)
            && !self.except.iter().any(|action| is_like(&call.action, action))
            && is_like(&call.resource, &self.resource)
            && self.conditions.iter().all(|condition| condition.holds(call))
    }

    /// Splits the permission by kinds of items. Each pair contains the part for one kind and the
    /// rest of the permission. The rest is `None` if the permission is for only one kind.
    fn parts(&self) -> Vec<(Self, Option<Self>)> {
        let several =
            |condition: &Condition| condition.key == LEADING_KEYS && condition.values.len() > 1;
        let Some(at) = self.conditions.iter().position(several) else {
            return vec![(self.clone(), None)];
        };
        let only = |kinds: Vec<String>| {
            let mut part = self.clone();
            part.conditions[at].values = kinds;
            part
        };
        let kinds = &self.conditions[at].values;
        let part = |kind: &String| {
            let others = kinds.iter().filter(|other| *other != kind).cloned().collect();
            (only(vec![kind.clone()]), Some(only(others)))
        };
        kinds.iter().map(part).collect()
    }
}

impl Condition {
    /// Returns true if the call satisfies the condition. If the call doesn't have the condition
    /// key, `ForAllValues` is satisfied, but no other operator is.
    fn holds(&self, call: &Call) -> bool {
        let given = call.context.get(&self.key).into_iter().flatten();
        let mut given = given.peekable();
        match self.operator.as_str() {
            "ForAllValues:StringLike" => {}
            "StringLike" | "StringEquals" if given.peek().is_some() => {}
            "StringLike" | "StringEquals" => return false,
            other => panic!("the tests can't evaluate {other} yet"),
        }
        let is_equal = self.operator == "StringEquals";
        let fits = |value: &str, expected: &str| {
            if is_equal { value == expected } else { is_like(value, expected) }
        };
        given.all(|value| self.values.iter().any(|expected| fits(value, expected)))
    }
}

/// Returns true if a string matches a pattern, in which `*` matches any string and `?` any
/// character.
fn is_like(text: &str, pattern: &str) -> bool {
    let (mut letters, mut signs) = (text.chars(), pattern.chars());
    match signs.next() {
        None => text.is_empty(),
        Some('*') if is_like(text, signs.as_str()) => true,
        Some('*') => letters.next().is_some() && is_like(letters.as_str(), pattern),
        Some('?') => letters.next().is_some() && is_like(letters.as_str(), signs.as_str()),
        Some(sign) => letters.next() == Some(sign) && is_like(letters.as_str(), signs.as_str()),
    }
}

/// Returns the calls that no permission allows.
pub fn refused<'c>(
    permissions: &[Permission],
    calls: impl IntoIterator<Item = &'c Call>,
) -> Vec<&'c Call> {
    let is_allowed = |call: &Call| permissions.iter().any(|permission| permission.allows(call));
    calls.into_iter().filter(|call| !is_allowed(call)).collect()
}

/// Returns the permissions, or the kinds of items in a permission, that no call needs.
pub fn needless(permissions: &[Permission], calls: &BTreeSet<Call>) -> Vec<Permission> {
    let mut needless = Vec::new();
    for (index, permission) in permissions.iter().enumerate() {
        let by_another = |call: &Call| {
            let others = permissions.iter().enumerate().filter(|(other, _)| *other != index);
            others.map(|(_, other)| other).any(|other| other.allows(call))
        };
        let own: Vec<&Call> =
            calls.iter().filter(|call| permission.allows(call) && !by_another(call)).collect();
        for (part, rest) in permission.parts() {
            let is_allowed = |call: &Call| rest.as_ref().is_some_and(|rest| rest.allows(call));
            if own.iter().all(|call| is_allowed(call)) {
                needless.push(part);
            }
        }
    }
    needless
}

/// Returns the permissions in a policy's statements.
pub fn of_statements(of: &str, statements: &Value) -> Vec<Permission> {
    let mut permissions = Vec::new();
    for statement in statements.as_array().unwrap() {
        assert_eq!(statement["Effect"], "Allow", "{of}: {statement}");
        let (actions, except) = match &statement["NotAction"] {
            Value::Null => (texts(&statement["Action"]), Vec::new()),
            except => (vec!["*".to_owned()], texts(except)),
        };
        let mut conditions = Vec::new();
        for (operator, keys) in statement["Condition"].as_object().into_iter().flatten() {
            for (key, values) in keys.as_object().unwrap() {
                let (operator, key, values) = (operator.clone(), key.clone(), texts(values));
                conditions.push(Condition { operator, key, values });
            }
        }
        for action in actions {
            for resource in texts(&statement["Resource"]) {
                permissions.push(Permission {
                    of: of.to_owned(),
                    action: action.clone(),
                    except: except.clone(),
                    resource,
                    conditions: conditions.clone(),
                });
            }
        }
    }
    permissions
}

/// Returns the strings in a value that is a string or a list.
fn texts(value: &Value) -> Vec<String> {
    let several = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    several.iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

/// Returns the permissions in one of the template's managed policies.
pub fn of_managed_policy(stack: &Stack, name: &str) -> Vec<Permission> {
    let policy = stack.resource(name);
    assert_eq!(policy["Type"], "AWS::IAM::ManagedPolicy", "{name}");
    let statements = &policy["Properties"]["PolicyDocument"]["Statement"];
    of_statements(name, &stack.value(statements).unwrap())
}

/// Returns the permissions in a function's inline policies and in its managed policies.
fn of_function(name: &str, function: &Yaml) -> Vec<Permission> {
    let policies = function["Properties"]["Policies"].as_sequence();
    let of_policy = |policy: &Yaml| match policy {
        Yaml::Tagged(managed) => of_managed_policy(&STACK, managed.value.as_str().unwrap()),
        own => of_statements(name, &STACK.value(&own["Statement"]).unwrap()),
    };
    policies.into_iter().flatten().flat_map(of_policy).collect()
}

/// Returns the statements for a function as they are written in the template: the statements in its
/// inline policies and in its managed policies.
pub fn statements<'t>(template: &'t Yaml, function: &'t Yaml) -> Vec<&'t Yaml> {
    let document = |policy: &'t Yaml| {
        let Yaml::Tagged(reference) = policy else { return policy };
        assert_eq!(reference.tag, "!Ref", "{policy:?}");
        let managed = &template["Resources"][&reference.value];
        assert_eq!(managed["Type"], "AWS::IAM::ManagedPolicy", "{policy:?}");
        &managed["Properties"]["PolicyDocument"]
    };
    let policies = match &function["Properties"]["Policies"] {
        Yaml::Null => &[],
        policies => policies.as_sequence().unwrap().as_slice(),
    };
    policies
        .iter()
        .map(document)
        .flat_map(|document| {
            assert_eq!(document["Version"], "2012-10-17", "{document:?}");
            document["Statement"].as_sequence().unwrap_or_else(|| panic!("{document:?}"))
        })
        .collect()
}

/// Returns true if a function may make a call.
pub fn allows(function: &str, call: &Call) -> bool {
    let is_allowed_by = |permissions: &[Permission]| refused(permissions, [call]).is_empty();
    is_allowed_by(&FUNCTIONS[function]) && is_allowed_by(&BOUNDARY)
}

/// Asserts that a function may send this call to the store.
#[track_caller]
pub fn allow(function: &str, operation: &str, body: &Value) {
    for call in of_store(operation, body) {
        assert!(allows(function, &call), "the template does not let {function} do {call}");
    }
}

/// Returns the calls that IAM evaluates for a call to the store: one for each table and action,
/// with all partition keys.
///
/// AWS says that a transaction needs the permissions of its operations
/// ([documentation](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html)),
/// but not whether IAM evaluates each operation's key separately. This function assumes that one
/// permission must allow the keys of all operations of the same kind in a table, as IAM requires
/// for a batch.
pub fn of_store(operation: &str, body: &Value) -> Vec<Call> {
    let mut keys: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let mut note = |operation: &str, table: &Value, index: Option<&str>, key: Option<String>| {
        let place = STACK.table(table.as_str().unwrap(), index);
        keys.entry((operation.to_owned(), place)).or_default().extend(key);
    };
    let key_of = |table: &Value, item: &Value| {
        let name = STACK.partition_key(table.as_str().unwrap());
        item[name.as_str()]["S"].as_str().unwrap().to_owned()
    };
    match operation {
        "GetItem" | "UpdateItem" | "DeleteItem" | "PutItem" => {
            let (table, item) = (&body["TableName"], key_or_item(body));
            note(operation, table, None, Some(key_of(table, item)));
        }
        "Query" => {
            note(operation, &body["TableName"], body["IndexName"].as_str(), Some(queried(body)))
        }
        "Scan" => note(operation, &body["TableName"], body["IndexName"].as_str(), None),
        "BatchGetItem" | "BatchWriteItem" => {
            for (table, requests) in body["RequestItems"].as_object().unwrap() {
                let table = Value::from(table.as_str());
                // A write is an object with one field, `PutRequest` or `DeleteRequest`.
                let items = requests["Keys"].as_array().or(requests.as_array()).unwrap().iter();
                for item in items {
                    let writes = item.get("PutRequest").or(item.get("DeleteRequest"));
                    let key = key_of(&table, writes.map_or(item, key_or_item));
                    note(operation, &table, None, Some(key));
                }
            }
        }
        "TransactWriteItems" => {
            let items = body["TransactItems"].as_array().unwrap().iter();
            for (write, item) in items.flat_map(|item| item.as_object().unwrap()) {
                let table = &item["TableName"];
                let key = key_of(table, key_or_item(item));
                note(&format!("{write}Item"), table, None, Some(key));
            }
        }
        other => panic!("the tests don't know the permissions of {other} yet"),
    }
    let call = |((operation, place), keys): ((String, String), BTreeSet<String>)| {
        let call = Call::of(&format!("dynamodb:{operation}"), place);
        if keys.is_empty() { call } else { call.with(LEADING_KEYS, keys) }
    };
    keys.into_iter().map(call).collect()
}

/// Returns the part of a write that contains its key.
pub fn key_or_item(write: &Value) -> &Value {
    if write["Key"].is_object() { &write["Key"] } else { &write["Item"] }
}

/// Returns the partition that a query reads, from a condition that begins with `<attribute> =
/// <value>`.
fn queried(query: &Value) -> String {
    let condition = query["KeyConditionExpression"].as_str().unwrap();
    let value = condition.split(' ').nth(2).unwrap();
    query["ExpressionAttributeValues"][value]["S"].as_str().unwrap().to_owned()
}

/// Returns the calls that IAM evaluates for an answer from Bedrock. `id` is the id of a model or of
/// an inference profile. An inference profile calls models in several regions, and an application
/// inference profile can be based on one of AWS's inference profiles.
pub fn of_bedrock(action: &str, id: &str) -> Vec<Call> {
    let in_account =
        |kind: &str, id: &str| format!("arn:aws:bedrock:us-east-1:000000000000:{kind}/{id}");
    let mut calls =
        vec![Call::of(action, format!("arn:aws:bedrock:us-east-1::foundation-model/{id}"))];
    for kind in ["inference-profile", "application-inference-profile"] {
        let profile = in_account(kind, id);
        calls.push(Call::of(action, profile.clone()));
        // The models of a global inference profile have ARNs without a region.
        let models = ["us-east-1", "us-west-2", ""]
            .map(|region| format!("arn:aws:bedrock:{region}::foundation-model/anthropic.claude"));
        let behind = in_account("inference-profile", "us.anthropic.claude");
        let behind = (kind == "application-inference-profile").then_some(behind);
        for resource in models.into_iter().chain(behind) {
            let through = [profile.clone()];
            calls.push(Call::of(action, resource).with("bedrock:InferenceProfileArn", through));
        }
    }
    calls
}

/// Panics as soon as a function sends the store a call that the template doesn't allow.
#[derive(Clone, Debug)]
pub struct PermissionCheck(pub String);

impl Intercept for PermissionCheck {
    fn name(&self) -> &'static str {
        "Permitted"
    }

    fn read_after_serialization(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap())?;
        let operation =
            request.headers().get("x-amz-target").and_then(|target| target.rsplit('.').next());
        allow(&self.0, operation.unwrap_or_default(), &body);
        Ok(())
    }
}
