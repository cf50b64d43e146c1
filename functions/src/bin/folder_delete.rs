//! The Lambda binary for [`functions::chats::folder_delete`]. Written by `cargo xtask generate`.

use functions::chats::folder_delete::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("folder_delete"), handle)
}
