//! The Lambda binary for [`functions::chats::folder_create`]. Written by `cargo xtask generate`.

use functions::chats::folder_create::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("folder_create"), handle)
}
