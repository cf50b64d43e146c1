//! The Lambda binary for [`functions::chats::chat_history`]. Written by `cargo xtask generate`.

use functions::chats::chat_history::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("chat_history"), handle)
}
