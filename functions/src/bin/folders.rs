//! The Lambda binary for [`functions::chats::folders`]. Written by `cargo xtask generate`.

use functions::chats::folders::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("folders"), handle)
}
