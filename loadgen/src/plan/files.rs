//! Whether a plan's connections fit into the limit of open files: known before the run, as it is loadgen's own limit
//! and not the target's. The limit comes as an argument.

use std::num::NonZeroUsize;

use command_line::Refusal;

use super::{Plan, PlanError};

/// Files that a process has open besides connections: standard streams, signals, a report, libraries.
const RESERVED: u64 = 32;
/// Files that each worker has open besides its connections: its poller, its timer, its wake-ups.
const PER_WORKER: u64 = 8;

/// Where the other end of the connections is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherEnd {
    /// In another process.
    Elsewhere,
    /// In this process, which has both ends of each connection open.
    Here,
}

/// Plans of loads at the same time with no more connections together than `limit` open files allow: each has what it opens in
/// any case, and what is left is shared. With each, whether connections that would have been opened on demand had to be
/// limited.
///
/// # Errors
/// Those that are opened in any case are more than that.
pub fn together_within_files(
    plans: Vec<Plan>,
    limit: u64,
    other_end: OtherEnd,
) -> Result<Vec<(Plan, bool)>, PlanError> {
    let needs: Vec<u64> = plans.iter().map(|plan| plan.files(other_end)).collect();
    let all = needs.iter().fold(reserved(other_end), |all, need| all.saturating_add(*need));
    if all > limit {
        return Err(too_many_together(&plans, &needs, all, limit));
    }
    let spare = (limit - all) / plans.len().max(1) as u64;
    let share = |need: u64| reserved(other_end).saturating_add(need).saturating_add(spare);
    plans.into_iter().zip(needs).map(|(plan, need)| plan.fitted(share(need), limit, other_end)).collect()
}

/// What is wrong is their sum, and not any one of them.
fn too_many_together(plans: &[Plan], needs: &[u64], all: u64, limit: u64) -> PlanError {
    /// This number of plans are named, those that need most.
    const NAMED: usize = 5;
    let mut each: Vec<(u64, &Plan)> = needs.iter().copied().zip(plans).collect();
    each.sort_by_key(|(need, _)| std::cmp::Reverse(*need));
    let named = |(need, plan): &(u64, &Plan)| {
        let (load, targets) = (&plan.load, plan.sites.len());
        let name = load.name.as_deref().unwrap_or_default();
        let to = if targets > 1 { format!(" to each of {targets} targets") } else { String::new() };
        format!(
            "'{name}' {need} for {} connections{to}",
            load.connections.get() + plan.client.idle_connections
        )
    };
    let mut shown = each.iter().take(NAMED).map(named).collect::<Vec<_>>().join(", ");
    if each.len() > NAMED {
        shown.push_str(&format!(" and {} more loads", each.len() - NAMED));
    }
    let accepted = format!(
        "fewer connections or workers, so that all {} loads need at most {limit} together, or a higher limit of open files",
        plans.len()
    );
    let refusal = Refusal::new(
        format!("the loads need {all} open files together"),
        accepted,
        format!("ulimit -n {all}"),
    );
    PlanError(refusal.because(format!("this process may open {limit} (ulimit -n): {shown}")))
}

/// Files that are open whatever is sent: the server of this process has some as well.
fn reserved(other_end: OtherEnd) -> u64 {
    let workers = match other_end {
        OtherEnd::Elsewhere => 0,
        OtherEnd::Here => runtime::cpus::available().get() as u64,
    };
    RESERVED.saturating_add(PER_WORKER.saturating_mul(workers))
}

impl Plan {
    /// Files that its workers and the connections that are opened in any case need.
    fn files(&self, other_end: OtherEnd) -> u64 {
        let each = self.load.connections.get().saturating_add(self.client.idle_connections) as u64;
        let workers = PER_WORKER.saturating_mul(self.workers.get() as u64);
        each.saturating_mul(self.ends(other_end)).saturating_add(workers)
    }

    /// Files that one more connection to each target needs.
    fn ends(&self, other_end: OtherEnd) -> u64 {
        // Each target has as many as the others.
        match other_end {
            OtherEnd::Elsewhere => self.sites.len() as u64,
            // The server has as many again.
            OtherEnd::Here => 2 * self.sites.len() as u64,
        }
    }

    /// The same with no more connections than `limit` open files allow; whether connections that would have been
    /// opened on demand had to be limited.
    ///
    /// # Errors
    /// Those that are opened in any case are more than that.
    pub fn within_files(self, limit: u64, other_end: OtherEnd) -> Result<(Self, bool), PlanError> {
        self.fitted(limit, limit, other_end)
    }

    /// The same within its share of the limit.
    fn fitted(self, share: u64, limit: u64, other_end: OtherEnd) -> Result<(Self, bool), PlanError> {
        let places = self.places.clone();
        self.fitted_or_refused(share, limit, other_end).map_err(|PlanError(refusal)| match places {
            Some(places) => PlanError(places.told(refusal)),
            None => PlanError(refusal),
        })
    }

    fn fitted_or_refused(
        mut self,
        share: u64,
        limit: u64,
        other_end: OtherEnd,
    ) -> Result<(Self, bool), PlanError> {
        let workers = PER_WORKER.saturating_mul(self.workers.get() as u64);
        let other = reserved(other_end).saturating_add(workers);
        let ends = self.ends(other_end);
        let room = usize::try_from(share.saturating_sub(other) / ends).unwrap_or(usize::MAX);
        let connections = self.load.connections.get();
        let idle = self.client.idle_connections;
        if idle > room.saturating_sub(connections) && idle > 0 && connections <= room {
            let why = format!("this process may open {limit} files (ulimit -n)");
            let most = room - connections;
            let accepted = format!("at most {most} beside the others, or a higher limit of open files");
            let refusal = Refusal::of_value("idle-connections", idle, accepted, most.to_string());
            return Err(PlanError(refusal.because(why)));
        }
        let room = room.saturating_sub(idle);
        let most = NonZeroUsize::new(room).filter(|most| connections <= most.get()).ok_or_else(|| {
            let why = format!("this process may open {limit} files (ulimit -n)");
            let each = if self.sites.len() > 1 { " to each target" } else { "" };
            let accepted = format!("at most {room} connections{each}, or a higher limit of open files");
            let example = room.max(1).to_string();
            PlanError(Refusal::of_value("connections", connections, accepted, example).because(why))
        })?;
        let is_limited = self.load.max_connections > most;
        self.load.max_connections = self.load.max_connections.min(most);
        self.load.http1_connections = self.load.http1_connections.min(most);
        Ok((self, is_limited))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Args;

    fn plan(line: &str) -> Plan {
        let words = std::iter::once("loadgen").chain(line.split_whitespace());
        Plan::try_from(&Args::try_parse_from(words).unwrap()).unwrap()
    }

    #[test]
    fn more_connections_than_files_are_refused_with_what_fits() {
        let refused = |line, limit, end| plan(line).within_files(limit, end).unwrap_err().to_string();
        let said = refused("-c 30000 --workers 2 http://a", 20_000, OtherEnd::Elsewhere);
        assert!(said.contains("'30000' for --connections") && said.contains("--connections=19952"), "{said}");
        for limit in [0, 1, 40] {
            assert!(
                refused("-c 1 --workers 1 a:1", limit, OtherEnd::Elsewhere).contains("at most 0 connections")
            );
        }
        let fits = |line, limit, end| plan(line).within_files(limit, end).is_ok();
        assert!(fits("-c 19952 --workers 2 a:1", 20_000, OtherEnd::Elsewhere));
        assert!(!fits("-c 19953 --workers 2 a:1", 20_000, OtherEnd::Elsewhere));
        assert!(!fits("-c 19952 --workers 2 a:1", 20_000, OtherEnd::Here));
        assert!(fits("-c 1000000 --workers 1 --max-in-flight 1000000 a:1", u64::MAX, OtherEnd::Here));
    }

    #[test]
    fn connections_on_demand_are_limited_to_what_fits() {
        let (fitted, is_limited) =
            plan("-r 100 --workers 1 http://a").within_files(1040, OtherEnd::Elsewhere).unwrap();
        assert_eq!((fitted.load.max_connections.get(), is_limited), (1000, true));
        let (fitted, is_limited) =
            plan("-r 100 --workers 1 http://a").within_files(1 << 20, OtherEnd::Elsewhere).unwrap();
        assert_eq!((fitted.load.max_connections.get(), is_limited), (10_000, false));
    }

    #[test]
    fn loads_share_what_is_left_when_each_has_what_it_opens_in_any_case() {
        let two = |limit| {
            let lines = ["-c 500 --workers 1 http://a", "-r 100 -c 10 --workers 1 http://a"];
            together_within_files(lines.map(plan).to_vec(), limit, OtherEnd::Elsewhere)
        };
        let most = |(plan, limited): &(Plan, bool)| (plan.load.max_connections.get(), *limited);
        assert_eq!(
            two(1 << 20).unwrap().iter().map(most).collect::<Vec<_>>(),
            [(500, false), (10_000, false)]
        );
        // 32 for the process, 8 for each worker, 510 connections, and 400 that both may open beside.
        assert_eq!(two(958).unwrap().iter().map(most).collect::<Vec<_>>(), [(500, false), (210, true)]);
        assert_eq!(two(558).unwrap().iter().map(most).collect::<Vec<_>>(), [(500, false), (10, true)]);
        let said = two(557).unwrap_err().to_string();
        let expected = "the loads need 558 open files together: this process may open 557 (ulimit -n): '' 508 for 500 connections, \
                        '' 18 for 10 connections; accepted: fewer connections or workers, so that all 2 loads need at most 557 \
                        together, or a higher limit of open files; example: ulimit -n 558";
        assert_eq!(said, expected);
        // Many that are small are too many as well.
        let many = vec![plan("-c 100 --workers 1 http://a"); 64];
        let said = together_within_files(many.clone(), 6000, OtherEnd::Elsewhere).unwrap_err().to_string();
        assert!(
            said.starts_with("the loads need 6944 open files") && said.contains(" and 59 more loads"),
            "{said}"
        );
        assert!(together_within_files(many, 6944, OtherEnd::Elsewhere).is_ok());
    }

    #[test]
    fn each_target_has_its_own_connections() {
        let of = |text: &str| {
            let file =
                crate::plan::file::PlanFile::parse(text, "plan.yaml", std::path::Path::new("")).unwrap();
            file.builder(None).unwrap().build().unwrap()
        };
        let load = "load: {connections: 300, workers: 1}";
        let one = of(&format!("targets: [http://a]\n{load}"));
        let three = of(&format!("targets: [http://a, http://b, http://c]\n{load}"));
        assert!(one.within_files(500, OtherEnd::Elsewhere).is_ok());
        let error = three.clone().within_files(500, OtherEnd::Elsewhere).unwrap_err().to_string();
        assert!(error.contains("at most 153 connections to each target"), "{error}");
        assert!(three.within_files(940, OtherEnd::Elsewhere).is_ok());
        // It is reported with its place, if that is in a file.
        for (load, said) in [
            (
                "connections: 900",
                "plan.yaml:2:21: invalid value '900' for connections: this process may open",
            ),
            (
                "idle_connections: 900",
                "plan.yaml:2:26: invalid value '900' for idle_connections: this process",
            ),
        ] {
            let plan = of(&format!("target: http://a\nload: {{{load}}}"));
            let error = plan.within_files(500, OtherEnd::Elsewhere).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
