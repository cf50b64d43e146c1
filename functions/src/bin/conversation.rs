//! The Lambda binary for [`functions::chats::conversation`]. Written by `cargo xtask generate`.

use functions::chats::conversation::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("conversation"), handle)
}
