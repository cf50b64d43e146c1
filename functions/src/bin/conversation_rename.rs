//! The Lambda binary for [`functions::chats::conversation_rename`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::chats::conversation_rename::handle)
}
