//! The Lambda binary of [`functions::health`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::health::handle)
}
