//! The Lambda binary for [`functions::chats::file_read`]. Written by `cargo xtask generate`.

use functions::chats::file_read::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("file_read"), handle)
}
