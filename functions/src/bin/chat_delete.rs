//! The Lambda binary of [`functions::chat_delete`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::chat_delete::handle)
}
