//! The Lambda binary of [`functions::admin_user_create`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::admin_user_create::handle)
}
