//! The Lambda binary of [`functions::site`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::site::handle)
}
