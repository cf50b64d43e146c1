//! The Lambda binary of [`functions::admin_chats`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::admin_chats::handle)
}
