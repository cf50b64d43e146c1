//! The calls of a function, compared with the permissions of the template: AWS would refuse any
//! other call.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;
use serde_norway::Value as Yaml;

/// What a statement of a function's policy allows.
#[derive(Debug)]
struct Statement {
    actions: Vec<String>,
    /// `UsersTable`, or `UsersTable/index/by_time`.
    resources: Vec<String>,
    /// The prefixes that the first part of a key must have. `None` if there is no such condition.
    kinds: Option<Vec<String>>,
}

/// The statements of each function, by its binary.
static POLICIES: LazyLock<HashMap<String, Vec<Statement>>> = LazyLock::new(|| {
    let template: Yaml = serde_norway::from_str(include_str!("../../../../template.yaml")).unwrap();
    let functions = template["Resources"]
        .as_mapping()
        .unwrap()
        .values()
        .filter(|resource| resource["Type"] == "AWS::Serverless::Function");
    let policy = |function: &Yaml| {
        let binary = function["Metadata"]["BuildProperties"]["Binary"].as_str().unwrap().to_owned();
        (binary, statements(&template, function).into_iter().filter_map(statement).collect())
    };
    functions.map(policy).collect()
});

/// All statements that hold for a function of the template: those of its own policies, and those of
/// the managed policies that it refers to.
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

/// A statement. `None` if it exists only with some parameter, which no permission for the store
/// does.
fn statement(yaml: &Yaml) -> Option<Statement> {
    if matches!(yaml, Yaml::Tagged(_)) {
        return None;
    }
    let texts = |yaml: &Yaml| {
        yaml.as_sequence()
            .map(|all| all.iter().map(|one| one.as_str().unwrap().to_owned()).collect::<Vec<_>>())
    };
    let resource = |yaml: &Yaml| match yaml {
        Yaml::Tagged(tagged) => tagged
            .value
            .as_str()
            .unwrap()
            .replace("${", "")
            .replace(".Arn}", "")
            .replace(".Arn", ""),
        other => other.as_str().unwrap().to_owned(),
    };
    let resources = match yaml["Resource"].as_sequence() {
        Some(several) => several.iter().map(resource).collect(),
        None => vec![resource(&yaml["Resource"])],
    };
    assert_eq!(yaml["Effect"], "Allow", "{yaml:?}");
    Some(Statement {
        actions: texts(&yaml["Action"]).unwrap(),
        resources,
        kinds: texts(&yaml["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]),
    })
}

/// One thing that a call does.
struct Access<'a> {
    action: String,
    resource: String,
    key: Option<&'a str>,
}

/// Asserts that a function may send this call.
#[track_caller]
pub fn allow(function: &str, operation: &str, body: &Value) {
    for Access { action, resource, key } in accesses(operation, body) {
        let allows = |statement: &Statement| {
            let kind = |kind: &String| match kind.strip_suffix('*') {
                Some(beginning) => key.is_some_and(|key| key.starts_with(beginning)),
                None => key == Some(kind),
            };
            statement.actions.contains(&action)
                && statement.resources.contains(&resource)
                && statement
                    .kinds
                    .as_ref()
                    .is_none_or(|kinds| resource.contains("/index/") || kinds.iter().any(kind))
        };
        assert!(
            POLICIES[function].iter().any(allows),
            "the template does not let {function} do {action} on {resource}, {key:?}"
        );
    }
}

fn accesses<'a>(operation: &str, body: &'a Value) -> Vec<Access<'a>> {
    let access = |operation: &str, table: &str, key: &'a Value| Access {
        action: format!("dynamodb:{operation}"),
        resource: table.to_owned(),
        key: key["pk"]["S"].as_str().or(key["user_id"]["S"].as_str()),
    };
    let one = |operation: &str, body: &'a Value| {
        let key = if body["Key"].is_object() { &body["Key"] } else { &body["Item"] };
        let table = body["TableName"].as_str().unwrap();
        match body["IndexName"].as_str() {
            Some(index) => access(operation, &format!("{table}/index/{index}"), key),
            None => access(operation, table, key),
        }
    };
    match operation {
        "TransactWriteItems" => {
            let writes = body["TransactItems"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|item| item.as_object().unwrap());
            let action = |write: &str| {
                if write == "ConditionCheck" {
                    "ConditionCheckItem".to_owned()
                } else {
                    format!("{write}Item")
                }
            };
            writes.map(|(write, item)| one(&action(write), item)).collect()
        }
        "BatchGetItem" => {
            let tables = body["RequestItems"].as_object().unwrap().iter();
            tables
                .flat_map(|(table, wanted)| {
                    wanted["Keys"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|key| access(operation, table, key))
                })
                .collect()
        }
        _ => vec![one(operation, body)],
    }
}
