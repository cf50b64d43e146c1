//! The Lambda binary of [`functions::sessions`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::sessions::handle)
}
