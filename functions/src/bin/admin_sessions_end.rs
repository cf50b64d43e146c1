//! The Lambda binary of [`functions::admin_sessions_end`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::admin_sessions_end::handle)
}
