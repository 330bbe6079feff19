//! `loadgen probe` through each proxy: whatever it does, the probe comes to an end and can judge.

use std::time::Duration;

use integration::{
    binaries::command,
    cases::Cases,
    gateways::{ALL, Gateway, Pair},
    process::Process,
};
use serde_json::Value;

use super::{Lab, each};

tests!();

const LONGEST: Duration = Duration::from_secs(55);

fn rows() -> Cases {
    let mut cases = Cases::new();
    for gateway in ALL {
        let name = format!("probed::{}", gateway.name);
        cases = each(cases, &name, async move || all_cases_are_judged(gateway));
    }
    cases
}

fn all_cases_are_judged(gateway: Gateway) {
    let Some(lab) = Lab::start(gateway, Pair::Http1) else { return };
    let (direct, url) = (format!("--direct=http://{}", lab.server.http), lab.proxy.url());
    let mut probe = command("loadgen");
    probe.args(["probe", "--timeout=2s", "-o", "json", &direct, &format!("{}={url}", gateway.name)]);
    let finished = Process::start(&mut probe).finish(LONGEST);
    // 99 is that the proxy broke a rule, which is its own affair.
    assert!(matches!(finished.code, Some(0 | 99)), "{finished}");
    let matrix: Value =
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished}"));
    assert_eq!(matrix["columns"].as_array().map(Vec::len), Some(2), "{matrix:#}");
    let rows = matrix["rows"].as_array().expect("rows");
    let (mut names, mut judged) = (Vec::new(), 0);
    for row in rows {
        let [direct, through] = &row["cells"].as_array().expect("cells")[..] else { panic!("{row:#}") };
        let state = |cell: &Value| cell["state"].as_str().expect("a state").to_owned();
        assert!(["kept", "not_applicable"].contains(&&*state(direct)), "{row:#}");
        judged += u32::from(state(through) != "not_applicable");
        names.push(row["name"].as_str().expect("a name"));
    }
    names.dedup();
    assert_eq!(names.len(), 25, "{names:?}");
    assert!(judged >= 25, "{judged} of {}", rows.len());
}
