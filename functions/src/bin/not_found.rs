//! The Lambda binary of [`functions::not_found`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::not_found::handle)
}
