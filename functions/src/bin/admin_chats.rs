//! The Lambda binary for [`functions::admin::admin_chats`]. Written by `cargo xtask generate`.

use functions::admin::admin_chats::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_chats"), handle)
}
