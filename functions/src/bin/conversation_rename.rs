//! The Lambda binary for [`functions::chats::conversation_rename`]. Written by `cargo xtask generate`.

use functions::chats::conversation_rename::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("conversation_rename"), handle)
}
