//! The Lambda binary of [`functions::conversation_delete`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::conversation_delete::handle)
}
