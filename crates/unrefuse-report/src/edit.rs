//! A change of one line of a file as a shell command.

use unrefuse_diagnose::report::Edit;
use unrefuse_facts::text::shell_quote;

/// `edit` as one command for a POSIX shell, over several lines, or `None` where no command shows a person what it does.
///
/// The command changes nothing and fails where the line reads otherwise than `edit.old`. It writes through the path
/// as it is, so that owner, mode, symlinks, hard links and bind mounts stay; the new text is complete before the file is
/// opened for writing. All other bytes of the file stay as they are; a last line without a newline that is itself
/// changed gets one. An empty `new` takes the line out; an empty `old` puts a line in before line `edit.line` (that is how
/// a removal is undone).
///
/// Its lines may be pasted with any indentation, which a here-document would not take. Where only the first of them are
/// pasted nothing runs, or a text is unset and nothing is written.
///
/// Only `sh`, `head`, `tail`, `wc`, `mktemp`, `cat` and `rm` are used, each as POSIX or busybox has it: no pattern, no
/// escape sequence, and so nothing in the texts that could be taken for one. `None` for a text with control characters
/// other than tabs, for a path that is not absolute, and for a line number of 0.
pub fn edit_command(edit: &Edit) -> Option<String> {
    if !edit.path.starts_with('/') || edit.line == 0 || edit.old == edit.new {
        return None;
    }
    let path = shell_quote(&edit.path)?;
    let tabs = edit.old.contains('\t') || edit.new.contains('\t');
    let quote = |text: &str| {
        // printf's %b is what turns the two characters `\t` back into a tab, which cannot be pasted into a shell that
        // completes words on it; then every backslash must be doubled.
        if tabs { shell_quote(&text.replace('\\', "\\\\").replace('\t', "\\t")) } else { shell_quote(text) }
    };
    let (old, new) = (quote(&edit.old)?, quote(&edit.new)?);
    let (line, before, after) = (edit.line, edit.line - 1, edit.line.checked_add(1)?);

    let mut words = vec![path];
    let (fits, rest) = if edit.old.is_empty() {
        (format!("[ -f \"$1\" ] && [ \"$(head -n {before} \"$1\" | wc -l)\" -eq {before} ]"), line)
    } else {
        words.push(old);
        let seen = if tabs { "\"$(printf %b \"$2\")\"" } else { "\"$2\"" };
        (format!("[ \"$(tail -n +{line} \"$1\" | head -n 1)\" = {seen} ]"), after)
    };
    let head = if before == 0 { String::new() } else { format!("head -n {before} \"$1\"; ") };
    let put = if edit.new.is_empty() {
        String::new()
    } else {
        words.push(new);
        format!("printf \"%{}\\n\" \"${}\"; ", if tabs { 'b' } else { 's' }, words.len())
    };
    let script = [
        "sh -euc '".to_owned(),
        format!("  {fits} ||"),
        format!("    {{ echo \"line {line} reads otherwise: nothing changed\" >&2; exit 1; }}"),
        "  t=$(mktemp)".to_owned(),
        format!("  {{ {head}{put}tail -n +{rest} \"$1\"; }} >\"$t\""),
        "  cat \"$t\" >\"$1\"; rm \"$t\"".to_owned(),
        format!("' sh {}", words.join(" \\\n  ")),
    ];
    Some(script.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(old: &str, new: &str) -> Edit {
        Edit { path: "/etc/hosts".into(), line: 3, old: old.into(), new: new.into() }
    }

    #[test]
    fn the_script_is_one_quoted_word_and_each_text_a_line() {
        let command = edit_command(&edit("it's a", "b")).unwrap();
        assert!(command.starts_with("sh -euc '\n"), "{command}");
        assert!(command.ends_with("\n' sh /etc/hosts \\\n  'it'\\''s a' \\\n  b"), "{command}");
        assert_eq!(command.matches('\'').count(), 2 + 5, "no quote within the script: {command}");
        assert!(command.lines().all(|line| unrefuse_facts::text::visible(line) == line));
    }

    #[test]
    fn its_own_lines_fit_a_terminal() {
        let far = Edit { line: 99, ..edit("a\tb", "c") };
        for edit in [far.clone(), Edit { old: String::new(), ..far.clone() }, Edit { new: String::new(), ..far }] {
            let command = edit_command(&edit).unwrap();
            assert!(command.lines().all(|line| line.len() <= 80 - crate::page::BODY), "{command}");
        }
    }

    #[test]
    fn what_cannot_be_shown_gives_no_command() {
        for bad in ["a\rb", "a\nb", "a\x1b[0m", "a\u{202e}b", "a\u{0}b"] {
            assert_eq!(edit_command(&edit(bad, "x")), None);
            assert_eq!(edit_command(&edit("x", bad)), None);
            assert_eq!(edit_command(&Edit { path: format!("/{bad}"), ..edit("a", "b") }), None);
        }
        assert_eq!(edit_command(&Edit { path: "hosts".into(), ..edit("a", "b") }), None);
        assert_eq!(edit_command(&Edit { line: 0, ..edit("a", "b") }), None);
        assert_eq!(edit_command(&Edit { line: u32::MAX, ..edit("a", "b") }), None);
        assert_eq!(edit_command(&edit("", "")), None);
    }
}
