//! The Lambda binary of [`functions::profile_change`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::profile_change::handle)
}
