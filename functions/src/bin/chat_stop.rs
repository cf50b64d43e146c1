//! The Lambda binary of [`functions::chat_stop`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::chat_stop::handle)
}
