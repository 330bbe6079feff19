//! Text of servers and users in reports that have a markup: nothing of it is read as such.

/// As Markdown shows it, in one line.
pub(super) fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c.is_control() {
            escaped.push(' ');
            continue;
        }
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
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_as_html() {
        assert_eq!(html("<a b=\"c\">&'\n"), "&lt;a b=&quot;c&quot;&gt;&amp;&#39; ");
    }

    #[test]
    fn nothing_is_read_as_markdown() {
        assert_eq!(markdown("a|b\n<i>*x*"), r"a\|b \<i\>\*x\*");
        assert_eq!(markdown("changed: :x: http://a"), r"changed: \:x: http\://a");
    }
}
