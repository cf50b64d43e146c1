//! Generates the parts of `template.yaml` that follow from the functions: the functions themselves,
//! their shared policies, the alarms of their canaries, and the gateway's limits and refusals.

use std::collections::BTreeMap;

use functions::ROUTES;
use functions::gateway::{HEADERS, REFUSALS, Refusal};
use functions::lambda::permit::{POLICIES, Permit, Policy};
use functions::lambda::{Lambda, Schedule, Trigger};
use shared::store::OUTBOX;

use crate::Failure;
use crate::files::Files;
use crate::functions::{Function, Method};
use crate::permits::{Statements, statements};
use crate::settings::environment;
use crate::yaml::scalar;

pub fn generate(files: &mut Files, functions: &[Function]) -> Result<(), Failure> {
    let from = Statements::read(files)?;
    files.put_part("template.yaml", "aliases", &aliases(functions))?;
    files.put_part("template.yaml", "routes", &routes(functions))?;
    files.put_part("template.yaml", "limits of methods", &limits(functions))?;
    files.put_part("template.yaml", "refusals of the gateway", &refusals())?;
    files.put_part("template.yaml", "shared policies", &policies(&from)?)?;
    let mut blocks = String::new();
    for function in functions {
        blocks += &block(function, &from)?;
        blocks.push('\n');
    }
    blocks += &schedules(functions);
    files.put_part("template.yaml", "functions", &blocks)?;
    let with_canary = functions.iter().filter(|function| function.lambda.canary);
    let canaries: String = with_canary.map(canary).collect();
    files.put_part("template.yaml", "canaries", &canaries)
}

/// Returns the aliases that API Gateway calls, for `DependsOn`. A route contains the alias only as
/// the string `:live`, so without `DependsOn` CloudFormation could change the API before the alias.
fn aliases(functions: &[Function]) -> String {
    let with_alias = functions.iter().filter(|function| function.lambda.canary);
    with_alias.map(|function| format!("      - {}Aliaslive\n", function.id)).collect()
}

/// Returns the methods of each path with the functions that API Gateway calls
/// ([extension](https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-integration.html)).
fn routes(functions: &[Function]) -> String {
    let mut paths: BTreeMap<&str, String> = BTreeMap::new();
    for function in functions {
        for Method { name, path } in function.methods() {
            let method = match name {
                "ANY" => "x-amazon-apigateway-any-method".to_owned(),
                name => name.to_lowercase(),
            };
            *paths.entry(path).or_default() += &integration(function, &method);
        }
    }
    paths.iter().map(|(path, methods)| format!("          {path}:\n{methods}")).collect()
}

fn integration(function: &Function, method: &str) -> String {
    let Function { id, lambda, .. } = function;
    let alias = if lambda.canary { ":live" } else { "" };
    let (version, invocations, streaming) = match lambda.streams {
        true => (
            "2021-11-15",
            "response-streaming-invocations",
            format!(
                "                responseTransferMode: STREAM\n                timeoutInMillis: {}\n",
                lambda.timeout.unwrap_or_default() * 1000
            ),
        ),
        false => ("2015-03-31", "invocations", String::new()),
    };
    format!(
        "            {method}:
              responses: {{}}
              x-amazon-apigateway-integration:
                type: aws_proxy
                httpMethod: POST
                uri: !Sub arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}:lambda:path/{version}/functions/${{{id}.Arn}}{alias}/{invocations}
{streaming}"
    )
}

/// Returns the stricter rate limits of expensive methods.
fn limits(functions: &[Function]) -> String {
    let throttled = functions.iter().filter(|function| function.lambda.throttled);
    // Beside a limited method, ANY serves only OPTIONS and refused methods.
    let is_any =
        |path: &str| ROUTES.iter().any(|route| route.path == path && route.method == "ANY");
    let methods = throttled.flat_map(Function::methods);
    let methods = methods.filter(|method| method.name != "ANY" || is_any(method.path));
    let limit = |Method { name, path }: Method| {
        let path = path.replace('/', "~1");
        format!(
            "        - ResourcePath: /{path}
          HttpMethod: {name}
          MetricsEnabled: !If [HasMethodMetrics, true, false]
          ThrottlingRateLimit: !Ref AccountRate
          ThrottlingBurstLimit: !Ref AccountRate
"
        )
    };
    methods.map(limit).collect()
}

/// Returns the replies that the gateway itself sends.
fn refusals() -> String {
    let header = |(name, value): (&str, &str)| {
        format!(
            "
              {name}: \"'{value}'\""
        )
    };
    let refusal = |Refusal { kind, status, title, detail, code, retry_after }: &Refusal| {
        let headers: String = HEADERS.into_iter().map(header).collect();
        let seconds = retry_after.map(|seconds| seconds.to_string());
        let retry_after = seconds.map(|seconds| header(("Retry-After", &seconds)));
        let retry_after = retry_after.unwrap_or_default();
        let status_code = status.map(|status| {
            format!(
                "
          StatusCode: \"{status}\""
            )
        });
        let status_code = status_code.unwrap_or_default();
        let status = status.map(|status| format!(" \"status\": {status},")).unwrap_or_default();
        format!(
            "        {kind}:{status_code}
          ResponseParameters:
            Headers:{headers}{retry_after}
          ResponseTemplates:
            application/json: >-
              {{\"type\": \"about:blank\", \"title\": \"{title}\",{status}
              \"detail\": \"{detail}\",
              \"code\": \"{code}\", \"request_id\": \"$context.extendedRequestId\"}}
"
        )
    };
    REFUSALS.iter().map(refusal).collect()
}

/// Returns the policies that several functions share.
fn policies(from: &Statements) -> Result<String, Failure> {
    let mut policies = String::new();
    for Policy { id, about, permits } in POLICIES {
        let (about, statements) =
            (scalar(about), statements(permits, from, "          ")?.concat());
        policies += &format!(
            "  {id}:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      Description: {about}
      PolicyDocument:
        Version: \"2012-10-17\"
        Statement:
{statements}
"
        );
    }
    Ok(policies)
}

fn block(function: &Function, from: &Statements) -> Result<String, Failure> {
    let Function { name, id, lambda, concurrency, .. } = function;
    let Lambda { about, canary, timeout, memory, permits, .. } = *lambda;
    let about = scalar(about);
    let mut lines = format!(
        "  {id}:
    Type: AWS::Serverless::Function
    Metadata:
      BuildMethod: rust-cargolambda
      BuildProperties:
        Binary: {name}
    Properties:
      Description: {about}
"
    );
    if canary {
        let stem = function.stem();
        lines += &format!(
            "      AutoPublishAlias: live
      DeploymentPreference:
        Type: !Ref DeploymentPreference
        Alarms: !If [HasCanary, [!Ref {stem}Canary, !Ref FailedRequests], [!Ref AWS::NoValue]]
"
        );
    }
    if let Some(timeout) = timeout {
        lines += &format!("      Timeout: {timeout}\n");
    }
    if let Some(memory) = memory {
        lines += &format!("      MemorySize: {memory}\n");
    }
    if let Some(parameter) = concurrency {
        lines += &format!(
            "      ReservedConcurrentExecutions: !If [Has{parameter}, !Ref {parameter}, !Ref AWS::NoValue]\n"
        );
    }
    let settings = function.settings();
    if !settings.is_empty() {
        lines += "      Environment:\n        Variables:\n";
        let streams = timeout.filter(|_| function.lambda.streams);
        lines += &environment(settings, "          ", streams)?;
    }
    if function.is_scheduled() {
        lines += FAILED_RUNS;
    }
    let shared = permits.iter().filter_map(|permit| match permit {
        Permit::Policy(policy) => Some(format!("        - !Ref {}\n", policy.id)),
        _ => None,
    });
    let shared: String = shared.collect();
    let statements = statements(permits, from, "            ")?;
    if !permits.is_empty() {
        lines += "      Policies:\n";
        lines += &shared;
    }
    if !statements.is_empty() {
        lines += "        - Version: \"2012-10-17\"\n          Statement:\n";
        lines += &statements.concat();
    }
    match lambda.trigger {
        None => lines += &called_by_gateway(function),
        Some(Trigger::Schedule(_)) => {}
        Some(Trigger::Outbox) => lines += &OUTBOX_EVENT.replace("OUTBOX", OUTBOX),
    }
    Ok(lines)
}

/// How Lambda handles failed scheduled runs.
const FAILED_RUNS: &str = "      EventInvokeConfig:
        MaximumRetryAttempts: 0
        MaximumEventAgeInSeconds: 300
        DestinationConfig:
          OnFailure:
            Type: SQS
            Destination: !GetAtt FailureQueue.Arn
";

/// The event for new e-mails in the outbox.
///
/// Lambda splits a failed batch until the faulty record is alone. The function reports a record
/// only if another attempt may succeed, for example while SES throttles the function. Such a record
/// delays the records behind it. Lambda gives up after two hours or a thousand attempts, but the
/// record's e-mail stays in the outbox for a day.
const OUTBOX_EVENT: &str = r#"      Events:
        Outbox:
          Type: DynamoDB
          Properties:
            Stream: !If [OwnTokens, !GetAtt TokensTable.StreamArn, !Ref TokensStreamArn]
            StartingPosition: TRIM_HORIZON
            BatchSize: 10
            BisectBatchOnFunctionError: true
            FunctionResponseTypes: [ReportBatchItemFailures]
            MaximumRecordAgeInSeconds: 7200
            MaximumRetryAttempts: 1000
            DestinationConfig:
              OnFailure:
                Type: SQS
                Destination: !GetAtt FailureQueue.Arn
            FilterCriteria:
              Filters:
                - Pattern: '{"eventName": ["INSERT"], "dynamodb": {"Keys": {"pk": {"S": [{"prefix": "OUTBOX"}]}}}}'
"#;

/// Returns the permission with which API Gateway calls a function, or its alias.
fn called_by_gateway(function: &Function) -> String {
    let alias = if function.lambda.canary { "Aliaslive" } else { "" };
    let source = "!Sub arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*";
    permission(function, alias, "apigateway", source)
}

/// Returns the permission for the service that calls a function. A function has a single
/// permission, either for all of its routes or for its schedule, because each permission counts
/// towards the stack's limit of 500 resources.
fn permission(Function { id, .. }: &Function, alias: &str, service: &str, source: &str) -> String {
    format!(
        "
  {id}Permission:
    Type: AWS::Lambda::Permission
    Properties:
      Action: lambda:InvokeFunction
      FunctionName: !Ref {id}{alias}
      Principal: {service}.amazonaws.com
      SourceArn: {source}
"
    )
}

/// Returns a rule for each schedule, and the rules' permissions. A rule invokes all functions that
/// have its schedule.
fn schedules(functions: &[Function]) -> String {
    let mut lines = String::new();
    for schedule in [Schedule::FiveMinutes, Schedule::Daily, Schedule::Hourly] {
        let has =
            |function: &&Function| function.lambda.trigger == Some(Trigger::Schedule(schedule));
        let (rule, rate) = (schedule.rule(), schedule.rate());
        let target = |Function { id, .. }: &Function| {
            format!(
                "
        - Id: {id}LambdaTarget
          Arn: !GetAtt {id}.Arn"
            )
        };
        let targets: String = functions.iter().filter(has).map(target).collect();
        let source = format!("!GetAtt {rule}.Arn");
        let permissions = functions.iter().filter(has);
        let permissions: String =
            permissions.map(|function| permission(function, "", "events", &source)).collect();
        lines += &format!(
            "  {rule}:
    Type: AWS::Events::Rule
    Properties:
      ScheduleExpression: {rate}
      Targets:{targets}
{permissions}
"
        );
    }
    lines
}

/// Returns the alarm that causes a function's new version to be rolled back.
fn canary(function: &Function) -> String {
    let (id, stem) = (&function.id, function.stem());
    let metrics =
        [("errors", "Errors"), ("throttles", "Throttles"), ("invocations", "Invocations")];
    let metrics: String = metrics
        .into_iter()
        .map(|(metric, name)| {
            format!(
                "        - Id: {metric}
          ReturnData: false
          MetricStat:
            Metric:
              Namespace: AWS/Lambda
              MetricName: {name}
              Dimensions:
                - Name: FunctionName
                  Value: !Ref {id}
                - Name: Resource
                  Value: !Sub ${{{id}}}:live
            Stat: Sum
            Period: 60
"
            )
        })
        .collect();
    format!(
        "  {stem}Canary:
    Type: AWS::CloudWatch::Alarm
    Condition: HasCanary
    Properties:
      AlarmDescription: docs/operate/runbooks.md#canaries
      ComparisonOperator: GreaterThanOrEqualToThreshold
      Threshold: 1
      DatapointsToAlarm: 1
      EvaluationPeriods: 5
      TreatMissingData: notBreaching
      Metrics:
        - Id: percent
          Expression: 100 * SUM([errors, throttles]) / SUM([invocations, throttles])
{metrics}
"
    )
}
