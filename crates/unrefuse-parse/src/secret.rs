//! Passwords in URLs and connection strings, taken out before anything is kept or shown.

/// What stands where a secret was.
const HIDDEN: &str = "***";

/// How far the text may be believed to be what it looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It was parsed: what the grammar calls the user and password is that.
    Parsed,
    /// It was not: everything up to the last `@` may belong to a password with an unescaped `/`, `?`, `#` or `@`.
    Nothing,
}

/// `text` without passwords: that of the user information (RFC 3986, 3.2.1) and the values of parameters whose names
/// speak of secrets (`password=`, `sslpassword=`, `token=` …), each replaced by `***`.
///
/// A web URL whose user information has no password has a token there: then all of it goes.
pub(crate) fn redact(text: &str, trust: Trust) -> String {
    parameters(&user_information(text, trust))
}

fn user_information(text: &str, trust: Trust) -> String {
    // In `user:a://b@host` the password has the `://`: a scheme holds no colon, but for jdbc's.
    let is_scheme = |head: &str| !head.contains(':') || head.get(..5).is_some_and(|j| j.eq_ignore_ascii_case("jdbc:"));
    let scheme_end = text.find("://").filter(|&at| trust == Trust::Parsed || is_scheme(&text[..at]));
    let Some(at) = scheme_end else {
        return match (trust, text.rfind('@')) {
            (Trust::Nothing, Some(end)) => hide(&text[..end], false) + &text[end..],
            _ => text.to_owned(),
        };
    };
    let (scheme, rest) = text.split_at(at + "://".len());
    let web = ["http://", "https://", "ws://", "wss://"].iter().any(|web| {
        scheme.len() >= web.len()
            && scheme.is_char_boundary(scheme.len() - web.len())
            && scheme[scheme.len() - web.len()..].eq_ignore_ascii_case(web)
    });
    // A scheme cannot hold an `@`; where one stands before `://`, nothing is what it looks like.
    if trust == Trust::Nothing {
        return match text.rfind('@') {
            Some(end) if end >= scheme.len() => {
                scheme.replace('@', HIDDEN) + &hide(&text[scheme.len()..end], web) + &text[end..]
            }
            Some(end) => hide(&text[..end], false) + &text[end..],
            None => text.to_owned(),
        };
    }
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (kept, rest) = match rest[..authority].rfind('@') {
        Some(end) => (hide(&rest[..end], web), &rest[end..]),
        None => (String::new(), rest),
    };
    // A URL may hold another one, in its query for example.
    let tail = if rest.contains("://") { user_information_within(rest) } else { rest.to_owned() };
    format!("{scheme}{kept}{tail}")
}

/// The URLs inside the rest of a URL. Their parts are not believed: all up to the last `@` goes.
fn user_information_within(rest: &str) -> String {
    let own = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[own..].find("://") {
        Some(_) => format!("{}{}", &rest[..own], user_information(&rest[own..], Trust::Nothing)),
        None => rest.to_owned(),
    }
}

/// The user stays, the password goes. `token` says that a user alone is a token.
fn hide(information: &str, token: bool) -> String {
    match information.find([':', '/']) {
        // GitHub takes a token as the user with one of these as the password.
        Some(at) if token && matches!(&information[at + 1..], "" | "x-oauth-basic") => HIDDEN.to_owned(),
        // More than one `@`: the first may end a token.
        Some(at) if token && information[..at].contains('@') => HIDDEN.to_owned(),
        Some(at) => format!("{}{HIDDEN}", &information[..=at]),
        None if token => HIDDEN.to_owned(),
        None => information.to_owned(),
    }
}

/// `key=value` after `?`, `&`, `;`, `#`, a blank, or at the start, where the key speaks of a secret.
fn parameters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while !rest.is_empty() {
        let end = rest.find(is_separator).unwrap_or(rest.len());
        let key = rest[..end].split('=').next().unwrap_or_default();
        if key.len() < end && (is_secret(key) || in_query(before) && is_one_time(key)) {
            out.push_str(key);
            out.push('=');
            out.push_str(HIDDEN);
            rest = &rest[value_end(rest, key.len() + 1, before)..];
        } else {
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        }
        if let Some(c) = rest.chars().next() {
            out.push(c);
            before = Some(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

fn is_separator(c: char) -> bool {
    matches!(c, '?' | '&' | ';' | '#') || c.is_whitespace()
}

/// Where a secret value ends: as late as it may, since a password can hold the other separators unescaped.
fn value_end(rest: &str, start: usize, before: Option<char>) -> usize {
    let value = &rest[start..];
    let quoted = value.starts_with(['{', '\'', '"']);
    let end = match before {
        Some('?' | '&' | '#') if !quoted => value.find('&'),
        Some(';') if !quoted => value.find([';', '&']),
        _ => None,
    };
    end.map_or(rest.len(), |end| start + end)
}

/// Whether a parameter of that name holds a secret.
fn is_secret(key: &str) -> bool {
    let key = percent_encoding::percent_decode_str(key).decode_utf8_lossy().to_ascii_lowercase();
    let name = key.rsplit(['/', ',']).next().unwrap_or_default();
    const PARTS: [&str; 9] = ["pass", "pwd", "secret", "token", "credential", "signature", "apikey", "api_key", "auth"];
    PARTS.iter().any(|part| name.contains(part)) || name.ends_with("key") || matches!(name, "sig" | "pw" | "pin")
}

/// The parameter stands in a URL's query or fragment.
fn in_query(before: Option<char>) -> bool {
    matches!(before, Some('?' | '&' | '#'))
}

/// An authorization code (RFC 6749, 4.1.2). Elsewhere the word is common: systemd writes `code=exited, status=1`.
fn is_one_time(key: &str) -> bool {
    key.eq_ignore_ascii_case("code")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_parsed_urls() {
        for (text, shown) in [
            ("postgres://u:p@h/db", "postgres://u:***@h/db"),
            ("postgres://u:p@w@h/db", "postgres://u:***@h/db"),
            ("redis://:p@h", "redis://:***@h"),
            ("ssh://git@h", "ssh://git@h"),
            ("https://bob:p@h/@x", "https://bob:***@h/@x"),
            ("https://ghp_abc@h/", "https://***@h/"),
            ("https://ghp_abc:x-oauth-basic@h/", "https://***@h/"),
            ("https://h:443/@user", "https://h:443/@user"),
            ("http://h/?next=http://u:p@i/", "http://h/?next=http://u:***@i/"),
            ("/run/a@b:c@d.sock", "/run/a@b:c@d.sock"),
        ] {
            assert_eq!(redact(text, Trust::Parsed), shown);
        }
    }

    #[test]
    fn passwords_of_what_could_not_be_parsed() {
        for (text, shown) in [
            ("postgres://u:p/w@h/db", "postgres://u:***@h/db"),
            ("postgres://u:p?w#@h/db", "postgres://u:***@h/db"),
            ("u:p@h", "u:***@h"),
            ("postgres:/u:p@h", "postgres:***@h"),
            ("jdbc:oracle:thin:scott/tiger@h:1521:x", "jdbc:***@h:1521:x"),
            ("a:p@x://h", "a:***@x://h"),
            ("user@h", "user@h"),
            // Found by fuzzing: all before :// passed for a scheme.
            ("user:p://@h", "user:***@h"),
            ("jdbc:mysql:replication://u:p@h:x", "jdbc:mysql:replication://u:***@h:x"),
            // Found by fuzzing: the token passed for the user of a password that is none.
            ("https://token@::x@", "https://***@"),
            ("https://bob:p@h:x", "https://bob:***@h:x"),
        ] {
            assert_eq!(redact(text, Trust::Nothing), shown);
        }
    }

    #[test]
    fn secret_parameters() {
        for (text, shown) in [
            ("postgres://h/d?user=u&password=p&x=1", "postgres://h/d?user=u&password=***&x=1"),
            ("postgres://h/d?sslpassword=a;b#c&x=1", "postgres://h/d?sslpassword=***&x=1"),
            ("jdbc:sqlserver://h;user=u;password=p;x=1", "jdbc:sqlserver://h;user=u;password=***;x=1"),
            ("jdbc:sqlserver://h;password={a;b};x=1", "jdbc:sqlserver://h;password=***"),
            ("http://h/#access_token=t&x", "http://h/#access_token=***&x"),
            ("http://h/?p%61ssword=t", "http://h/?p%61ssword=***"),
            ("http://h/?PassWord=t=u", "http://h/?PassWord=***"),
            ("host=h password=a b", "host=h password=***"),
            ("http://h/?X-Amz-Signature=abc&q=käse", "http://h/?X-Amz-Signature=***&q=käse"),
            ("http://h/?q=password", "http://h/?q=password"),
            ("http://h/?code=abc&state=1", "http://h/?code=***&state=1"),
            (
                "Main process exited, code=exited, status=1/FAILURE",
                "Main process exited, code=exited, status=1/FAILURE",
            ),
        ] {
            assert_eq!(redact(text, Trust::Parsed), shown);
        }
    }
}
