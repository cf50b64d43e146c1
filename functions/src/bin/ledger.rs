//! The Lambda binary for [`functions::account::ledger`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::account::ledger::handle)
}
