//! The Lambda binary for [`functions::chats::chat`]. Written by `cargo xtask generate`.

use functions::chats::chat::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("chat"), handle)
}
