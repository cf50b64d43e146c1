//! The Lambda binary of [`functions::balance`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::balance::handle)
}
