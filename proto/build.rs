//! Compiles the contracts without `protoc`.

use std::{env, error::Error, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    const CONTRACTS: [&str; 3] =
        ["proto/leeward/control.proto", "proto/leeward/link.proto", "proto/leeward/region.proto"];
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(CONTRACTS, ["proto"])?;
    tonic_prost_build::configure().out_dir(PathBuf::from(env::var("OUT_DIR")?)).compile_fds(descriptors)?;
    Ok(())
}
