//! Tables: columns as wide as what stands in them.

use crate::style::{Ink, Style};
use crate::wrap::width;
use std::borrow::Cow;
use unrefuse_facts::text::{clip, visible};

/// What an empty cell shows.
const EMPTY: &str = "-";
/// The longest cell, in characters.
const LONGEST: usize = 4000;
/// The widest column but the last, on a terminal.
const WIDEST: usize = 40;

/// A column: its head, and whether its cells stand at the right.
pub(crate) struct Column {
    pub(crate) head: &'static str,
    pub(crate) right: bool,
}

/// A table with a head. Only on a terminal (a style with a width) are cells cut: the last to what is left of the line,
/// the others to 40 columns.
pub(crate) fn table<C: AsRef<str>, const N: usize>(
    columns: &[Column; N],
    rows: impl Iterator<Item = [C; N]> + Clone,
    style: &Style,
) -> String {
    let terminal = style.width != usize::MAX;
    let mut widths: [usize; N] = std::array::from_fn(|i| columns[i].head.len());
    let (mut count, mut bytes) = (1, 0);
    for row in rows.clone() {
        count += 1;
        for (cell, widest) in row.iter().zip(&mut widths) {
            bytes += cell.as_ref().len();
            *widest = (*widest).max(shown(cell.as_ref()).1);
        }
    }
    if terminal {
        widths.iter_mut().take(N.saturating_sub(1)).for_each(|w| *w = (*w).min(WIDEST));
    }
    let before: usize = widths.iter().take(N.saturating_sub(1)).map(|w| w + 2).sum();
    if terminal && let Some(last) = widths.last_mut() {
        *last = (*last).min(style.width.saturating_sub(before)).max(1);
    }
    let mut out =
        String::with_capacity(bytes + count * (widths.iter().take(N.saturating_sub(1)).sum::<usize>() + 2 * N + 1));
    let mut head = String::new();
    line(&mut head, columns, &std::array::from_fn(|i| columns[i].head), &widths, style);
    out.push_str(&style.paint(Ink::Strong, head.trim_end()));
    out.push('\n');
    for row in rows {
        line(&mut out, columns, &row, &widths, style);
    }
    out
}

fn line<const N: usize>(
    out: &mut String,
    columns: &[Column; N],
    cells: &[impl AsRef<str>; N],
    widths: &[usize; N],
    style: &Style,
) {
    for (i, cell) in cells.iter().enumerate() {
        let (mut cell, mut takes) = shown(cell.as_ref());
        if takes > widths[i] {
            cell = Cow::Owned(cut(&cell, widths[i], style));
            takes = width(&cell);
        }
        let pad = widths[i].saturating_sub(takes);
        if columns[i].right {
            spaces(out, pad);
        }
        out.push_str(&cell);
        if i + 1 < N {
            spaces(out, 2 + if columns[i].right { 0 } else { pad });
        }
    }
    out.push('\n');
}

fn spaces(out: &mut String, count: usize) {
    const SPACES: &str = "                                                                ";
    let mut left = count;
    while left > 0 {
        let some = left.min(SPACES.len());
        out.push_str(&SPACES[..some]);
        left -= some;
    }
}

/// What a cell shows, and the columns that takes. Most cells are plain ASCII: those are neither copied nor measured
/// character by character.
fn shown(cell: &str) -> (Cow<'_, str>, usize) {
    // Without a way out of the loop, so that it becomes vector instructions.
    let plain = cell.bytes().fold(true, |plain, b| plain & (0x20..0x7f).contains(&b));
    if cell.is_empty() {
        (Cow::Borrowed(EMPTY), EMPTY.len())
    } else if plain && cell.len() <= LONGEST {
        (Cow::Borrowed(cell), cell.len())
    } else {
        let cell = clip(&visible(&clip(cell, LONGEST)), LONGEST);
        let takes = width(&cell);
        (Cow::Owned(cell), takes)
    }
}

/// The beginning of `cell` that leaves room for the mark of what is left out, in at most `columns` columns.
fn cut(cell: &str, columns: usize, style: &Style) -> String {
    let mark = if width(style.ellipsis()) <= columns { style.ellipsis() } else { "" };
    let room = columns - width(mark);
    let mut end = 0;
    for (at, c) in cell.char_indices() {
        let next = at + c.len_utf8();
        if width(&cell[..next]) > room {
            break;
        }
        end = next;
    }
    format!("{}{mark}", &cell[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 2] = [Column { head: "A", right: true }, Column { head: "B", right: false }];

    fn rows(cells: &[[&'static str; 2]], style: &Style) -> String {
        table(&COLUMNS, cells.iter().copied(), style)
    }

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        assert_eq!(rows(&[["1", "b"], ["漢字", ""]], &Style::plain(80)), "   A  B\n   1  b\n漢字  -\n");
    }

    #[test]
    fn only_on_a_terminal_cells_are_cut() {
        let long = "0123456789".repeat(5).leak() as &str;
        let terminal = rows(&[[long, long]], &Style::plain(60));
        assert_eq!(terminal.lines().last(), Some("012345678901234567890123456789012345678…  01234567890123456…"));
        let ascii = Style { unicode: false, ..Style::plain(60) };
        assert_eq!(
            rows(&[[long, long]], &ascii).lines().last(),
            Some("0123456789012345678901234567890123456...  012345678901234...")
        );
        let whole = rows(&[[long, long]], &Style::plain(usize::MAX));
        assert_eq!(whole.lines().last(), Some(format!("{long}  {long}").as_str()));
    }

    #[test]
    fn a_terminal_too_narrow_still_gives_lines() {
        assert_eq!(rows(&[["1234567890", "漢字"]], &Style::plain(3)), "         A  B\n1234567890  …\n");
    }
}
