//! The Lambda binary of [`functions::census`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve_schedule(functions::census::work)
}
