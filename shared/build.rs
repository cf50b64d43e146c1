//! Sets the cfg `debug_build` in every build but a release. Such a build's clocks can be ahead of the
//! system's clock, and tests can make its password hashes cheap.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(debug_build)");
    if std::env::var("PROFILE").as_deref() == Ok("debug") {
        println!("cargo::rustc-cfg=debug_build");
    }
}
