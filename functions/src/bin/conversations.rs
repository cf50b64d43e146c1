//! The Lambda binary of [`functions::conversations`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::conversations::handle)
}
