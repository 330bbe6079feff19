//! Text of servers and users in reports: nothing of it is read as markup, or does anything to a terminal.

use command_line::is_misleading;

/// In one line of characters that are shown in their place: line ends and tabs are spaces, other controls and changes of direction are
/// escaped.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => shown.push(' '),
            c if is_misleading(c) => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

/// At most `most` characters of a name, of both of its ends: what distinguishes it from others may be at either.
pub(super) fn shortened(name: &str, most: usize) -> String {
    let name = printable(name);
    let count = name.chars().count();
    if count <= most {
        return name;
    }
    let begin = most / 2 - 2;
    let end = name.chars().skip(count - (most - begin - 1));
    name.chars().take(begin).chain(['~']).chain(end).collect()
}

/// As Markdown shows it, in one line.
pub(super) fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let text = printable(text);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        // A colon begins an address or the name of a symbol, or is one.
        let is_read = match c {
            ':' => rest.as_str().starts_with(|next: char| !next.is_whitespace()),
            c => "\\`*_{}[]<>#|~&@!$".contains(c),
        };
        if is_read {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// As HTML shows it, in one line; in attributes as well.
pub(super) fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_the_direction_of_text_or_is_not_seen_is_escaped_in_each_form() {
        let text = "a\u{202e}b\u{200b}\u{1b}\tc";
        assert_eq!(printable(text), r"a\u{202e}b\u{200b}\u{1b} c");
        assert_eq!(printable(&printable(text)), printable(text));
        assert_eq!(markdown(text), r"a\\u\{202e\}b\\u\{200b\}\\u\{1b\} c");
        assert_eq!(html(text), printable(text));
    }

    #[test]
    fn nothing_is_read_as_html() {
        assert_eq!(html("<a b=\"c\">&'\n"), "&lt;a b=&quot;c&quot;&gt;&amp;&#39; ");
    }

    #[test]
    fn nothing_is_read_as_markdown() {
        assert_eq!(markdown("a|b\n<i>*x*"), r"a\|b \<i\>\*x\*");
        assert_eq!(markdown("changed: :x: http://a"), r"changed: \:x: http\://a");
    }

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(shortened("GET /items", 10), "GET /items");
        assert_eq!(shortened("GET /items at 127.0.0.1:8080", 16), "GET /i~.0.1:8080");
        assert_eq!(shortened("üüüüüüüü", 7), "ü~üüüüü");
    }
}
