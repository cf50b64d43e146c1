//! The Lambda binary of [`functions::sweep`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve_schedule(functions::sweep::work)
}
