//! The attribute macros of compio, which re-exports them: `#[compio::main]` and `#[compio::test]`.
//!
//! The expansion calls the hidden module `entry` of the facade crate.

mod arguments;
mod expand;
mod simulation;

use proc_macro::TokenStream;
use quote::quote;

/// Makes an async function the `main` of the program: its body runs on a runtime.
///
/// ```
/// #[compio::main]
/// async fn main() -> std::io::Result<()> {
///     let file = compio::fs::File::open("Cargo.toml")?;
///     let (read, _buffer) = file.read_at(Vec::with_capacity(1024), 0).await;
///     assert!(read? > 0);
///     Ok(())
/// }
/// ```
///
/// # Arguments
///
/// | argument | value |
/// |---|---|
/// | `backend` | `"io-uring"`, `"poll"`, `"iocp"`, or an expression of type `compio::driver::BackendKind` |
/// | `entries` | an expression of type `u32`, for `RuntimeBuilder::entries` |
/// | `spin` | `"off"`, `"adaptive"`, `"always"`, or an expression of type `compio::driver::SpinPolicy` |
/// | `start_paused` | alone or an expression of type `bool`, for `RuntimeBuilder::start_paused`; with the feature `test-util` |
/// | `workers` | an expression of type `usize`: the body runs on worker 0 of a `compio::cores::Dispatcher` |
/// | `crate` | the path of compio, where it is re-exported under another name |
///
/// The body runs on a new runtime, which ends with the body. Its end drops unfinished tasks and waits for
/// blocking work, at most for the shutdown timeout of the runtime.
///
/// With `workers`, the tasks of all workers have 30 seconds after the end of the body; then they are cancelled.
/// `compio::cores::current` returns the workers.
///
/// If the thread has a runtime already and the attribute has none of these arguments but `crate`, the
/// body runs on this runtime, which keeps its tasks.
///
/// ```
/// mod reexported {
///     pub use compio as runtime;
/// }
///
/// #[compio::main(crate = reexported::runtime, entries = 64, spin = "off")]
/// async fn main() {
///     compio::task::yield_now().await;
/// }
/// ```
///
/// ```
/// #[compio::main(workers = 2)]
/// async fn main() -> std::io::Result<()> {
///     let workers = compio::cores::current().expect("this is worker 0");
///     let there = workers.dispatch_to(1, || async { compio::cores::worker_index() });
///     assert_eq!(there.await?, Some(1));
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// If the runtime cannot be made, a function that returns a `Result` returns the error, if the
/// error type implements `From<std::io::Error>`.
///
/// # Panics
///
/// If the runtime cannot be made, in a function of any other type.
///
/// # Compile errors
///
/// The function must be async and have no parameters:
///
/// ```compile_fail
/// #[compio::main]
/// fn main() {}
/// ```
///
/// ```compile_fail
/// #[compio::main]
/// async fn main(arguments: Vec<String>) {}
/// ```
///
/// The attribute takes no other arguments:
///
/// ```compile_fail
/// #[compio::main(threads = 4)]
/// async fn main() {}
/// ```
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(
        arguments.into(),
        item.into(),
        proc_macro2::TokenStream::new(),
    )
    .into()
}

/// Makes an async function a test: its body runs on a runtime, as the body of [`main`](macro@main)
/// does. `#[ignore]` and `#[should_panic]` work as with other tests.
///
/// The attribute takes the arguments of [`main`](macro@main).
///
/// ```
/// #[compio::test]
/// async fn the_answer_is_known() {
///     let answer = compio::task::spawn(async { 6 * 7 });
///     assert_eq!(answer.await.unwrap(), 42);
/// }
/// ```
///
/// With the feature `test-util`, the time of the test can be paused: see `compio::time::pause`.
///
#[cfg_attr(feature = "test-util", doc = "```")]
#[cfg_attr(not(feature = "test-util"), doc = "```ignore")]
/// use std::time::Duration;
///
/// #[compio::test(start_paused)]
/// async fn a_day_takes_milliseconds() {
///     let begin = compio::time::now();
///     compio::time::sleep(Duration::from_secs(24 * 3600)).await;
///     assert_eq!(compio::time::now() - begin, Duration::from_secs(24 * 3600));
/// }
/// ```
///
/// # Simulations
///
/// With the feature `sim`, the argument `sim` runs the test as a simulation, once for each seed: see `compio::sim`, which has an
/// example. The function adds hosts and clients. An async function without parameters is the program of the only client.
///
/// `seeds` is a number, 10 by default, or an expression that iterates over the seeds. A seed that fails ends the test. The message
/// has the command that repeats it, with the environment variable `COMPIO_SIM_SEED`. A test that succeeds prints its summary. Beside
/// `sim`, only `seeds` and `crate` are allowed.
///
/// # Compile errors
///
/// A function that is not async is rejected, except with `sim`:
///
/// ```compile_fail
/// #[compio::test]
/// fn nothing_waits() {}
/// ```
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    if simulation::is_simulation(&arguments.clone().into()) {
        return simulation::expand(arguments.into(), item.into()).into();
    }
    expand::expand(
        arguments.into(),
        item.into(),
        quote!(#[::core::prelude::v1::test]),
    )
    .into()
}
