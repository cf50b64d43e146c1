//! The Lambda binary of [`functions::erase`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve_schedule(functions::erase::work)
}
