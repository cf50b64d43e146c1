//! The Lambda binary for [`functions::chats::conversation_title`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::chats::conversation_title::handle)
}
