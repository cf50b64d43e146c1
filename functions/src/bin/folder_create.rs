//! The Lambda binary for [`functions::chats::folder_create`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::chats::folder_create::handle)
}
