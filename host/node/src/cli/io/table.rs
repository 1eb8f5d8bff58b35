//! Tables for people: columns of text without lines around them, as `ps` has, so that they can be
//! read, grepped and cut.
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

/// A table with these columns; a name that ends with `>` is a column of numbers, aligned to the
/// right.
pub(crate) fn table<const N: usize>(
    columns: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(columns.map(|column| column.trim_end_matches('>').to_owned()));
    for row in rows {
        table.add_row(row.map(|cell| if cell.is_empty() { "-".to_owned() } else { cell }));
    }
    for (index, name) in columns.into_iter().enumerate() {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, 2));
            if name.ends_with('>') {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table.trim_fmt()
}

/// The first sentence of a documentation, on one line.
pub(crate) fn summary(docs: &str) -> String {
    let paragraph =
        docs.trim().split("\n\n").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    match paragraph.find(". ") {
        Some(end) => paragraph[..=end].to_owned(),
        None => paragraph,
    }
}

/// A number of bytes: `2.0 KiB`.
#[allow(clippy::cast_precision_loss, reason = "a size for people")]
pub(crate) fn bytes(count: u64) -> String {
    let scaled = |unit: u64| count as f64 / unit as f64;
    match count {
        0..=1_023 => format!("{count} B"),
        1_024..=1_048_575 => format!("{:.1} KiB", scaled(1_024)),
        1_048_576..=1_073_741_823 => format!("{:.1} MiB", scaled(1_048_576)),
        _ => format!("{:.1} GiB", scaled(1_073_741_824)),
    }
}

#[cfg(test)]
mod tests;
