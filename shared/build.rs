//! Sets the cfg `clock_ahead`, with which a process's clocks can be ahead of the system's clock, in
//! every build but a release.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(clock_ahead)");
    if std::env::var("PROFILE").as_deref() == Ok("debug") {
        println!("cargo::rustc-cfg=clock_ahead");
    }
}
