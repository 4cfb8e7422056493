//! Compiles the part of the JPEG decoder that must be C: libjpeg reports errors by jumping over the caller's frames.

use std::env;

fn main() {
    const SOURCE: &str = "src/decode/jpeg.c";
    println!("cargo:rerun-if-changed={SOURCE}");
    let headers = env::var("DEP_TURBOJPEG_INCLUDE").expect("turbojpeg-sys says where the headers of its build are");
    cc::Build::new().file(SOURCE).includes(headers.split(',')).compile("imagefleet_jpeg");
}
