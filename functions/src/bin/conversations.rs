//! The Lambda binary of [`functions::chats::conversations`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::chats::conversations::handle)
}
