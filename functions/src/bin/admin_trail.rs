//! The Lambda binary of [`functions::admin_trail`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::admin_trail::handle)
}
