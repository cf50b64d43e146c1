//! The Lambda binary for [`functions::chats::file_read`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::chats::file_read::handle)
}
