//! The Lambda binary for [`functions::chats::chat_read`]. Written by `cargo xtask generate`.

use functions::chats::chat_read::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("chat_read"), handle)
}
