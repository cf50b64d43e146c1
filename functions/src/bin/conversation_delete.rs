//! The Lambda binary for [`functions::chats::conversation_delete`]. Written by `cargo xtask generate`.

use functions::chats::conversation_delete::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("conversation_delete"), handle)
}
