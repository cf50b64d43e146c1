//! The Lambda binary for [`functions::chats::model_list`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::chats::model_list::handle)
}
