//! The attribute macros of compio, which re-exports them: `#[compio::main]` and `#[compio::test]`.

use proc_macro::TokenStream;
use quote::quote;
use syn::{AttrStyle, ItemFn, parse_macro_input};

/// Makes an async `main` the program's: its body runs on the main thread's runtime.
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
/// A function that is not async, or takes parameters, is refused:
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
/// So are arguments of the attribute itself:
///
/// ```compile_fail
/// #[compio::main(threads = 4)]
/// async fn main() {}
/// ```
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    expand(arguments.into(), function, proc_macro2::TokenStream::new())
}

/// Makes an async function a test: its body runs on the test thread's runtime. `#[ignore]` and
/// `#[should_panic]` work as always.
///
/// ```
/// #[compio::test]
/// async fn the_answer_is_known() {
///     let answer = compio::task::spawn(async { 6 * 7 });
///     assert_eq!(answer.await.unwrap(), 42);
/// }
/// ```
///
/// A function that is not async is refused:
///
/// ```compile_fail
/// #[compio::test]
/// fn nothing_waits() {}
/// ```
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    expand(
        arguments.into(),
        function,
        quote!(#[::core::prelude::v1::test]),
    )
}

fn expand(
    arguments: proc_macro2::TokenStream,
    mut function: ItemFn,
    attribute: proc_macro2::TokenStream,
) -> TokenStream {
    let refusal = if let Some(token) = arguments.into_iter().next() {
        Some(syn::Error::new_spanned(token, "takes no arguments"))
    } else if function.sig.asyncness.take().is_none() {
        Some(syn::Error::new_spanned(
            function.sig.fn_token,
            "the function must be async",
        ))
    } else if !function.sig.inputs.is_empty() {
        Some(syn::Error::new_spanned(
            &function.sig.inputs,
            "the function takes no parameters",
        ))
    } else {
        None
    };
    if let Some(refusal) = refusal {
        return refusal.to_compile_error().into();
    }
    // Those that stood inside of the body stand before it now, which means the same.
    for attribute in &mut function.attrs {
        attribute.style = AttrStyle::Outer;
    }
    let ItemFn {
        attrs,
        vis,
        sig,
        block,
    } = function;
    quote! {
        #(#attrs)*
        #attribute
        #vis #sig {
            ::compio::task::block_on(async #block)
        }
    }
    .into()
}
