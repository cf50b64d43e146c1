//! The Lambda binary of [`functions::admin_users`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::admin_users::handle)
}
