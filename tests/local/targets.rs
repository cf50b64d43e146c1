//! The store that a `manage` command works on, and an operator's credentials.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::django::{DumpFile, user};
use crate::support::program::{Folder, command};

const TABLES: [&str; 6] = ["USERS", "TOKENS", "KEYS", "CHATS", "LEDGER", "FILES"];

/// Commands that read the store.
const COMMANDS: [&[&str]; 8] = [
    &["audit"],
    &["settle"],
    &["erase"],
    &["keys"],
    &["models", "show"],
    &["vouchers", "list"],
    &["till", "orders"],
    &["unlock", "nobody"],
];

fn manage(arguments: &[&str]) -> Command {
    command(&[&["manage"], arguments].concat())
}

/// The exit code, and the lines on standard error.
fn said(output: &Output) -> (Option<i32>, Vec<String>) {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    (output.status.code(), text.lines().map(str::to_owned).collect())
}

/// Asserts that a command fails with a one-sentence error message that contains this string.
#[track_caller]
fn refuses(mut command: Command, text: &str) {
    let (code, lines) = said(&command.output().unwrap());
    assert_eq!((code, lines.len()), (Some(1), 1), "{lines:?}");
    assert!(lines[0].contains(text), "{lines:?}");
}

#[test]
fn commands_print_the_folder_that_they_work_on() {
    let folder = Folder::with_store();
    for arguments in COMMANDS {
        let run = manage(&[arguments, &["--data", folder.path()]].concat()).output().unwrap();
        let first = said(&run).1[0].clone();
        assert_eq!(first, format!("Store: the folder {}", folder.path()), "{arguments:?}");
    }
}

#[test]
fn a_folder_without_a_store_is_refused_and_not_created() {
    let folder = Folder::new();
    for arguments in COMMANDS {
        let program = manage(&[arguments, &["--data", folder.path()]].concat());
        refuses(program, "has no store: name the right one with --data");
    }
    // A dry run works on an empty store.
    let dump = DumpFile::of(&[user(1, "ann", 100)]);
    let run = manage(&["import", "django", dump.path(), "--data", folder.path()]).output().unwrap();
    assert!(run.status.success(), "{run:?}");
    assert_eq!(
        said(&run).1,
        [format!("Store: the folder {}, which has no store yet", folder.path())]
    );
    assert!(!Path::new(folder.path()).exists());
}

#[test]
fn options_of_the_server_are_not_lost_before_a_command() {
    let folder = Folder::with_store();
    for arguments in [
        &["--data", folder.path(), "manage", "audit"][..],
        &["--memory", "manage", "audit"],
        &["--port", "5", "estimate", "--users", "1", "--chats-per-day", "1", "--ai-seconds", "4"],
    ] {
        let (code, lines) = said(&command(arguments).output().unwrap());
        assert_eq!((code, lines.len()), (Some(2), 1), "{lines:?}");
        assert!(lines[0].contains("cannot be used with"), "{lines:?}");
    }
    let both = ["manage", "--stack", "shop", "audit", "--data", folder.path()];
    refuses(command(&both), "--data and --stack name two stores");
}

#[test]
fn two_commands_on_one_folder_wait_for_each_other() {
    let folder = Folder::with_store();
    let started: Vec<_> = (0..4)
        .map(|_| {
            let mut program = manage(&["audit", "--data", folder.path()]);
            program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for program in started {
        let output = program.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8(output.stdout).unwrap().contains("1 account, "));
    }
}

#[test]
fn output_without_a_reader_is_no_failure_and_a_full_disk_is() {
    let folder = Folder::with_store();
    for arguments in [&["audit", "--data", folder.path()][..], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = manage(arguments).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut create =
        manage(&["vouchers", "create", "5", "--name", "lost", "--data", folder.path()]);
    let (code, lines) = said(&create.stdout(full).output().unwrap());
    assert_eq!(code, Some(1));
    assert!(lines[1].contains("has done its work, but its output can't be written"), "{lines:?}");
}

#[test]
fn half_an_environment_is_refused_by_every_command() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    for arguments in COMMANDS {
        let run = |set: &[(&str, &str)]| {
            let mut program = manage(arguments);
            program.current_dir(folder.path()).envs(set.iter().copied());
            program
        };
        refuses(run(&[("USERS_TABLE", "")]), "USERS_TABLE names no table");
        refuses(run(&[("USERS_TABLE", "x")]), "TOKENS_TABLE names no table");
        refuses(run(&[("AWS_REGION", "eu-west-1")]), "no table is named");
        let keys = [("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x")];
        refuses(run(&keys), "no table is named");
        let stack = [arguments, &["--stack", "shop"]].concat();
        let mut both = manage(&stack);
        both.env("USERS_TABLE", "x");
        refuses(both, "USERS_TABLE is set, and --stack names another store");
    }
    // Nothing was created.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn named_tables_need_a_region() {
    let mut program = manage(&["audit"]);
    program.envs(TABLES.map(|table| (format!("{table}_TABLE"), "x")));
    refuses(program, "No region is set");
}

#[test]
fn restored_tables_are_named_by_the_environment_alone() {
    for command in ["reapply", "reconcile"] {
        for option in ["--stack", "--data"] {
            let program = manage(&[command, "2026-11-21T10:00:00Z", option, "x"]);
            refuses(program, "leave out --stack and --data");
        }
    }
}

/// A folder with a program `aws` that replies like the AWS CLI, and records its arguments.
struct Cli(Folder);

impl Cli {
    fn new(stack: &Value) -> Self {
        let folder = Folder::new();
        let cli = Self(folder);
        std::fs::create_dir_all(cli.path()).unwrap();
        let credentials = json!({
            "Version": 1, "AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "a-secret",
            "SessionToken": "a-token", "Expiration": "2099-01-01T00:00:00+00:00",
        });
        cli.write("stack.json", &stack.to_string());
        cli.write("credentials.json", &credentials.to_string());
        let path = cli.path().display();
        cli.write(
            "aws",
            &format!(
                "#!/bin/sh\necho \"$*\" >>{path}/calls\ncase \"$1\" in\n  cloudformation) /bin/cat {path}/stack.json ;;\n  configure) /bin/cat {path}/credentials.json ;;\nesac\n"
            ),
        );
        cli
    }

    fn path(&self) -> &Path {
        Path::new(self.0.path())
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.path().join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Returns a command that finds only this AWS CLI. The command finds no instance credentials,
    /// and its calls time out after one second.
    fn manage(&self, arguments: &[&str]) -> Command {
        let mut program = manage(arguments);
        program
            .env("PATH", self.path())
            .env("HOME", self.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("RES_OPTIONS", "attempts:1 timeout:1");
        program
    }

    /// Returns the arguments of each call so far.
    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path().join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// The description of a stack in a region that doesn't exist, so that no test reaches AWS.
fn stack() -> Value {
    let outputs = ["Users", "Tokens", "Keys", "Chats", "Ledger", "Files"].map(
        |name| json!({ "OutputKey": format!("{name}Table"), "OutputValue": format!("shop-{name}") }),
    );
    json!({ "Stacks": [{
        "StackName": "shop",
        "StackId": "arn:aws:cloudformation:nowhere-1:111122223333:stack/shop/1",
        "Outputs": outputs,
        "Parameters": [{ "ParameterKey": "ChatPrice", "ParameterValue": "7" }],
    }] })
}

#[test]
fn a_stack_is_read_by_the_aws_cli_with_its_credentials() {
    let cli = Cli::new(&stack());
    let (code, lines) = said(&cli.manage(&["--stack", "shop", "keys"]).output().unwrap());
    assert_eq!(code, Some(1));
    assert_eq!(lines[0], "Store: the stack shop in nowhere-1, account 111122223333");
    // The region doesn't exist, so there is no DynamoDB.
    assert!(lines[1].contains("DynamoDB"), "{lines:?}");
    assert_eq!(lines.len(), 2, "{lines:?}");
    let calls = cli.calls();
    assert_eq!(calls[0], "cloudformation describe-stacks --stack-name shop --output json");
    assert!(calls[1].starts_with("configure export-credentials --format process"), "{calls:?}");
}

#[test]
fn a_stack_is_read_in_the_region_of_the_environment() {
    let cli = Cli::new(&json!({ "Stacks": [] }));
    let mut program = cli.manage(&["--stack", "shop", "audit"]);
    program.env("AWS_REGION", "nowhere-1");
    refuses(program, "shop is not a stack of Farebox");
    // Version 1 of the AWS CLI doesn't read the variable.
    let [call] = &cli.calls()[..] else { panic!("{:?}", cli.calls()) };
    assert!(call.ends_with("--region nowhere-1"), "{call}");
}

#[test]
fn profiles_need_no_aws_cli_for_their_keys() {
    let cli = Cli::new(&stack());
    std::fs::create_dir_all(cli.path().join(".aws")).unwrap();
    let keys = "[shop]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = a-secret\n";
    cli.write(".aws/credentials", keys);
    let mut program = cli.manage(&["keys"]);
    program.envs(TABLES.map(|table| (format!("{table}_TABLE"), "x")));
    program.env("AWS_REGION", "nowhere-1").env("AWS_PROFILE", "shop");
    let (code, lines) = said(&program.output().unwrap());
    assert_eq!((code, lines.len()), (Some(1), 2), "{lines:?}");
    assert_eq!(lines[0], "Store: the table x in nowhere-1");
    assert!(lines[1].contains("DynamoDB"), "{lines:?}");
    assert_eq!(cli.calls(), [""; 0]);
}

#[test]
fn missing_stacks_tools_and_credentials_are_one_sentence() {
    let cli = Cli::new(&json!({ "Stacks": [] }));
    refuses(cli.manage(&["audit", "--stack", "shop"]), "shop is not a stack of Farebox");
    cli.write("aws", "#!/bin/sh\necho >&2\necho 'Unable to locate credentials.' >&2\nexit 255\n");
    refuses(
        cli.manage(&["audit", "--stack", "shop"]),
        "The stack shop can't be read: Unable to locate credentials.",
    );
    let mut tables = cli.manage(&["audit"]);
    tables.envs(TABLES.map(|table| (format!("{table}_TABLE"), "x"))).env("AWS_REGION", "nowhere-1");
    refuses(tables, "There are no AWS credentials: log in");
    std::fs::remove_file(cli.path().join("aws")).unwrap();
    refuses(cli.manage(&["audit", "--stack", "shop"]), "the AWS CLI (`aws`) can't be run");
}
