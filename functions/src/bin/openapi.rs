//! The Lambda binary of [`functions::openapi`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::openapi::handle)
}
