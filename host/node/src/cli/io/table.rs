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
        table.add_row(row.map(|cell| if cell.is_empty() { "-".to_owned() } else { printable(&cell) }));
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

/// `text` without what steers a terminal: control characters, and those that turn the direction of
/// writing, stand as escapes. So a row is a line, whatever somebody called something.
pub(crate) fn printable(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

#[cfg(test)]
mod tests;
