//! Generates the types of `proto/greeter.proto`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let description = protox::compile(["greeter.proto"], ["proto"])?;
    // Its client would connect by tokio.
    let build = tonic_prost_build::configure().build_transport(false);
    Ok(build.compile_fds(description)?)
}
