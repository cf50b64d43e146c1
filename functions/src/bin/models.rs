//! The Lambda binary of [`functions::models`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::models::handle)
}
