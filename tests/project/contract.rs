//! Facts that `template.yaml`, the code and the documents share, and that can't be generated.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use emulator::template::Template;
use functions::gateway::{REFUSALS, Refusal};
use functions::lambda::Trigger;
use functions::{ENDPOINTS, ROUTES, background};
use reqwest::Method;
use serde_json::{Value, json};
use serde_norway::Value as Yaml;
use shared::charge::LEASE_AFTER;
use shared::clock::Day;
use shared::config::{LogConfig, Settings};
use shared::http::Route;
use shared::store::is_closed;

use crate::support::client::{Api, token_in};
use crate::support::document::{self, LINKS, Link};
use crate::support::function::{Reply, TIME, invoke};
use crate::support::permissions::{self, Call};

/// Returns true if a function is an endpoint that signs JWTs.
fn issues(function: &str) -> bool {
    ENDPOINTS.iter().any(|endpoint| endpoint.name == function && endpoint.publishes)
}

/// Returns true if a function calls the AI.
fn asks(function: &str) -> bool {
    ENDPOINTS.iter().any(|endpoint| endpoint.name == function && endpoint.calls_ai())
}

/// Returns true if a function has one of the payment provider's secrets.
fn sells(function: &str) -> bool {
    let endpoints = ENDPOINTS.iter().map(|endpoint| (endpoint.name, endpoint.settings));
    let background = background::FUNCTIONS.iter().map(|each| (each.name, each.settings));
    let mut settings = endpoints.chain(background).filter(|(name, _)| *name == function);
    settings.any(|(_, settings)| settings.concat().contains(&"STRIPE_MODE"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml() -> Yaml {
    emulator::template::parse(&read("template.yaml")).unwrap()
}

/// Returns true if a value is `!Ref name`.
fn is_ref(value: &Yaml, name: &str) -> bool {
    matches!(value, Yaml::Tagged(tagged) if tagged.tag == "!Ref" && tagged.value == name)
}

/// Returns true if a value is the ARN of the failure queue. SAM lets a function send messages to
/// the queue that is its destination.
fn goes_to_the_queue(destination: &Yaml) -> bool {
    let on_failure = &destination["OnFailure"];
    let queue = matches!(&on_failure["Destination"], Yaml::Tagged(tagged)
        if tagged.tag == "!GetAtt" && tagged.value == "FailureQueue.Arn");
    queue && on_failure["Type"] == "SQS"
}

#[test]
fn failed_scheduled_runs_are_queued_encrypted_and_not_retried() {
    let yaml = yaml();
    let queue = &yaml["Resources"]["FailureQueue"];
    assert_eq!(queue["Type"], "AWS::SQS::Queue");
    assert_eq!(queue["Properties"]["SqsManagedSseEnabled"], true);
    for resource in yaml["Resources"].as_mapping().unwrap().values() {
        let Some(binary) = resource["Metadata"]["BuildProperties"]["Binary"].as_str() else {
            continue;
        };
        let config = &resource["Properties"]["EventInvokeConfig"];
        let function = background::FUNCTIONS.iter().find(|function| function.name == binary);
        match function.and_then(|function| function.lambda.trigger) {
            Some(Trigger::Schedule(schedule)) => {
                assert!(goes_to_the_queue(&config["DestinationConfig"]), "{binary}");
                assert_eq!(config["MaximumRetryAttempts"], 0, "{binary}");
                let age = config["MaximumEventAgeInSeconds"].as_u64().unwrap();
                assert!(age <= schedule.interval().as_secs(), "{binary}: until the next event");
            }
            _ => assert!(config.is_null(), "{binary}"),
        }
    }
}

#[tokio::test]
async fn the_local_server_has_every_background_function() {
    let api = Api::own(&[]).await;
    let apps = &api.server().apps;
    for function in background::FUNCTIONS {
        assert!(apps.contains_key(function.name), "local/src/server.rs lacks {}", function.name);
    }
}

#[test]
fn the_stream_sends_only_new_emails_to_mail_and_retries_them() {
    let yaml = yaml();
    let outbox = &yaml["Resources"]["MailFunction"]["Properties"]["Events"]["Outbox"]["Properties"];
    let filters = outbox["FilterCriteria"]["Filters"].as_sequence().unwrap();
    let [filter] = filters.as_slice() else { panic!("{filters:?}") };
    let pattern: Value = serde_json::from_str(filter["Pattern"].as_str().unwrap()).unwrap();
    let expected = json!({ "eventName": ["INSERT"], "dynamodb": { "Keys": { "pk": { "S": [{ "prefix": shared::store::OUTBOX }] } } } });
    assert_eq!(pattern, expected);
    assert_eq!(outbox["FunctionResponseTypes"][0], "ReportBatchItemFailures");
    assert_eq!(outbox["BisectBatchOnFunctionError"], true);
    // An outgoing e-mail expires after a day. The function stops retrying an e-mail at least twelve
    // hours earlier, so that an operator still has time to send the e-mail.
    let age = outbox["MaximumRecordAgeInSeconds"].as_u64().unwrap();
    assert!((3600..=12 * 3600).contains(&age), "{age}");
    let attempts = outbox["MaximumRetryAttempts"].as_u64().unwrap();
    assert!((1..=10_000).contains(&attempts), "{attempts}: -1 would be any number");
    assert!(goes_to_the_queue(&outbox["DestinationConfig"]));
    assert_eq!(
        yaml["Resources"]["TokensTable"]["Properties"]["StreamSpecification"]["StreamViewType"],
        "KEYS_ONLY"
    );
}

#[test]
fn only_the_mail_function_may_send_and_only_as_configured() {
    let yaml = yaml();
    let policies = &yaml["Resources"]["MailFunction"]["Properties"]["Policies"];
    let statements = policies[0]["Statement"].as_sequence().unwrap();
    let sending = statements.iter().flat_map(|statement| match statement {
        // A statement that depends on a parameter has the form `!If [condition, statement,
        // statement]`.
        Yaml::Tagged(given) => given.value.as_sequence().unwrap()[1..].iter().collect(),
        statement => vec![statement],
    });
    let sending: Vec<&Yaml> =
        sending.filter(|statement| statement["Action"][0] == "ses:SendEmail").collect();
    let resource = |statement: &Yaml| match &statement["Resource"] {
        Yaml::Tagged(arn) => arn.value.as_str().unwrap().rsplit(':').next().unwrap().to_owned(),
        other => panic!("{other:?}"),
    };
    let resources: Vec<String> = sending.iter().copied().map(resource).collect();
    assert_eq!(
        resources,
        ["identity/*", "configuration-set/${MailConfigurationSet}", "configuration-set/*"]
    );
    for statement in sending {
        let sender = &statement["Condition"]["StringEquals"]["ses:FromAddress"];
        assert!(is_ref(sender, "MailFrom"), "{statement:?}");
    }
    let all = format!("{yaml:?}");
    assert_eq!(all.matches("ses:SendEmail").count(), 3, "no other statement sends");
}

const TABLES: [&str; 6] =
    ["UsersTable", "TokensTable", "KeysTable", "ChatsTable", "LedgerTable", "FilesTable"];

/// Collects the references to the stack's own tables that no `!If` replaces when the stack adopts
/// other tables.
fn unguarded(value: &Yaml, found: &mut Vec<String>) {
    match value {
        Yaml::Tagged(tagged) if tagged.tag == "!If" => {
            let (condition, own) =
                (tagged.value[0].as_str().unwrap(), format!("{:?}", tagged.value[1]));
            let mut in_own = Vec::new();
            unguarded(&tagged.value[1], &mut in_own);
            let table = condition.strip_prefix("Own").map(|table| format!("{table}Table"));
            if !table.is_some_and(|table| TABLES.contains(&table.as_str()) && own.contains(&table))
            {
                found.append(&mut in_own);
            }
            unguarded(&tagged.value[2], found);
        }
        Yaml::Tagged(tagged) => {
            let text = tagged.value.as_str().unwrap_or_default();
            let named = |table: &&str| {
                text == *table
                    || text.starts_with(&format!("{table}."))
                    || text.contains(&format!("${{{table}}}"))
                    || text.contains(&format!("${{{table}."))
            };
            if TABLES.iter().any(named) {
                found.push(format!("{} {text}", tagged.tag));
            }
            unguarded(&tagged.value, found);
        }
        Yaml::Sequence(values) => values.iter().for_each(|value| unguarded(value, found)),
        Yaml::Mapping(values) => values.values().for_each(|value| unguarded(value, found)),
        _ => {}
    }
}

#[test]
fn a_stack_with_adopted_tables_creates_and_uses_no_others() {
    let yaml = yaml();
    let mut found = Vec::new();
    unguarded(&yaml, &mut found);
    assert_eq!(
        found,
        Vec::<String>::new(),
        "they need !If [Own.., the own table, the adopted one]"
    );
    let mut parameters = BTreeSet::from(["TokensStreamArn".to_owned()]);
    for table in TABLES {
        let own = format!("Own{}", table.strip_suffix("Table").unwrap());
        assert_eq!(yaml["Resources"][table]["Condition"], own.as_str());
        let Yaml::Tagged(condition) = &yaml["Conditions"][own.as_str()] else { panic!("{own}") };
        assert!(is_ref(&condition.value[0], &format!("{table}Arn")), "{condition:?}");
        let variable = &yaml["Globals"]["Function"]["Environment"]["Variables"]
            [format!("{}_TABLE", table.strip_suffix("Table").unwrap().to_uppercase()).as_str()];
        assert!(format!("{variable:?}").contains(&format!("${{{table}Arn}}/")), "{variable:?}");
        parameters.insert(format!("{table}Arn"));
    }
    // A stack adopts either all tables or none, so the rule names each table's parameter twice:
    // once for each case. Tables that a stack adopted before there were files belong to no Files
    // table, so the rule doesn't name its parameter.
    let rule = format!("{:?}", yaml["Rules"]["TablesAreAdoptedTogether"]);
    for parameter in &parameters {
        assert_eq!(yaml["Parameters"][parameter.as_str()]["Default"], "", "{parameter}");
        let times = if parameter == "FilesTableArn" { 0 } else { 2 };
        assert_eq!(rule.matches(&format!("{parameter:?}")).count(), times, "{parameter}");
    }
    let outbox = &yaml["Resources"]["MailFunction"]["Properties"]["Events"]["Outbox"]["Properties"];
    let Yaml::Tagged(stream) = &outbox["Stream"] else { panic!("{outbox:?}") };
    assert!(is_ref(&stream.value[2], "TokensStreamArn"), "{stream:?}");
}

#[test]
fn gateway_replies_have_the_functions_request_id() {
    let yaml = yaml();
    let responses = &yaml["Resources"]["Api"]["Properties"]["GatewayResponses"];
    for (name, response) in responses.as_mapping().unwrap() {
        let template = response["ResponseTemplates"]["application/json"].as_str().unwrap();
        let body: Value = serde_json::from_str(template).unwrap();
        assert_eq!(body["request_id"], "$context.extendedRequestId", "{name:?}");
    }
}

#[test]
fn no_second_stage_bypasses_the_throttling() {
    assert_eq!(
        yaml()["Resources"]["Api"]["Properties"]["OpenApiVersion"],
        "3.0.1",
        "without it SAM makes a public stage named Stage"
    );
}

/// Returns the first value of `!If [condition, value, other]`. `None` if a value has a different
/// form.
fn if_so<'y>(value: &'y Yaml, condition: &str) -> Option<&'y Yaml> {
    match value {
        Yaml::Tagged(tagged) if tagged.tag == "!If" && tagged.value[0] == condition => {
            Some(&tagged.value[1])
        }
        _ => None,
    }
}

#[test]
fn profiles_protect_data_and_say_who_reads_messages() {
    let (yaml, profiles) = (yaml(), read("samconfig.toml"));
    let profile = |name: &str| {
        let (_, section) =
            profiles.split_once(&format!("[{name}.deploy.parameters]\n")).expect("a profile");
        section.split("\n[").next().unwrap().to_owned()
    };
    // The defaults protect a deployment that doesn't set `Protection` and `LogRetentionDays`.
    assert_eq!(yaml["Parameters"]["Protection"]["Default"], "on");
    assert_eq!(yaml["Parameters"]["LogRetentionDays"]["Default"], 90);
    assert!(profile("prod").contains(r#"["Protection=on", "LogRetentionDays=90", "#));
    assert!(profile("dev").contains(r#"["Protection=off", "LogRetentionDays=7", "#));
    // An update keeps a parameter that the profile doesn't name, also if its default has changed.
    for name in ["dev", "prod"] {
        assert!(profile(name).contains(r#""AdminChats=read""#), "{name}");
    }
}

#[test]
fn data_outlives_its_stack_and_failed_creations_roll_back() {
    let (yaml, mut kept) = (yaml(), 0);
    for (name, resource) in yaml["Resources"].as_mapping().unwrap() {
        let properties = &resource["Properties"];
        let policy = match resource["Type"].as_str().unwrap() {
            "AWS::DynamoDB::Table" => {
                let recovery = &properties["PointInTimeRecoverySpecification"];
                for protected in [
                    &properties["DeletionProtectionEnabled"],
                    &recovery["PointInTimeRecoveryEnabled"],
                ] {
                    assert_eq!(
                        if_so(protected, "IsProtected"),
                        Some(&Yaml::Bool(true)),
                        "{name:?}"
                    );
                }
                // A rollback fails if it must delete a protected table.
                "Retain"
            }
            "AWS::SecretsManager::Secret" => "RetainExceptOnCreate",
            _ => continue,
        };
        kept += 1;
        assert_eq!(resource["DeletionPolicy"], policy, "{name:?}");
        assert_eq!(resource["UpdateReplacePolicy"], "Retain", "{name:?}");
    }
    assert_eq!(kept, 7, "six tables and a secret");
}

#[test]
fn the_kms_key_encrypts_all_data_and_opens_only_own_secrets() {
    let (yaml, mut encrypted) = (yaml(), 0);
    for (name, resource) in yaml["Resources"].as_mapping().unwrap() {
        let properties = &resource["Properties"];
        let key = match resource["Type"].as_str().unwrap() {
            "AWS::DynamoDB::Table" => if_so(&properties["SSESpecification"], "HasKmsKey")
                .map(|specification| &specification["KMSMasterKeyId"]),
            "AWS::SecretsManager::Secret" | "AWS::Logs::LogGroup" => {
                if_so(&properties["KmsKeyId"], "HasKmsKey")
            }
            _ => continue,
        };
        encrypted += 1;
        assert!(key.is_some_and(|key| is_ref(key, "KmsKeyArn")), "{name:?}");
    }
    assert_eq!(encrypted, 8, "six tables, a secret and the log group");
    for resource in yaml["Resources"].as_mapping().unwrap().values() {
        if resource["Type"] != "AWS::Serverless::Function" {
            continue;
        }
        let binary = resource["Metadata"]["BuildProperties"]["Binary"].as_str().unwrap();
        let mut secrets = 0;
        for statement in permissions::statements(&yaml, resource) {
            let Yaml::Tagged(given) = statement else {
                assert!(!format!("{:?}", statement["Action"]).contains("kms:"), "{binary}");
                continue;
            };
            let statement = &given.value[1];
            if !format!("{:?}", statement["Action"]).contains("kms:") {
                continue;
            }
            secrets += 1;
            assert_eq!(statement["Action"], Yaml::from(vec!["kms:Decrypt"]), "{binary}");
            let condition = &statement["Condition"]["StringEquals"];
            let secret = &condition["kms:EncryptionContext:SecretARN"];
            let known = [
                "SigningSecret",
                "OpenAiKeyArn",
                "OpenAi2KeyArn",
                "AnthropicKeyArn",
                "StripeKeyArn",
                "StripeWebhookSecretArn",
            ];
            assert!(known.iter().any(|known| is_ref(secret, known)), "{binary}: {secret:?}");
            let by = format!("{:?}", condition["kms:ViaService"]);
            assert!(by.contains("secretsmanager."), "{binary}: {by}");
        }
        let expected = usize::from(issues(binary))
            + 3 * usize::from(asks(binary))
            + usize::from(sells(binary));
        assert_eq!(secrets, expected, "{binary}");
    }
}

#[test]
fn the_tour_lists_the_codes_of_the_gateway() {
    let tour = read("docs/use/api-tour.md");
    for Refusal { code, .. } in REFUSALS {
        assert!(tour.contains(&format!("`{code}`")), "docs/use/api-tour.md does not list {code}");
    }
}

#[test]
fn the_firewall_only_counts_rules_that_messages_may_match() {
    let yaml = yaml();
    let rules = &yaml["Resources"]["WebAcl"]["Properties"]["Rules"];
    let [rate, common] = rules.as_sequence().unwrap().as_slice() else { panic!("{rules:?}") };
    let limit = &rate["Statement"]["RateBasedStatement"]["Limit"];
    assert!(is_ref(limit, "FirewallRate"), "{limit:?}");
    let group = &common["Statement"]["ManagedRuleGroupStatement"];
    assert_eq!(group["Name"], "AWSManagedRulesCommonRuleSet");
    let overrides = group["RuleActionOverrides"].as_sequence().unwrap();
    let counted: BTreeSet<&str> = overrides
        .iter()
        .map(|rule| {
            assert!(rule["ActionToUse"]["Count"].is_mapping(), "{rule:?}");
            rule["Name"].as_str().unwrap()
        })
        .collect();
    // The rules in AWS's rule group that inspect bodies or queries, and the rule about clients
    // without a user agent. A message in a body may contain code, and so may the search text in a
    // query.
    let attacks = ["CrossSiteScripting", "EC2MetaDataSSRF", "GenericLFI", "GenericRFI"];
    let read: BTreeSet<String> = attacks
        .iter()
        .flat_map(|attack| ["BODY", "QUERYARGUMENTS"].map(|part| format!("{attack}_{part}")))
        .chain(
            [
                "SizeRestrictions_BODY",
                "SizeRestrictions_QUERYSTRING",
                "RestrictedExtensions_QUERYARGUMENTS",
                "NoUserAgent_HEADER",
            ]
            .map(str::to_owned),
        )
        .collect();
    let read: BTreeSet<&str> = read.iter().map(String::as_str).collect();
    assert_eq!(counted, read);
    // A sampled request would reveal its credential.
    let settings = &yaml["Resources"]["WebAcl"]["Properties"]["VisibilityConfig"];
    for settings in [settings, &rate["VisibilityConfig"], &common["VisibilityConfig"]] {
        assert_eq!(settings["SampledRequestsEnabled"], false);
    }
}

#[test]
fn expensive_endpoints_are_throttled_by_account_rate() {
    let throttled = |name: &str| {
        let endpoint = ENDPOINTS.iter().find(|endpoint| endpoint.name == name).unwrap();
        endpoint.lambda.throttled
    };
    let found = ROUTES.iter().filter(|route| throttled(route.endpoint)).map(|route| route.path);
    let expected = [
        "/api/admin/export/{list}",
        "/api/admin/figures",
        "/api/admin/users",
        "/api/register",
        "/api/login",
        "/api/shares/{link}",
        "/api/shares/{link}/reports",
        "/api/token",
        "/api/user",
        "/api/user/email/verify",
        "/api/user/export",
        "/api/user/password",
        "/api/user/profile",
        "/api/user/shares",
        "/api/password/reset",
        "/api/password/reset/confirm",
        "/{proxy+}",
    ];
    assert_eq!(found.collect::<BTreeSet<_>>(), BTreeSet::from(expected));
    let yaml = yaml();
    for setting in yaml["Resources"]["Api"]["Properties"]["MethodSettings"].as_sequence().unwrap() {
        let metrics = if_so(&setting["MetricsEnabled"], "HasMethodMetrics");
        assert_eq!(metrics, Some(&Yaml::Bool(true)), "metrics of methods are billed");
    }
}

#[test]
fn functions_that_call_the_ai_reserve_their_instances() {
    let reserving = |parameter: &str| -> BTreeSet<&str> {
        let of_it = ENDPOINTS.iter().filter(|each| each.concurrency() == Some(parameter));
        of_it.map(|endpoint| endpoint.name).collect()
    };
    let pages = ["chat", "chat_stream", "conversation_title"];
    assert_eq!(reserving("AskConcurrency"), BTreeSet::from(pages));
    let programs = ["completions", "embeddings", "messages", "responses", "text_completions"];
    assert_eq!(reserving("ProgramConcurrency"), BTreeSet::from(programs));
    let calls = ENDPOINTS.iter().filter(|endpoint| endpoint.calls_ai());
    assert_eq!(calls.count(), pages.len() + programs.len());
    let unpaid = ENDPOINTS.iter().filter(|each| each.calls_ai() != each.lambda.asks_ai);
    assert_eq!(unpaid.map(|each| each.name).collect::<Vec<_>>(), ["conversation_title"]);
    let asks = ENDPOINTS.iter().filter(|endpoint| endpoint.lambda.asks_ai);
    let whole = asks.filter(|endpoint| !endpoint.lambda.streams).map(|endpoint| endpoint.name);
    assert_eq!(whole.collect::<Vec<_>>(), ["chat"], "the others may take minutes");
    let yaml = yaml();
    for parameter in ["AskConcurrency", "ProgramConcurrency", "HashConcurrency"] {
        assert_eq!(yaml["Parameters"][parameter]["Default"], 0, "new accounts have ten instances");
    }
}

#[test]
fn leases_end_before_the_figures_of_their_day_are_stored() {
    let day = Day::from_millis(0);
    let mut times = BTreeSet::new();
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.calls_ai()) {
        let seconds = u64::from(endpoint.lambda.timeout.expect(endpoint.name));
        let lease_ends = day.after(1).begins() + (seconds + LEASE_AFTER) * 1000;
        assert!(!is_closed(day, lease_ends), "{}", endpoint.name);
        times.insert(seconds);
    }
    assert_eq!(times.last(), Some(&600), "programs get long answers");
}

#[test]
fn policies_name_each_action_and_only_issuers_may_sign() {
    let yaml = yaml();
    for function in &Template::load().unwrap().functions {
        let issues = function.environment.contains_key("SIGNING_SECRET");
        assert_eq!(issues, self::issues(&function.name), "{}", function.name);
    }
    for (name, resource) in yaml["Resources"].as_mapping().unwrap() {
        if resource["Type"] == "AWS::IAM::Role" {
            // SAM creates the functions' roles.
            let service = match name.as_str().unwrap() {
                "GatewayLogWriter" => "apigateway.amazonaws.com",
                "LedgerCopyRole" => "backup.amazonaws.com",
                other => panic!("{other} is no role of a service"),
            };
            let trust = &resource["Properties"]["AssumeRolePolicyDocument"]["Statement"][0];
            assert_eq!(trust["Principal"]["Service"], service, "{name:?}");
            continue;
        }
        if resource["Type"].as_str().unwrap().starts_with("AWS::IAM::") {
            // In IAM, a managed policy may itself list the roles that it applies to. A policy that
            // lists its roles would be missing from the functions' own lists of policies.
            assert_eq!(resource["Type"], "AWS::IAM::ManagedPolicy", "{name:?}");
            let properties = resource["Properties"].as_mapping().unwrap();
            let known = ["Description", "PolicyDocument"];
            assert!(
                properties.keys().all(|key| known.iter().any(|known| key == known)),
                "{name:?}"
            );
        }
        if resource["Type"] != "AWS::Serverless::Function" {
            continue;
        }
        let binary = resource["Metadata"]["BuildProperties"]["Binary"].as_str().unwrap();
        let statements = permissions::statements(&yaml, resource);
        for statement in statements {
            // Permissions that depend on a parameter have the form `!If [condition, statement,
            // nothing]`.
            let statement =
                if let Yaml::Tagged(given) = statement { &given.value[1] } else { statement };
            for action in statement["Action"]
                .as_sequence()
                .unwrap()
                .iter()
                .map(|action| action.as_str().unwrap())
            {
                assert!(!action.contains('*'), "{binary}: {action}");
                // A scan names no key, so a condition on keys would not limit the scan.
                let is_limited = !statement["Condition"].is_null();
                assert!(action != "dynamodb:Scan" || !is_limited, "{binary}: {action}");
                assert!(binary == "mail" || !action.starts_with("ses"), "{binary}: {action}");
                let writes_keys = matches!(action, "dynamodb:PutItem" | "dynamodb:UpdateItem")
                    && format!("{:?}", statement["Resource"]).contains("KeysTable");
                assert!(issues(binary) || !writes_keys, "{binary}: {action}");
                let reads_secret = action.starts_with("secretsmanager");
                let resource = format!("{:?}", statement["Resource"]);
                let of_provider =
                    ["OpenAi", "Anthropic"].iter().any(|name| resource.contains(name));
                let of_ai = reads_secret && of_provider;
                assert!(
                    !reads_secret
                        || sells(binary)
                        || issues(binary) != of_ai && (!of_ai || asks(binary)),
                    "{binary}: {action}"
                );
                assert!(asks(binary) || !action.starts_with("bedrock"), "{binary}: {action}");
                // These actions of CloudWatch accept no narrower resource.
                let is_on_all = format!("{:?}", statement["Resource"]).contains("\"*\"");
                assert!(!is_on_all || action.starts_with("cloudwatch:"), "{binary}: {action}");
            }
            if format!("{:?}", statement["Resource"]).contains("TokensTable.Arn\"") {
                let kinds =
                    statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
                        .as_sequence();
                let is_kind = |kind: &Yaml| {
                    kind.as_str().is_some_and(|kind| kind.ends_with(":*") && kind.len() > 2)
                };
                assert!(
                    kinds.is_some_and(|kinds| !kinds.is_empty() && kinds.iter().all(is_kind)),
                    "{binary} reaches every kind of item in Tokens"
                );
            }
            if format!("{:?}", statement["Resource"]).contains("UsersTable.Arn\"") {
                let kinds =
                    statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
                        .as_sequence();
                let is_kind = |kind: &Yaml| {
                    kind.as_str()
                        .is_some_and(|kind| ["user:*", "email:*", "admins"].contains(&kind))
                };
                assert!(
                    kinds.is_some_and(|kinds| !kinds.is_empty() && kinds.iter().all(is_kind)),
                    "{binary} reaches every kind of item in Users"
                );
            }
        }
    }
}

#[test]
fn every_function_logs_to_the_same_group() {
    let yaml = yaml();
    let resources = yaml["Resources"].as_mapping().unwrap();
    let groups: Vec<_> = resources
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::Logs::LogGroup")
        .collect();
    let [(name, group)] = groups[..] else { panic!("{groups:?}") };
    assert!(is_ref(&group["Properties"]["RetentionInDays"], "LogRetentionDays"));
    assert!(is_ref(
        &yaml["Globals"]["Function"]["LoggingConfig"]["LogGroup"],
        name.as_str().unwrap()
    ));
    for (name, resource) in resources {
        assert!(resource["Properties"]["LoggingConfig"].is_null(), "{name:?} has its own");
    }
}

#[test]
fn the_access_log_has_both_request_ids_and_no_secrets() {
    let yaml = yaml();
    let Yaml::Tagged(setting) = &yaml["Resources"]["Api"]["Properties"]["AccessLogSetting"] else {
        panic!("no condition")
    };
    assert!(setting.tag == "!If" && setting.value[0] == "HasAccessLogs");
    let Yaml::Tagged(group) = &setting.value[1]["DestinationArn"] else { panic!("{setting:?}") };
    let arn = group.value.as_str().unwrap();
    assert!(arn.ends_with(":log-group:${LogGroup}"), "{arn}: the group with the retention");
    let format = setting.value[1]["Format"].as_str().unwrap();
    assert!(!format.contains('\n'), "a line of the log is a request");
    let format: BTreeMap<String, String> = serde_json::from_str(format).unwrap();
    assert_eq!(format["request_id"], "$context.extendedRequestId", "as in the replies");
    assert_eq!(format["function_request_id"], "$context.integration.requestId");
    let known = [
        "error.responseType",
        "extendedRequestId",
        "httpMethod",
        "identity.sourceIp",
        "integration.latency",
        "integration.requestId",
        "integration.status",
        "requestTimeEpoch",
        "resourcePath",
        "responseLatency",
        "responseLength",
        "status",
        "wafResponseCode",
    ]
    .map(|variable| format!("$context.{variable}"));
    let logged: BTreeSet<String> = format.into_values().collect();
    assert_eq!(logged, BTreeSet::from(known));
}

#[test]
fn the_access_log_role_precedes_the_stage_and_is_retained() {
    let yaml = yaml();
    for parameter in ["AccessLogs", "GatewayLogRole"] {
        assert_eq!(yaml["Parameters"][parameter]["Default"], "off", "{parameter}");
    }
    let Yaml::Tagged(by) = &yaml["Resources"]["Api"]["Metadata"]["LogsBy"] else {
        panic!("no dependency")
    };
    assert!(by.value[0] == "HasGatewayLogRole" && is_ref(&by.value[1], "GatewayLogAccount"));
    for name in ["GatewayLogAccount", "GatewayLogWriter"] {
        let resource = &yaml["Resources"][name];
        assert_eq!(resource["Condition"], "HasGatewayLogRole", "{name}");
        assert_eq!(resource["DeletionPolicy"], "RetainExceptOnCreate", "{name}");
        assert_eq!(resource["UpdateReplacePolicy"], "Retain", "{name}");
    }
}

#[test]
fn functions_accept_every_log_level_and_metrics_are_kept() {
    let yaml = yaml();
    let levels = yaml["Parameters"]["LogLevel"]["AllowedValues"].as_sequence().unwrap();
    let levels: Vec<&str> = levels.iter().map(|level| level.as_str().unwrap()).collect();
    assert_eq!(levels, ["error", "warn", "info"]);
    for level in levels {
        let settings = Settings::new(|name| (name == "LOG_LEVEL").then(|| level.to_owned()));
        assert!(LogConfig::read(&settings).is_ok(), "{level}");
    }
    // If `ApplicationLogLevel` is set, Lambda drops log lines below it. Metrics have the level
    // INFO.
    let logging = &yaml["Globals"]["Function"]["LoggingConfig"];
    assert_eq!(logging["LogFormat"], "JSON");
    assert!(logging["ApplicationLogLevel"].is_null());
    let namespace = &yaml["Globals"]["Function"]["Environment"]["Variables"]["METRICS_NAMESPACE"];
    assert!(is_ref(namespace, "AWS::StackName"), "{namespace:?}");
}

#[test]
fn functions_can_use_only_their_log_group_and_stream() {
    let yaml = yaml();
    let bounded = &yaml["Globals"]["Function"]["PermissionsBoundary"];
    assert!(is_ref(bounded, "FunctionBoundary"), "{bounded:?}");
    for (name, resource) in yaml["Resources"].as_mapping().unwrap() {
        let properties = &resource["Properties"];
        let own = &properties["PermissionsBoundary"];
        assert!(own.is_null(), "{name:?} has a boundary of its own");
        // SAM ignores the boundary of a function with its own role.
        assert!(properties["Role"].is_null(), "{name:?} has a role of its own");
    }
    // SAM attaches AWS's managed policies, which allow writing logs and reading streams on all
    // resources. The permissions boundary must limit a function to the log group and the stream of
    // its own stack.
    let is_within = |action: &str, resource: &str| {
        permissions::refused(&permissions::BOUNDARY, [&Call::of(action, resource)]).is_empty()
    };
    let account = "us-east-1:000000000000";
    let group = |name: &str| format!("arn:aws:logs:{account}:log-group:{name}:log-stream:x");
    let stream = |table: &str| {
        format!("arn:aws:dynamodb:{account}:table/{table}/stream/2026-11-20T00:00:00.000")
    };
    let writes = ["logs:CreateLogStream", "logs:PutLogEvents"];
    let reads = ["dynamodb:DescribeStream", "dynamodb:GetShardIterator", "dynamodb:GetRecords"];
    for (actions, own, other) in [
        (&writes[..], group("LogGroup"), group("AnotherGroup")),
        (&reads[..], stream("TokensTable"), stream("AnotherTable")),
    ] {
        for action in actions {
            assert!(is_within(action, &own), "{action}");
            assert!(!is_within(action, &other), "{action}");
        }
    }
    assert!(!is_within("logs:CreateLogGroup", &group("LogGroup")));
    assert!(is_within("xray:PutTraceSegments", "*") && is_within("dynamodb:GetItem", "*"));
    // SAM lets functions with a destination queue send messages only to that queue.
    assert!(is_within("sqs:SendMessage", &format!("arn:aws:sqs:{account}:FailureQueue")));
}

/// The requests that create the user and the session for all other requests.
const FIRST: [&str; 2] = ["register", "login"];

/// The requests that end sessions, or change the user's credentials. In this order, all their
/// events succeed. All other requests are sent before them.
const LAST: [&str; 8] = [
    "email_resend",
    "email_verify",
    "password_change",
    "token_blacklist",
    "logout",
    "password_reset",
    "password_reset_confirm",
    "account_delete",
];

fn route(endpoint: &str) -> &'static Route {
    ROUTES.iter().find(|route| route.endpoint == endpoint).expect(endpoint)
}

/// Returns the endpoints in the order in which their events are sent. Creations come before reads
/// and changes, and deletions come last, beginning with the longest paths. A request that needs a
/// value from another endpoint's reply follows that endpoint.
fn ordered() -> Vec<&'static str> {
    let place = |endpoint: &str| {
        let route = route(endpoint);
        let within = |list: &[&str]| list.iter().position(|name| *name == endpoint);
        match (within(&FIRST), within(&LAST), route.method) {
            (Some(at), ..) => (0, at),
            (_, Some(at), _) => (4, at),
            (.., "POST") => (1, 0),
            (.., "DELETE") => (3, usize::MAX - route.path.matches('/').count()),
            _ => (2, 0),
        }
    };
    let mut waiting: Vec<&str> = ENDPOINTS.iter().map(|endpoint| endpoint.name).collect();
    waiting.sort_by_key(|endpoint| place(endpoint));
    let mut ordered = Vec::new();
    while !waiting.is_empty() {
        let is_ready = |endpoint: &&str| {
            let mut links = LINKS.iter().filter(|link| link.to == **endpoint);
            links.all(|link| !waiting.contains(&link.from.as_str()))
        };
        let next = waiting.iter().position(is_ready).expect("requests need one another's values");
        ordered.push(waiting.remove(next));
    }
    ordered
}

/// The events in `events/`, sent to one server.
struct Events {
    api: Api,
    /// The tokens and ids that no link provides. They replace placeholders in all events.
    values: BTreeMap<&'static str, String>,
    /// The values that replies have provided for other endpoints' events.
    given: Vec<(&'static Link, String)>,
}

impl Events {
    /// Starts the server. Its administrator's requests are about a user with an address and an API
    /// key.
    async fn start() -> Self {
        let api = Api::own(&[("AI_PROVIDER", "echo")]).await;
        let root = api.administrator("root").await;
        let ben = api.person_at("ben", "ben@example.com").await;
        ben.makes_a_key("a program").await.is(201);
        let values = BTreeMap::from([("ADMIN_TOKEN", root.access), ("USER_ID", ben.id)]);
        Self { api, values, given: Vec::new() }
    }

    /// Creates the data that an endpoint's event needs.
    async fn prepare(&mut self, endpoint: &str) {
        match endpoint {
            "account_delete" => {
                // This user's password is the password in the event.
                let eve = self.api.person("eve").await;
                self.values.insert("ACCESS_TOKEN", eve.access);
            }
            "chat_stop" => {
                // The event contains the idempotency key of this chat.
                let bearer = format!("Bearer {}", self.values["ACCESS_TOKEN"]);
                let headers = [("authorization", bearer.as_str()), ("idempotency-key", "a-key-7")];
                let body = json!({ "message": "hi" });
                self.api.send(Method::POST, "/api/chat/", &headers, Some(body)).await.is(200);
            }
            "admin_share_end" => {
                // The author has ended the first shared chat.
                let share = self.replay("share_create").await.body;
                for (link, value) in &mut self.given {
                    if link.to == endpoint {
                        *value = share["id"].as_str().unwrap().to_owned();
                    }
                }
            }
            "file_read" => {
                let bearer = format!("Bearer {}", self.values["ACCESS_TOKEN"]);
                let file = json!({ "name": "a.txt", "text": "one" });
                let body = json!({ "message": "hi", "attachments": [file] });
                let headers = [("authorization", bearer.as_str())];
                let sent = self.api.send(Method::POST, "/api/chat/", &headers, Some(body)).await;
                let id = sent.is(200)["files"][0]["id"].as_str().unwrap().to_owned();
                self.values.insert("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342.0", id);
            }
            _ => {}
        }
    }

    /// Returns an endpoint's reply to its event, as its Lambda function would send it.
    async fn replay(&self, endpoint: &str) -> Reply {
        let example = document::example_event(endpoint);
        let mut event = example.to_string();
        for (placeholder, value) in &self.values {
            event = event.replace(placeholder, value);
        }
        for (link, value) in self.given.iter().filter(|(link, _)| link.to == endpoint) {
            event = event.replace(&link.example(&example), value);
        }
        let event = serde_json::from_str(&event).unwrap();
        Reply::of(invoke(&self.api.server().functions[endpoint], &event, TIME).await).await
    }

    /// Keeps the values in an endpoint's reply, or in the e-mail that it has sent.
    async fn keep(&mut self, endpoint: &str, reply: &Value) {
        let Self { api, values, given } = self;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        for link in LINKS.iter().filter(|link| link.from == endpoint) {
            given.extend(reply.pointer(&link.pointer).map(|value| (link, text(value))));
        }
        let ann = "ann@example.com";
        match endpoint {
            "login" | "password_change" => {
                values.insert("ACCESS_TOKEN", text(&reply["access"]));
                values.insert("REFRESH_TOKEN", text(&reply["refresh"]));
            }
            "email_verify" => {
                // The first verification of an address has ended all sessions.
                let again = json!({ "username": "ann", "password": "secret123" });
                let again = api.log_in(again).await.is(200);
                values.insert("ACCESS_TOKEN", text(&again["access"]));
            }
            "email_resend" => {
                values.insert("VERIFY_TOKEN", token_in(&api.mails_to(ann, 2).await[1]));
            }
            "password_reset" => {
                values.insert("RESET_TOKEN", token_in(&api.mails_to(ann, 3).await[2]));
            }
            "sessions" => {
                // The newest session is the one that these requests use.
                values.insert("SESSION_ID", text(&reply[1]["id"]));
            }
            "api_key_create" => {
                values.insert("YOUR_API_KEY", text(&reply["key"]));
            }
            _ => {}
        }
    }
}

/// Returns the status of the reply to an endpoint's event.
fn expected_status(endpoint: &str) -> u16 {
    match endpoint {
        // This server has no brand.
        "not_found" | "brand" => 404,
        // This server doesn't sell anything.
        "purchase_create" | "stripe_webhook" => 404,
        // The document doesn't describe the pages.
        "site" => 200,
        _ => document::success(route(endpoint)),
    }
}

#[tokio::test]
async fn every_event_gets_its_endpoints_reply() {
    let mut events = Events::start().await;
    for endpoint in ordered() {
        events.prepare(endpoint).await;
        let Reply { status, body, .. } = events.replay(endpoint).await;
        assert_eq!(status, expected_status(endpoint), "{endpoint}: {body}");
        if endpoint == "openapi" {
            assert_eq!(body["servers"][0]["url"], "/live", "the stage that the event came by");
        }
        events.keep(endpoint, &body).await;
    }
}

/// Collects the repository's files, except built and downloaded ones.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        match entry.is_dir() {
            true if ["target", ".git", "data", ".aws-sam", "corpus", "artifacts"]
                .contains(&name.as_str()) => {}
            true => files(&entry, found),
            false => found.push(entry),
        }
    }
}

#[test]
fn no_secret_is_in_the_repository() {
    // The prefixes of secrets. Each prefix is split into two parts, so that this file doesn't
    // contain it.
    let marks = [
        ["PRIVATE", " KEY-----"],
        ["aws_secret_", "access_key"],
        ["xox", "b-"],
        ["ghp", "_"],
        ["sk", "-proj-"],
        ["AK", "IA"],
        ["AS", "IA"],
    ]
    .map(|mark| mark.concat());
    let mut all = Vec::new();
    files(&root(), &mut all);
    assert!(all.len() > 100, "{all:?}");
    for file in all {
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        for mark in &marks {
            let found = text.match_indices(mark.as_str()).any(|(at, _)| {
                // Ignore a match in the middle of a longer string, such as a picture in base64.
                if text[..at].ends_with(|before: char| before.is_ascii_alphanumeric()) {
                    return false;
                }
                // In a real secret, at least eight letters or digits follow the prefix.
                let behind = text[at + mark.len()..]
                    .chars()
                    .take(8)
                    .filter(char::is_ascii_alphanumeric)
                    .count();
                behind == 8 || mark.ends_with('-') || mark.ends_with('y')
            });
            assert!(!found, "{mark} in {}", file.display());
        }
    }
}
