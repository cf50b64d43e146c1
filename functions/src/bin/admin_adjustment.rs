//! The Lambda binary of [`functions::admin_adjustment`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::admin_adjustment::handle)
}
