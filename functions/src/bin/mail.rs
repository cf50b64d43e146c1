//! The Lambda binary of [`functions::mail`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve_outbox(functions::mail::work)
}
