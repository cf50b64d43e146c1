//! The Lambda binary of [`functions::chat`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::chat::handle)
}
