//! The Lambda binary for [`functions::chats::chat_delete`]. Written by `cargo xtask generate`.

use functions::chats::chat_delete::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("chat_delete"), handle)
}
