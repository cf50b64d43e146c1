//! The Lambda binary of [`functions::discovery`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::discovery::handle)
}
