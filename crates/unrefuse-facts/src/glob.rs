//! glob(7) patterns, one part of a path at a time.

/// Whether `text` has a character that makes it a pattern.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether one part of a path is as `pattern` says: `*`, `?`, `[a-z]`, `[!a]`, `\` before a special character. As in
/// glob(3), a leading dot is matched by a dot only.
///
/// The work is at most the product of both lengths.
///
/// ```
/// use unrefuse_facts::glob::matches;
/// assert!(matches("*.conf", "a.conf") && !matches("*.conf", ".a.conf") && !matches("[!a]*", "ab"));
/// ```
pub fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') && !pattern.starts_with("\\.") {
        return false;
    }
    // Most names differ at once.
    let plain = pattern.find(['*', '?', '[', '\\']).unwrap_or(pattern.len());
    if !name.starts_with(&pattern[..plain]) {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // The last `*`, and how much of the name it has taken: going back there is enough.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
        } else if let Some(length) = one(&pattern[p.min(pattern.len())..], name[n]) {
            p += length;
            n += 1;
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            (p, n) = (at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// How much of the pattern stands for the character `c`.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match *pattern.first()? {
        '?' => Some(1),
        '[' => match bracket(pattern, c) {
            Some((true, length)) => Some(length),
            Some((false, _)) => None,
            // Without its end it is a plain character.
            None => (c == '[').then_some(1),
        },
        '\\' if pattern.len() > 1 => (pattern[1] == c).then_some(2),
        plain => (plain == c).then_some(1),
    }
}

fn bracket(pattern: &[char], c: char) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let first = 1 + usize::from(negated);
    let end = (first + 1..pattern.len()).find(|&at| pattern[at] == ']')?;
    let (mut at, mut found) = (first, false);
    while at < end {
        if at + 2 < end && pattern[at + 1] == '-' {
            found |= (pattern[at]..=pattern[at + 2]).contains(&c);
            at += 3;
        } else {
            found |= pattern[at] == c;
            at += 1;
        }
    }
    Some((found != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, name) in
            [("*", "a"), ("a*c", "abbc"), ("*.c*f", "x.conf"), ("[a-c]?", "bz"), ("\\*", "*"), ("[", "["), ("a", "a")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("*", ".a"), ("a*c", "ab"), ("[!a-c]", "b"), ("?", ""), ("a", "ab"), ("", "a"), ("*.conf", "a.conf~")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_are_no_trap() {
        assert!(!matches(&"*a".repeat(2000), &"a".repeat(1999)));
    }
}
