//! The Lambda binary of [`functions::ledger`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::ledger::handle)
}
