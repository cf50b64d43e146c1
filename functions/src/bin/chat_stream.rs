//! The Lambda binary for [`functions::chats::chat_stream`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve_streaming(functions::ROUTES, functions::chats::chat_stream::handle)
}
