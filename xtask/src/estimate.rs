//! Generates the example estimate in docs/operate/cost.md.

use local::estimate::Load;
use local::estimate::stack::Stack;

use crate::Failure;
use crate::files::Files;

/// The load in the example's command.
const LOAD: Load = Load { users: 10_000.0, chats_per_day: 10.0, ai_seconds: 4.0, streamed: 0.8 };

/// The kinds of requests in the example's last table. The command prints all kinds.
const SHOWN: [&str; 11] = [
    "chat in a conversation with a key",
    "streamed chat in a conversation with a key",
    "refused chat",
    "replayed chat",
    "completion by API key",
    "registration with an e-mail address",
    "log-in",
    "refresh",
    "balance",
    "page of the history",
    "file of the pages",
];

pub fn generate(files: &mut Files) -> Result<(), Failure> {
    // This run may have changed the files that are compiled into `local`.
    let stack = Stack::read(&files.read("template.yaml")?, &files.read("alarms.yaml")?)?;
    let mut estimate = LOAD.estimate_on(&stack)?;
    estimate.per_million.retain(|kind| SHOWN.contains(&kind.request.as_str()));
    let example = format!("\n```text\n{estimate}```\n\n");
    files.put_part("docs/operate/cost.md", "example", &example)
}
