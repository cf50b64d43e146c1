//! The Lambda binary of [`functions::account_delete`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::account_delete::handle)
}
