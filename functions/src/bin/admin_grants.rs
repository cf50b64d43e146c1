//! The Lambda binary of [`functions::admin_grants`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::admin_grants::handle)
}
