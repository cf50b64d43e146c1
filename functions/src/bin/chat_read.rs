//! The Lambda binary of [`functions::chat_read`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::chat_read::handle)
}
