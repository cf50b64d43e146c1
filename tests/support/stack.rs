//! `template.yaml` as CloudFormation resolves it, with the parameters, conditions and intrinsic
//! functions of one stack.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};
use serde_norway::Value as Yaml;
use serde_norway::value::TaggedValue;

/// A stack in the account 000000000000, in us-east-1.
pub struct Stack {
    template: Yaml,
    parameters: HashMap<String, String>,
}

impl Stack {
    /// Returns a stack with these parameters. All other parameters have their defaults.
    pub fn with(parameters: &[(&str, &str)]) -> Self {
        let template = emulator::template::parse(include_str!("../../template.yaml")).unwrap();
        let described = template["Parameters"].as_mapping().unwrap().iter();
        let mut values: HashMap<String, String> = described
            .map(|(name, parameter)| (written(name), written(&parameter["Default"])))
            .collect();
        for (name, value) in parameters {
            let default = values.insert((*name).to_owned(), (*value).to_owned());
            assert!(default.is_some(), "the template has no parameter {name}");
        }
        Self { template, parameters: values }
    }

    /// Returns a resource by its name in the template.
    pub fn resource(&self, name: &str) -> &Yaml {
        let resource = &self.template["Resources"][name];
        assert!(!resource.is_null(), "the template has no resource {name}");
        resource
    }

    /// Returns, for each function, the name of its resource, the name of its binary, and the
    /// resource.
    pub fn functions(&self) -> Vec<(String, String, &Yaml)> {
        let resources = self.template["Resources"].as_mapping().unwrap().iter();
        resources
            .filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function")
            .map(|(name, function)| {
                let binary = &function["Metadata"]["BuildProperties"]["Binary"];
                (written(name), written(binary), function)
            })
            .collect()
    }

    /// Returns the environment of the function whose binary has this name.
    pub fn environment(&self, binary: &str) -> BTreeMap<String, String> {
        let functions = self.functions();
        let own = functions.iter().find(|(_, name, _)| name == binary).unwrap().2;
        let global = &self.template["Globals"]["Function"]["Environment"]["Variables"];
        let mut environment = BTreeMap::new();
        for variables in [global, &own["Properties"]["Environment"]["Variables"]] {
            for (name, value) in variables.as_mapping().into_iter().flatten() {
                environment.insert(written(name), text(&self.value(value).unwrap()));
            }
        }
        environment
    }

    /// Returns the ARN of a table or of one of its indexes.
    pub fn table(&self, name: &str, index: Option<&str>) -> String {
        let table = self.attribute(&format!("{name}.Arn"));
        index.map_or_else(|| table.clone(), |index| format!("{table}/index/{index}"))
    }

    /// Returns the name of a table's partition key.
    pub fn partition_key(&self, table: &str) -> String {
        let keys = self.resource(table)["Properties"]["KeySchema"].as_sequence().unwrap();
        let partition = keys.iter().find(|key| key["KeyType"] == "HASH").unwrap();
        written(&partition["AttributeName"])
    }

    /// Returns the value of a part of the template. `None` means `AWS::NoValue`.
    pub fn value(&self, part: &Yaml) -> Option<Value> {
        Some(match part {
            Yaml::Tagged(function) => return self.call(function),
            Yaml::Sequence(parts) => {
                Value::Array(parts.iter().filter_map(|part| self.value(part)).collect())
            }
            Yaml::Mapping(fields) => {
                let fields = fields.iter();
                let fields =
                    fields.filter_map(|(name, part)| Some((written(name), self.value(part)?)));
                Value::Object(fields.collect::<Map<String, Value>>())
            }
            scalar => serde_json::to_value(scalar).unwrap(),
        })
    }

    /// Evaluates an intrinsic function.
    fn call(&self, function: &TaggedValue) -> Option<Value> {
        let argument = &function.value;
        match function.tag.to_string().as_str() {
            "!Ref" => self.reference(&written(argument)),
            "!GetAtt" => Some(self.attribute(&written(argument)).into()),
            "!Sub" => Some(self.substituted(argument).into()),
            "!If" if self.holds(&written(&argument[0])) => self.value(&argument[1]),
            "!If" => self.value(&argument[2]),
            "!Select" => {
                let index: usize = written(&argument[0]).parse().unwrap();
                Some(self.value(&argument[1]).unwrap()[index].clone())
            }
            "!Split" => {
                let (separator, whole) = (written(&argument[0]), self.value(&argument[1]).unwrap());
                let parts: Vec<String> =
                    text(&whole).split(separator.as_str()).map(str::to_owned).collect();
                Some(parts.into())
            }
            // If the list is a parameter, its value is already joined: a string with commas.
            "!Join" => match self.value(&argument[1]).unwrap() {
                Value::Array(parts) => {
                    let parts: Vec<String> = parts.iter().map(text).collect();
                    Some(parts.join(&written(&argument[0])).into())
                }
                list => Some(text(&list).into()),
            },
            other => panic!("the tests can't resolve {other} yet"),
        }
    }

    fn reference(&self, name: &str) -> Option<Value> {
        if let Some(value) = self.parameters.get(name) {
            return Some(value.as_str().into());
        }
        let value = match name {
            "AWS::NoValue" => return None,
            "AWS::Partition" => "aws".to_owned(),
            "AWS::Region" => "us-east-1".to_owned(),
            "AWS::AccountId" => "000000000000".to_owned(),
            "AWS::StackName" => "farebox".to_owned(),
            "AWS::URLSuffix" => "amazonaws.com".to_owned(),
            _ if self.resource(name)["Type"] == "AWS::SecretsManager::Secret" => {
                format!("arn:aws:secretsmanager:us-east-1:000000000000:secret:{name}")
            }
            name => name.to_owned(),
        };
        Some(value.into())
    }

    /// Returns an attribute, named as `resource.attribute`.
    fn attribute(&self, of: &str) -> String {
        let (name, attribute) = of.split_once('.').unwrap();
        assert_eq!(self.resource(name)["Type"], "AWS::DynamoDB::Table", "{of}");
        let arn = format!("arn:aws:dynamodb:us-east-1:000000000000:table/{name}");
        match attribute {
            "Arn" => arn,
            "StreamArn" => format!("{arn}/stream/2026-11-20T00:00:00.000"),
            _ => panic!("the tests can't resolve {of} yet"),
        }
    }

    /// Evaluates `!Sub`, which may define variables.
    fn substituted(&self, argument: &Yaml) -> String {
        let none = Yaml::Null;
        let (pattern, variables) = match argument {
            Yaml::Sequence(parts) => (written(&parts[0]), &parts[1]),
            pattern => (written(pattern), &none),
        };
        let mut parts = pattern.split("${");
        let mut whole = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').unwrap();
            whole += &match &variables[name] {
                Yaml::Null if name.contains('.') => self.attribute(name),
                Yaml::Null => text(&self.reference(name).unwrap()),
                variable => text(&self.value(variable).unwrap()),
            };
            whole += rest;
        }
        whole
    }

    /// Returns true if a condition of the template holds.
    fn holds(&self, condition: &str) -> bool {
        self.is_true(&self.template["Conditions"][condition])
    }

    fn is_true(&self, condition: &Yaml) -> bool {
        let Yaml::Tagged(function) = condition else { panic!("no condition: {condition:?}") };
        let argument = &function.value;
        let side = |index: usize| text(&self.value(&argument[index]).unwrap());
        match function.tag.to_string().as_str() {
            "!Condition" => self.holds(&written(argument)),
            "!Equals" => side(0) == side(1),
            "!Not" => !self.is_true(&argument[0]),
            "!And" => argument.as_sequence().unwrap().iter().all(|part| self.is_true(part)),
            "!Or" => argument.as_sequence().unwrap().iter().any(|part| self.is_true(part)),
            other => panic!("the tests can't resolve {other} yet"),
        }
    }
}

/// Returns a scalar as written in the template.
fn written(scalar: &Yaml) -> String {
    text(&serde_json::to_value(scalar).unwrap())
}

/// Returns a scalar as CloudFormation passes it to a resource.
fn text(scalar: &Value) -> String {
    scalar.as_str().map_or_else(|| scalar.to_string(), str::to_owned)
}
