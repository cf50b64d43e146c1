//! The Lambda binary for [`functions::chats::folder_change`]. Written by `cargo xtask generate`.

use functions::chats::folder_change::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("folder_change"), handle)
}
