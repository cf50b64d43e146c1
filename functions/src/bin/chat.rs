//! The Lambda binary for [`functions::chats::chat`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::chats::chat::handle)
}
