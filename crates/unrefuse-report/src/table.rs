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
pub(crate) fn table<'a, const N: usize>(
    columns: &[Column; N],
    rows: impl Iterator<Item = [&'a str; N]> + Clone,
    style: &Style,
) -> String {
    let terminal = style.width != usize::MAX;
    let mut widths: [usize; N] = std::array::from_fn(|i| columns[i].head.len());
    let (mut count, mut bytes) = (1, 0);
    for row in rows.clone() {
        count += 1;
        for (cell, widest) in row.iter().zip(&mut widths) {
            bytes += cell.len();
            let cell = shown(cell);
            *widest = (*widest).max(width_of(&cell));
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
    line(&mut head, columns, &std::array::from_fn(|i| Cow::Borrowed(columns[i].head)), &widths, style);
    out.push_str(&style.paint(Ink::Strong, head.trim_end()));
    out.push('\n');
    for row in rows {
        line(&mut out, columns, &row.map(shown), &widths, style);
    }
    out
}

fn line<const N: usize>(
    out: &mut String,
    columns: &[Column; N],
    cells: &[Cow<'_, str>; N],
    widths: &[usize; N],
    style: &Style,
) {
    for (i, cell) in cells.iter().enumerate() {
        let cell = if width_of(cell) > widths[i] && style.width != usize::MAX {
            cut(cell, widths[i], style)
        } else {
            Cow::Borrowed(&**cell)
        };
        let pad = widths[i].saturating_sub(width_of(&cell));
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
    out.extend(std::iter::repeat_n(' ', count));
}

/// Most cells are plain ASCII: those are neither copied nor measured character by character.
fn is_plain(cell: &str) -> bool {
    cell.len() <= LONGEST && cell.bytes().all(|b| (0x20..0x7f).contains(&b))
}

fn shown(cell: &str) -> Cow<'_, str> {
    match cell {
        "" => Cow::Borrowed(EMPTY),
        cell if is_plain(cell) => Cow::Borrowed(cell),
        cell => Cow::Owned(clip(&visible(&clip(cell, LONGEST)), LONGEST)),
    }
}

fn width_of(cell: &str) -> usize {
    if is_plain(cell) { cell.len() } else { width(cell) }
}

fn cut<'c>(cell: &'c str, columns: usize, style: &Style) -> Cow<'c, str> {
    let mark = style.ellipsis();
    let room = columns.saturating_sub(width(mark));
    let mut end = 0;
    for (at, c) in cell.char_indices() {
        let next = at + c.len_utf8();
        if width(&cell[..next]) > room {
            break;
        }
        end = next;
    }
    if end == 0 {
        Cow::Borrowed(&mark[..mark.len().min(if style.unicode { mark.len() } else { columns })])
    } else {
        Cow::Owned(format!("{}{mark}", &cell[..end]))
    }
}
