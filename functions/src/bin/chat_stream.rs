//! The Lambda binary of [`functions::chat_stream`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve_streaming(functions::ROUTES, functions::chat_stream::handle)
}
