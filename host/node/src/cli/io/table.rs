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

#[cfg(test)]
mod tests;
