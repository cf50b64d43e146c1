//! The Lambda binary of [`functions::session_end`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::session_end::handle)
}
