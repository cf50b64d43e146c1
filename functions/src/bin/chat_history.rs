//! The Lambda binary of [`functions::chat_history`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::chat_history::handle)
}
