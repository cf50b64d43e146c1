//! The Lambda binary for [`functions::chats::model_list`]. Written by `cargo xtask generate`.

use functions::chats::model_list::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("model_list"), handle)
}
