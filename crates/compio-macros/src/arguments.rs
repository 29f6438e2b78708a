//! The arguments of the attributes, such as `backend = "poll"`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Error, Expr, ExprLit, Ident, Lit, LitStr, Path, Result, Token,
    ext::IdentExt,
    parse::{Parse, ParseStream},
    parse_quote,
};

/// The names that `backend` takes as a string, and the variants of `BackendKind`. The same as those
/// of the environment variable `COMPIO_BACKEND`.
const BACKENDS: &[(&str, &str)] = &[
    ("io-uring", "IoUring"),
    ("io_uring", "IoUring"),
    ("uring", "IoUring"),
    ("poll", "Poll"),
    ("epoll", "Poll"),
    ("iocp", "Iocp"),
];

/// The names that `spin` takes as a string, and the variants of `SpinPolicy`.
const SPIN_POLICIES: &[(&str, &str)] = &[
    ("off", "Off"),
    ("adaptive", "Adaptive"),
    ("always", "Always"),
];

/// The arguments of one attribute.
pub(crate) struct Arguments {
    /// The path of compio.
    pub(crate) facade: Path,
    /// Calls of methods of `RuntimeBuilder`; none if there are no settings.
    pub(crate) settings: TokenStream,
    /// The number of workers, if there is a dispatcher.
    pub(crate) workers: Option<TokenStream>,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            facade: parse_quote!(::compio),
            settings: TokenStream::new(),
            workers: None,
        }
    }
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let given = input.parse_terminated(Argument::parse, Token![,])?;
        let mut arguments = Self::default();
        // Settings name types of the crate, so its path is needed first, wherever it stands.
        for argument in given.iter().filter(|argument| argument.name == "crate") {
            arguments.facade = path(&argument.value)?;
        }
        let facade = arguments.facade.clone();
        for (index, Argument { name, value }) in given.iter().enumerate() {
            if given.iter().take(index).any(|before| before.name == *name) {
                return Err(Error::new(name.span(), format!("`{name}` is given twice")));
            }
            let value = match name.to_string().as_str() {
                "start_paused" => start_paused(name, value)?,
                "crate" => continue,
                "workers" => {
                    arguments.workers = Some(quote!(#value));
                    continue;
                }
                "backend" => named(value, BACKENDS, &parse_quote!(#facade::driver::BackendKind))?,
                "spin" => named(
                    value,
                    SPIN_POLICIES,
                    &parse_quote!(#facade::driver::SpinPolicy),
                )?,
                "entries" => quote!(#value),
                _ => {
                    return Err(Error::new(
                        name.span(),
                        format!(
                            "unknown argument `{name}`: there are `backend`, `entries`, `spin`, \
                             `start_paused`, `workers` and `crate`"
                        ),
                    ));
                }
            };
            arguments.settings.extend(quote!(.#name(#value)));
        }
        let paused = given
            .iter()
            .find(|argument| argument.name == "start_paused");
        if let (Some(paused), Some(_)) = (paused, &arguments.workers) {
            return Err(Error::new(
                paused.name.span(),
                "`start_paused` and `workers` exclude each other: workers do not share a clock",
            ));
        }
        Ok(arguments)
    }
}

/// `name = value`, or the name of a flag alone, which is `true`.
struct Argument {
    name: Ident,
    value: Expr,
}

impl Parse for Argument {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        // `crate` is a keyword.
        let name = input.call(Ident::parse_any)?;
        let is_flag = name == "start_paused" && (input.is_empty() || input.peek(Token![,]));
        let value = if is_flag {
            parse_quote!(true)
        } else {
            input.parse::<Token![=]>()?;
            input.parse()?
        };
        Ok(Self { name, value })
    }
}

/// The argument of `RuntimeBuilder::start_paused`, which only the feature provides.
fn start_paused(name: &Ident, value: &Expr) -> Result<TokenStream> {
    if !cfg!(feature = "test-util") {
        return Err(Error::new(
            name.span(),
            "`start_paused` needs the feature `test-util` of compio",
        ));
    }
    if let Expr::Lit(literal) = value
        && !matches!(literal.lit, Lit::Bool(_))
    {
        let message = "`start_paused` must be a `bool`";
        return Err(Error::new_spanned(value, message));
    }
    Ok(quote!(#value))
}

fn string(value: &Expr) -> Option<&LitStr> {
    if let Expr::Lit(ExprLit {
        lit: Lit::Str(string),
        ..
    }) = value
    {
        Some(string)
    } else {
        None
    }
}

/// The path of a crate, bare or as a string.
pub(crate) fn path(value: &Expr) -> Result<Path> {
    if let Some(string) = string(value) {
        return string.parse();
    }
    if let Expr::Path(path) = value {
        Ok(path.path.clone())
    } else {
        Err(Error::new_spanned(value, "`crate` must be a path"))
    }
}

/// The variant of `kind` that a string names; otherwise the expression itself.
fn named(value: &Expr, names: &[(&str, &str)], kind: &Path) -> Result<TokenStream> {
    let Some(string) = string(value) else {
        return Ok(quote!(#value));
    };
    let wanted = string.value();
    let Some((_, variant)) = names.iter().find(|(name, _)| *name == wanted) else {
        let names: Vec<_> = names.iter().map(|(name, _)| format!("`{name}`")).collect();
        return Err(Error::new(
            string.span(),
            format!("unknown value: there are {}", names.join(", ")),
        ));
    };
    let variant = Ident::new(variant, string.span());
    Ok(quote!(#kind::#variant))
}
