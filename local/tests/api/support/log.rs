//! The log of the functions of a test's own server.

use std::cell::RefCell;
use std::io;
use std::sync::OnceLock;

thread_local! {
    static WRITTEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Collects the log from now on, at the level of production. Each test and its server run on a
/// thread of their own, so each thread keeps its own lines.
pub fn listen() {
    static LISTENING: OnceLock<()> = OnceLock::new();
    LISTENING.get_or_init(|| {
        tracing_subscriber::fmt().with_ansi(false).with_writer(|| ThisThread).init()
    });
}

/// Empties the log of this test.
pub fn clear() {
    WRITTEN.take();
}

/// The log of this test.
pub fn text() -> String {
    WRITTEN.with_borrow(|written| String::from_utf8(written.clone()).unwrap())
}

struct ThisThread;

impl io::Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.with_borrow_mut(|written| written.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
