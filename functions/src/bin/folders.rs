//! The Lambda binary for [`functions::chats::folders`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::chats::folders::handle)
}
