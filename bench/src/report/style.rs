//! The style of both plots, with a light and a dark color scheme.

use std::fmt::{self, Write};

/// Starts the file.
pub(super) fn open(text: &mut String, width: f64, height: f64) -> fmt::Result {
    writeln!(
        text,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="system-ui, sans-serif" font-size="11">
<style>
  .ground {{ fill: #ffffff }} text {{ fill: #24292f }} .title {{ font-weight: bold; font-size: 12px }}
  .faint {{ fill: #57606a }}
  .bar {{ fill: #9db4c9 }} .ours {{ fill: #e07b39 }} .limit {{ fill: #c9ccd0 }}
  .line {{ stroke: #24292f; fill: none }} .base {{ stroke: #8c959f; stroke-dasharray: 3 3 }}
  .cut {{ stroke: #ffffff; stroke-width: 3 }} .grid {{ stroke: #d8dee4 }}
  .curve {{ fill: none; stroke-width: 1.5 }}
  @media (prefers-color-scheme: dark) {{
    .ground {{ fill: #0d1117 }} text {{ fill: #e6edf3 }} .faint {{ fill: #9198a1 }}
    .bar {{ fill: #4f6b86 }} .ours {{ fill: #d9722e }} .limit {{ fill: #484f58 }}
    .line {{ stroke: #e6edf3 }} .base {{ stroke: #7d8590 }}
    .cut {{ stroke: #0d1117 }} .grid {{ stroke: #30363d }}
  }}
</style>
<rect class="ground" width="{width}" height="{height}"/>"#
    )
}
