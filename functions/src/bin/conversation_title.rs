//! The Lambda binary for [`functions::chats::conversation_title`]. Written by `cargo xtask generate`.

use functions::chats::conversation_title::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("conversation_title"), handle)
}
