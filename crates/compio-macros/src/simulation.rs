//! The expansion of `#[compio::test(sim)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Error, Expr, ExprLit, Ident, ItemFn, Lit, Path, Result, Token,
    ext::IdentExt,
    parse::{Parse, ParseStream},
    parse_quote,
};

use crate::arguments::path;

/// The number of seeds if the attribute names none.
const SEEDS: u64 = 10;

/// The arguments of an attribute with `sim`.
pub(crate) struct SimArguments {
    /// The path of compio.
    facade: Path,
    /// The seeds, as an iterator.
    seeds: TokenStream,
}

impl Parse for SimArguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut facade = parse_quote!(::compio);
        let mut seeds = None;
        let mut given: Vec<Ident> = Vec::new();
        while !input.is_empty() {
            // `crate` is a keyword.
            let name = input.call(Ident::parse_any)?;
            if given.contains(&name) {
                return Err(Error::new(name.span(), format!("`{name}` is given twice")));
            }
            if name != "sim" {
                input.parse::<Token![=]>()?;
                let value: Expr = input.parse()?;
                match name.to_string().as_str() {
                    "crate" => facade = path(&value)?,
                    "seeds" => seeds = Some(range(&value)),
                    _ => {
                        let message = format!(
                            "unknown argument `{name}`: beside `sim` there are `seeds` and `crate`"
                        );
                        return Err(Error::new(name.span(), message));
                    }
                }
            }
            given.push(name);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(Self {
            facade,
            seeds: seeds.unwrap_or_else(|| quote!(0..#SEEDS)),
        })
    }
}

/// A number of seeds, or an expression with the seeds themselves.
fn range(value: &Expr) -> TokenStream {
    if let Expr::Lit(ExprLit {
        lit: Lit::Int(count),
        ..
    }) = value
    {
        quote!(0..#count)
    } else {
        quote!(#value)
    }
}

/// Whether the arguments have the flag `sim`.
pub(crate) fn is_simulation(arguments: &TokenStream) -> bool {
    let mut tokens = arguments.clone().into_iter();
    tokens.any(|token| matches!(token, proc_macro2::TokenTree::Ident(word) if word == "sim"))
}

/// A test that runs a simulation with each seed. With an error, a test of this name is still emitted.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut function: ItemFn = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            let error = error.to_compile_error();
            return quote!(#error #item);
        }
    };
    let (attributes, visibility) = (std::mem::take(&mut function.attrs), function.vis.clone());
    let name = function.sig.ident.clone();
    let body = syn::parse2(arguments)
        .and_then(|arguments| body(&arguments, &function))
        .unwrap_or_else(|error: Error| error.to_compile_error());
    quote! {
        #(#attributes)*
        #[::core::prelude::v1::test]
        #visibility fn #name() {
            #body
        }
    }
}

fn body(arguments: &SimArguments, function: &ItemFn) -> Result<TokenStream> {
    if !cfg!(feature = "sim") {
        let message = "`sim` needs the feature `sim` of compio";
        return Err(Error::new(function.sig.ident.span(), message));
    }
    let SimArguments { facade, seeds } = arguments;
    let (signature, name) = (&function.sig, &function.sig.ident);
    let build = match (signature.asyncness.is_some(), signature.inputs.len()) {
        // Its body is a client.
        (true, 0) => quote!(|simulation| {
            simulation.client("test", #name());
        }),
        (false, 1) => quote!(#name),
        _ => {
            let message = "a simulation is a function with one parameter of type `&mut Simulation`, or an async \
                           function without parameters";
            return Err(Error::new_spanned(signature, message));
        }
    };
    Ok(quote! {
        #function
        #facade::sim::run_test(
            ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)),
            #seeds,
            #build,
        );
    })
}

#[cfg(all(test, feature = "sim"))]
mod tests {
    use super::*;

    fn expanded(arguments: TokenStream, item: TokenStream) -> String {
        let expanded = expand(arguments, item).to_string();
        assert_eq!(expanded.matches("prelude :: v1 :: test").count(), 1);
        expanded
    }

    #[test]
    fn seeds_are_a_number_or_an_expression() {
        for (arguments, seeds) in [
            (quote!(sim), quote!(0..10u64)),
            (quote!(sim, seeds = 200), quote!(0..200)),
            (quote!(seeds = 5..9, sim), quote!(5..9)),
            (quote!(sim, seeds = SEEDS), quote!(SEEDS)),
        ] {
            let item = quote!(
                fn program(simulation: &mut Simulation) {}
            );
            let expanded = expanded(arguments, item);
            let call = quote!(, #seeds, program,).to_string();
            assert!(expanded.contains(&call), "{expanded}");
        }
    }

    #[test]
    fn async_function_is_a_client() {
        let item = quote!(
            async fn program() -> io::Result<()> {
                Ok(())
            }
        );
        let expanded = expanded(quote!(sim, crate = my::compio), item);
        assert!(expanded.contains("async fn program"), "{expanded}");
        assert!(
            expanded.contains("client (\"test\" , program ())"),
            "{expanded}"
        );
        assert!(
            expanded.contains("my :: compio :: sim :: run_test"),
            "{expanded}"
        );
    }

    #[test]
    fn wrong_argument_or_function_is_one_error() {
        let sync = || {
            quote!(
                fn program(simulation: &mut Simulation) {}
            )
        };
        for (arguments, item, message) in [
            (
                quote!(sim, workers = 2),
                sync(),
                "there are `seeds` and `crate`",
            ),
            (
                quote!(sim, seeds = 1, seeds = 2),
                sync(),
                "`seeds` is given twice",
            ),
            (quote!(sim, seeds), sync(), "expected `=`"),
            (
                quote!(sim),
                quote!(
                    fn program() {}
                ),
                "one parameter of type",
            ),
            (
                quote!(sim),
                quote!(
                    async fn program(simulation: &mut Simulation) {}
                ),
                "one parameter of type",
            ),
        ] {
            let expanded = expanded(arguments, item);
            assert_eq!(expanded.matches("compile_error").count(), 1, "{expanded}");
            assert!(expanded.contains(message), "{expanded}");
        }
    }
}
