//! The Lambda binary of [`functions::profile`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::profile::handle)
}
