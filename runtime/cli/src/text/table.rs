//! Plain tables: a head and rows, no borders, two blanks between columns. Cells must be escaped already.

use comfy_table::{Table, presets};

/// A table as text, with a newline at the end; empty rows give the head alone.
pub fn plain(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(head.iter().map(|cell| cell.to_string()));
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_their_heads() {
        let text = plain(
            &["ID", "STATE"],
            vec![vec!["a".into(), "running".into()], vec!["long-id".into(), "x".into()]],
        );
        assert_eq!(text, "ID       STATE\na        running\nlong-id  x\n");
    }
}
