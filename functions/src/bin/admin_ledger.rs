//! The Lambda binary of [`functions::admin_ledger`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::admin_ledger::handle)
}
