//! The expansion of the attributes.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{AttrStyle, Error, ItemFn, ReturnType, Signature, Type, parse_quote};

use crate::arguments::Arguments;

/// The function with a blocking body, and `attribute` before it.
///
/// With an error, the function is still emitted: a program without a `main` would be a second
/// error, at a wrong place.
pub(crate) fn expand(
    arguments: TokenStream,
    item: TokenStream,
    attribute: TokenStream,
) -> TokenStream {
    let mut function: ItemFn = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            let error = error.to_compile_error();
            return quote!(#error #item);
        }
    };
    let mut errors = TokenStream::new();
    let arguments = syn::parse2(arguments).unwrap_or_else(|error: Error| {
        errors.extend(error.to_compile_error());
        Arguments::default()
    });
    if let Err(error) = check(&function.sig) {
        errors.extend(error.to_compile_error());
        // The body may use the parameters.
        function.block = parse_quote!({ ::core::unreachable!() });
    }
    function.sig.asyncness = None;
    function.sig.inputs.clear();
    // Inner attributes of the body move before the function, with the same meaning.
    for attribute in &mut function.attrs {
        attribute.style = AttrStyle::Outer;
    }
    let Arguments {
        facade,
        settings,
        workers,
    } = arguments;
    let builder = quote!(#facade::runtime::RuntimeBuilder::new() #settings);
    let runtime = match workers {
        Some(workers) => quote!(#facade::entry::workers(#workers, #builder)),
        None if settings.is_empty() => quote!(#facade::entry::runtime()),
        None => quote!(#builder.build()),
    };
    let ItemFn {
        attrs,
        vis,
        sig,
        block,
    } = function;
    // Hygienic names, which the function cannot use.
    let (current, error) = (hygienic("runtime"), hygienic("error"));
    let failed = match nameable(&sig.output) {
        Some(output) => quote! {{
            #[allow(unused_imports, reason = "the type decides which one is called")]
            use #facade::entry::{Panics as _, ReturnsError as _};
            #facade::entry::Output::<#output>::new().without_runtime(#error)
        }},
        None => quote!(#facade::entry::panic(#error)),
    };
    quote! {
        #errors
        #(#attrs)*
        #attribute
        #vis #sig {
            match #runtime {
                ::core::result::Result::Ok(#current) => #current.block_on(async #block),
                ::core::result::Result::Err(#error) => #failed,
            }
        }
    }
}

fn hygienic(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

fn check(sig: &Signature) -> Result<(), Error> {
    if sig.asyncness.is_none() {
        return Err(Error::new_spanned(
            sig.fn_token,
            "the function must be async",
        ));
    }
    if !sig.inputs.is_empty() {
        return Err(Error::new_spanned(
            &sig.inputs,
            "the function takes no parameters",
        ));
    }
    Ok(())
}

/// The type that the function returns, if it has a name: `impl Trait` has none, and `!` cannot be a
/// parameter of a type.
fn nameable(output: &ReturnType) -> Option<TokenStream> {
    let ReturnType::Type(_, output) = output else {
        return Some(quote!(()));
    };
    if matches!(**output, Type::Never(_)) || quote!(#output).into_iter().any(is_impl) {
        return None;
    }
    Some(quote!(#output))
}

/// Whether the token is or contains the word `impl`.
fn is_impl(token: proc_macro2::TokenTree) -> bool {
    match token {
        proc_macro2::TokenTree::Ident(word) => word == "impl",
        proc_macro2::TokenTree::Group(group) => group.stream().into_iter().any(is_impl),
        proc_macro2::TokenTree::Punct(_) | proc_macro2::TokenTree::Literal(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(arguments: TokenStream, item: TokenStream) -> String {
        expand(arguments, item, TokenStream::new()).to_string()
    }

    /// One error with this message, and one `main`.
    #[track_caller]
    fn check_refused(arguments: TokenStream, item: TokenStream, message: &str) {
        let expanded = expanded(arguments, item);
        assert_eq!(expanded.matches("compile_error").count(), 1, "{expanded}");
        assert!(expanded.contains(message), "{expanded}");
        assert_eq!(expanded.matches("fn main ()").count(), 1, "{expanded}");
        assert!(!expanded.contains("async fn main"), "{expanded}");
    }

    #[test]
    fn refused_function_is_still_emitted() {
        let none = TokenStream::new;
        check_refused(
            none(),
            quote!(
                fn main() {
                    work();
                }
            ),
            "must be async",
        );
        check_refused(
            none(),
            quote!(
                async fn main(arguments: Vec<String>) -> usize {
                    arguments.len()
                }
            ),
            "takes no parameters",
        );
    }

    #[test]
    fn refused_argument_is_one_error_and_the_function_is_emitted() {
        let item = || {
            quote!(
                async fn main() {}
            )
        };
        for (arguments, message) in [
            (quote!(threads = 4), "unknown argument `threads`"),
            (quote!(backend = "select"), "there are `io-uring`"),
            (quote!(spin = "often"), "there are `off`"),
            (quote!(crate = 1), "`crate` must be a path"),
            (quote!(entries = 1, entries = 2), "`entries` is given twice"),
            (quote!(entries), "expected `=`"),
        ] {
            check_refused(arguments, item(), message);
        }
    }

    #[cfg(feature = "test-util")]
    #[test]
    fn wrong_start_paused_is_one_error() {
        let refuse = |arguments, message| {
            check_refused(
                arguments,
                quote!(
                    async fn main() {}
                ),
                message,
            )
        };
        refuse(quote!(start_paused = "yes"), "must be a `bool`");
        refuse(quote!(start_paused = 1), "must be a `bool`");
        refuse(
            quote!(start_paused, start_paused = false),
            "`start_paused` is given twice",
        );
        refuse(quote!(start_paused, workers = 2), "exclude each other");
        refuse(
            quote!(workers = 2, start_paused = false),
            "exclude each other",
        );
        refuse(quote!(start_paused true), "expected `=`");
    }

    #[cfg(feature = "test-util")]
    #[test]
    fn start_paused_is_a_setting_with_and_without_a_value() {
        for (arguments, value) in [
            (quote!(start_paused), quote!(true)),
            (quote!(start_paused = true), quote!(true)),
            (quote!(start_paused = false), quote!(false)),
            (quote!(start_paused = PAUSED), quote!(PAUSED)),
        ] {
            let item = quote!(
                async fn main() {}
            );
            let expanded = expanded(arguments, item);
            let setting = quote!(.start_paused(#value).build());
            assert!(expanded.contains(&setting.to_string()), "{expanded}");
        }
    }

    #[cfg(not(feature = "test-util"))]
    #[test]
    fn start_paused_without_its_feature_names_the_feature() {
        let item = quote!(
            async fn main() {}
        );
        let message = "needs the feature `test-util` of compio";
        check_refused(quote!(start_paused), item, message);
    }

    #[test]
    fn item_that_is_no_function_is_emitted_beside_the_error() {
        let expanded = expanded(
            TokenStream::new(),
            quote!(
                struct Main;
            ),
        );
        assert!(expanded.contains("compile_error"), "{expanded}");
        assert!(expanded.contains("struct Main ;"), "{expanded}");
    }

    #[test]
    fn settings_build_a_runtime_by_the_path_of_the_crate() {
        let expanded = expanded(
            quote!(
                backend = "uring",
                entries = 2 * 4,
                spin = POLICY,
                crate = "my::compio",
            ),
            quote!(
                async fn main() {}
            ),
        );
        let builder = quote! {
            my::compio::runtime::RuntimeBuilder::new()
                .backend(my::compio::driver::BackendKind::IoUring)
                .entries(2 * 4)
                .spin(POLICY)
                .build()
        };
        assert!(expanded.contains(&builder.to_string()), "{expanded}");
        assert!(!expanded.contains(":: compio :: entry") || expanded.contains("my :: compio"));
    }

    #[test]
    fn unnameable_output_panics_without_a_runtime() {
        for item in [
            quote!(
                async fn main() -> ! {
                    loop {}
                }
            ),
            quote!(
                async fn main() -> Result<impl Display, Error> {
                    Ok("")
                }
            ),
        ] {
            let expanded = expanded(TokenStream::new(), item);
            assert!(expanded.contains("entry :: panic"), "{expanded}");
        }
    }
}
