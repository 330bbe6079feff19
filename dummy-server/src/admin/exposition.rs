//! The two text forms of metrics, and which of them a client asks for.
//!
//! Metrics are written as OpenMetrics. Browsers download that, and some scrapers refuse it, so that only clients that
//! ask for it get it; all others get Prometheus's own text format.

/// What Prometheus's text format 0.0.4 is called in Content-Type.
pub(super) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// And OpenMetrics 1.0.0.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the value of an Accept field asks for OpenMetrics (RFC 9110 section 12.5.1): where it is named and at least as welcome
/// as text.
pub(super) fn wants_open_metrics(accept: &str) -> bool {
    let weight = |media_type: &str, known: &[&str]| {
        let ranges = accept.split(',').map(|range| range.split(';').map(str::trim));
        ranges
            .filter_map(|mut parts| {
                let named = parts.next()?.eq_ignore_ascii_case(media_type);
                let (mut quality, mut version) = (1.0, None);
                for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                    match name.trim().to_ascii_lowercase().as_str() {
                        "q" => quality = value.trim().parse().unwrap_or(0.0),
                        "version" => version = Some(value.trim()),
                        _ => {}
                    }
                }
                (named && version.is_none_or(|version| known.contains(&version))).then_some(quality)
            })
            .fold(0.0, f64::max)
    };
    let open = weight("application/openmetrics-text", &["1.0.0", "0.0.1"]);
    open > 0.0 && open >= weight("text/plain", &["0.0.4"])
}

/// Several expositions in OpenMetrics as one: what they have of the same name stands together, as both forms require it.
pub(super) fn merged(texts: &[String]) -> String {
    const HELP: &str = "# HELP ";
    const END: &str = "# EOF\n";
    let mut families: Vec<(&str, String)> = Vec::new();
    // The help comes first.
    for family in texts.iter().flat_map(|text| text.trim_end_matches(END).split(HELP).skip(1)) {
        let name = family.split(' ').next().unwrap_or_default();
        let samples = family.split_inclusive('\n').skip(1).filter(|line| !line.starts_with('#'));
        match families.iter_mut().find(|(known, _)| *known == name) {
            Some((_, all)) => all.extend(samples),
            None => families.push((name, format!("{HELP}{family}"))),
        }
    }
    families.into_iter().map(|(_, family)| family).chain([END.to_owned()]).collect()
}

/// OpenMetrics in Prometheus's text format. There, a counter is called as its sample is, with `_total`; there are no
/// units and no end; and a quote in a help text stands for itself.
pub(super) fn as_text(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len());
    // The help comes before the type, on which its name depends.
    let mut help = None;
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), text) => help = Some((name, text.unwrap_or_default())),
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let suffix = if kind == "counter" { "_total" } else { "" };
                if let Some((_, text)) = help.take_if(|(own, _)| *own == name) {
                    let text = text.replace("\\\"", "\"");
                    out.extend(["# HELP ", name, suffix, " ", &text, "\n"]);
                }
                out.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
            }
            (Some("#"), ..) => {}
            _ => out.extend([line, "\n"]),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clients_that_ask_for_open_metrics_get_it() {
        for accept in [
            // Prometheus 2.
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            // Prometheus 3.
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; Version=1.0.0; charset=utf-8",
            "text/plain;q=0.5, application/openmetrics-text;q=0.5",
        ] {
            assert!(wants_open_metrics(accept), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/plain;version=0.0.4;q=1,*/*;q=0.1",
            "text/plain, application/openmetrics-text;q=0.9",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=much",
            "application/openmetrics-text;version=2.0.0",
            "application/json",
        ] {
            assert!(!wants_open_metrics(accept), "{accept}");
        }
    }

    #[test]
    fn what_several_have_of_one_name_stands_together_with_one_help() {
        let text = |label: &str| {
            format!(
                "# HELP a x.\n# TYPE a counter\na_total{{i=\"{label}\"}} 1\n# HELP b y.\n# TYPE b gauge\n# EOF\n"
            )
        };
        let other = "# HELP c z.\n# TYPE c gauge\nc 3\n# EOF\n".to_owned();
        let expected = "# HELP c z.\n# TYPE c gauge\nc 3\n# HELP a x.\n# TYPE a counter\na_total{i=\"1\"} 1\n\
                        a_total{i=\"2\"} 1\n# HELP b y.\n# TYPE b gauge\n# EOF\n";
        assert_eq!(merged(&[other, text("1"), text("2")]), expected);
        assert_eq!(merged(&[]), "# EOF\n");
    }

    #[test]
    fn the_text_format_names_counters_as_their_samples_and_has_no_units() {
        let open_metrics = "# HELP a_bytes what is \\\"a\\\".\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\n\
                            a_bytes_total{x=\"\\\"1\\\" #\"} 1\n# HELP b .\n# TYPE b gauge\nb 2\n\
                            # TYPE c histogram\nc_bucket{le=\"+Inf\"} 3\n# EOF\n";
        let text = "# HELP a_bytes_total what is \"a\".\n# TYPE a_bytes_total counter\n\
                    a_bytes_total{x=\"\\\"1\\\" #\"} 1\n# HELP b .\n# TYPE b gauge\nb 2\n\
                    # TYPE c histogram\nc_bucket{le=\"+Inf\"} 3\n";
        assert_eq!(as_text(open_metrics), text);
    }
}
