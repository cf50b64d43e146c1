//! The Lambda binary for [`functions::chats::chat_stop`]. Written by `cargo xtask generate`.

use functions::chats::chat_stop::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("chat_stop"), handle)
}
