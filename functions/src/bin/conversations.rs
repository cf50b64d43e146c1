//! The Lambda binary for [`functions::chats::conversations`]. Written by `cargo xtask generate`.

use functions::chats::conversations::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("conversations"), handle)
}
