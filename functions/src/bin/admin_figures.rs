//! The Lambda binary of [`functions::admin_figures`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::admin_figures::handle)
}
