//! The Lambda binary for [`functions::chats::chat_read`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::chats::chat_read::handle)
}
