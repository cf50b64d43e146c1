//! The Lambda binary for [`functions::chats::chat_stream`]. Written by `cargo xtask generate`.

use functions::chats::chat_stream::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve_streaming(functions::routes_of!("chat_stream"), handle)
}
