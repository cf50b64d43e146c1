//! The Lambda binary of [`functions::conversation_rename`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::conversation_rename::handle)
}
