//! What all rounds of a variant say together. Nothing here asks.

use super::{
    found::{CaseRound, Cell, Role, State},
    transcript,
    trial::CaseFinding,
};

/// One cell of all its rounds.
pub(super) fn combined(
    found: Vec<(CaseFinding, Vec<transcript::Line>)>,
    curl: Option<String>,
    role: Role,
) -> Cell {
    let judged = |finding: &CaseFinding| match finding.rules.iter().any(|rule| rule.binds(role)) {
        true => State::Broken,
        false => finding.state,
    };
    // One that makes it broken, if there is one in any round.
    let mut rules = found.iter().flat_map(|(finding, _)| &finding.rules);
    let rule = rules.clone().find(|rule| rule.binds(role)).or_else(|| rules.next()).map(|rule| **rule);
    let rounds: Vec<CaseRound> = found
        .into_iter()
        .map(|(finding, transcript)| CaseRound { state: judged(&finding), what: finding.what, transcript })
        .collect();
    let breaks_a_must = rounds.iter().any(|round| round.state == State::Broken);
    let kept = rounds.iter().filter(|round| round.state == State::Kept).count();
    let first = &rounds[0];
    let unasked = rounds.iter().find(|round| round.state == State::Unasked);
    let (state, what) = match (unasked, rounds.iter().find(|round| round.state != first.state)) {
        (Some(unasked), _) => (State::Unasked, unasked.what.clone()),
        (None, None) if first.state == State::Described => (first.state, each_of(&rounds)),
        (None, None) => (first.state, first.what.clone()),
        (None, Some(other)) => {
            let odd = if first.state == State::Kept { other } else { first };
            (
                State::Unstable,
                format!("kept in {kept} of {}, else {}: {}", rounds.len(), odd.state.name(), odd.what),
            )
        }
    };
    Cell { state, what, rule, breaks_a_must, curl, disputed: None, rounds }
}

/// What was found in any of the rounds, and in how many of them if they differ.
fn each_of(rounds: &[CaseRound]) -> String {
    let mut found: Vec<(&str, usize)> = Vec::new();
    for CaseRound { what, .. } in rounds {
        match found.iter_mut().find(|(known, _)| known == what) {
            Some((_, count)) => *count += 1,
            None => found.push((what, 1)),
        }
    }
    match found[..] {
        [(what, _)] => what.to_owned(),
        _ => {
            let each = found.iter().map(|(what, count)| format!("{what} (in {count} of {})", rounds.len()));
            each.collect::<Vec<_>>().join("; ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::found::{Roles, Rule},
        *,
    };

    static FOR_PROXIES: Rule = Rule { section: "1", quote: "MUST", roles: Roles::Proxies };
    static FOR_GATEWAYS: Rule = Rule { section: "2", quote: "MUST", roles: Roles::Gateways };

    fn of(findings: Vec<CaseFinding>, role: Role) -> (State, bool, String) {
        let cell = combined(findings.into_iter().map(|finding| (finding, Vec::new())).collect(), None, role);
        (cell.state, cell.breaks_a_must, cell.what)
    }

    #[test]
    fn a_rule_for_proxies_is_not_broken_by_a_gateway() {
        static FOR_ALL: Rule = Rule { roles: Roles::Both, ..FOR_PROXIES };
        let against = |rule| vec![CaseFinding::against(rule, "so")];
        assert_eq!(of(against(&FOR_PROXIES), Role::Gateway), (State::Changed, false, "so".to_owned()));
        assert_eq!(of(against(&FOR_PROXIES), Role::Proxy), (State::Broken, true, "so".to_owned()));
        assert_eq!(of(against(&FOR_ALL), Role::Gateway), (State::Broken, true, "so".to_owned()));
    }

    #[test]
    fn the_rule_that_is_quoted_is_one_that_binds_the_role() {
        for role in [Role::Gateway, Role::Proxy] {
            let both = CaseFinding::against_all(&[&FOR_PROXIES, &FOR_GATEWAYS], "so");
            let rounds =
                [&[both][..], &[&FOR_PROXIES, &FOR_GATEWAYS].map(|rule| CaseFinding::against(rule, "so"))];
            for findings in rounds {
                let found = findings.iter().map(|finding| (finding.clone(), Vec::new())).collect();
                let cell = combined(found, None, role);
                assert!(cell.breaks_a_must && cell.rule.unwrap().binds(role), "{cell:?}");
            }
        }
        let against = CaseFinding::against(&FOR_GATEWAYS, "so");
        let cell = combined(vec![(against, Vec::new())], None, Role::Proxy);
        assert_eq!((cell.state, cell.rule), (State::Changed, Some(FOR_GATEWAYS)));
    }

    #[test]
    fn rounds_that_differ_are_unstable_and_say_in_how_many_it_was_kept() {
        let rounds = vec![CaseFinding::kept("a"), CaseFinding::changed("b"), CaseFinding::kept("c")];
        let (state, _, what) = of(rounds, Role::Gateway);
        assert_eq!((state, what.as_str()), (State::Unstable, "kept in 2 of 3, else changed: b"));
        let described = ["a", "b", "a"].map(CaseFinding::described).to_vec();
        assert_eq!(of(described, Role::Gateway).2, "a (in 2 of 3); b (in 1 of 3)");
        let same = vec![CaseFinding::kept("a"), CaseFinding::kept("c")];
        assert_eq!(of(same, Role::Gateway), (State::Kept, false, "a".to_owned()));
    }

    #[test]
    fn what_could_not_be_asked_in_one_round_is_not_known_but_a_broken_rule_stays_broken() {
        let rounds = vec![
            CaseFinding::against(&FOR_GATEWAYS, "so"),
            CaseFinding::kept("a"),
            CaseFinding::unasked("gone"),
        ];
        assert_eq!(of(rounds, Role::Gateway), (State::Unasked, true, "gone".to_owned()));
    }
}
