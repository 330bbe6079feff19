//! The servers that requests go to, and what connections to each of them begin with.
//!
//! A plan has one, or several: then each request is for one of them.

use command_line::Refusal;

use super::{
    PlanError, RequestOptions, Route, Share, Target, Tls, Version, load::MAX_TOTAL, places::Places, route,
    target::Braces, tls,
};

/// The most servers of a plan.
pub const MAX_TARGETS: usize = 64;

/// A server, and how connections get to it.
#[derive(Clone, Debug)]
pub struct Site {
    pub(crate) target: Target,
    pub(crate) tls: Option<Tls>,
    pub(crate) route: Route,
}

impl Site {
    /// Where it is. The path is that of the first target that names it.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What connections begin TLS with, if it is spoken there.
    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// How connections get there.
    pub(crate) fn route(&self) -> &Route {
        &self.route
    }
}

/// All servers of a plan in the making, the first of which is the target's own.
#[derive(Clone, Debug)]
pub(super) struct Targets {
    all: Vec<Target>,
    version: Version,
    braces: Braces,
}

impl Targets {
    pub(super) fn new(first: Target, version: Version, braces: Braces) -> Self {
        Self { all: vec![first], version, braces }
    }

    /// The index of a server, and the path that was said with it, if one was.
    pub(super) fn find(&mut self, text: &str) -> Result<(usize, Option<String>), PlanError> {
        let target = Target::parse_with(text, self.version, self.braces)?;
        for one in [&self.all[0], &target] {
            if one.grpc || one.websocket {
                let accepted =
                    "one target where calls or messages are sent, or several http:// and https:// ones";
                let shown = format!("the target {one} beside others");
                return Err(PlanError(Refusal::new(shown, accepted, "target: http://localhost:8080")));
            }
        }
        let path = (target.path != "/").then(|| target.path.clone());
        let server = |target: &Target| Target { path: String::new(), ..target.clone() };
        if let Some(index) = self.all.iter().position(|known| server(known) == server(&target)) {
            return Ok((index, path));
        }
        if self.all.len() == MAX_TARGETS {
            let shown = format!("a plan with more than {MAX_TARGETS} targets");
            return Err(PlanError(Refusal::new(
                shown,
                format!("at most {MAX_TARGETS}"),
                "target: http://localhost:8080",
            )));
        }
        self.all.push(target);
        Ok((self.all.len() - 1, path))
    }

    /// With what connections to each begin with.
    pub(super) fn sites(self, tls: &tls::Wanted, route: &route::Wanted) -> Result<Vec<Site>, PlanError> {
        let any_tls = self.all.iter().any(|target| target.tls);
        let none = tls::Wanted::default();
        let sites = self.all.into_iter().map(|target| {
            let tls = Tls::new(&target, if target.tls || !any_tls { tls } else { &none })?;
            let route = Route::new(&target, route)?;
            Ok(Site { target, tls, route })
        });
        let sites = sites.collect::<Result<Vec<Site>, PlanError>>()?;
        Route::check_resolved(&sites)?;
        Ok(sites)
    }
}

/// A request that is for one server.
#[derive(Clone, Debug)]
pub(super) struct OfSite {
    /// Its place among those of the plan.
    pub(super) origin: usize,
    /// The index of the server.
    pub(super) site: usize,
    pub(super) options: RequestOptions,
}

/// Which request goes to which server: those that say nothing go to `by_default`, or where these are several, to each of
/// them by turns.
pub(super) fn spread(
    targets: &mut Targets,
    by_default: &[String],
    several: Vec<RequestOptions>,
    places: Option<&Places>,
) -> Result<Vec<OfSite>, PlanError> {
    let of_default = by_default.iter().map(|text| targets.find(text)).collect::<Result<Vec<_>, _>>()?;
    let ways = of_default.len().max(1) as u64;
    let mut all = Vec::new();
    for (origin, options) in several.into_iter().enumerate() {
        let told = |PlanError(refusal)| match places {
            Some(places) => PlanError(places.told_of_request(origin, refusal)),
            None => PlanError(refusal),
        };
        let scaled = |share: Option<Share>| match share {
            Some(Share::Count(count)) => Some(Share::Count(count)),
            Some(Share::Weight(weight)) => Some(Share::Weight(weight.saturating_mul(ways))),
            None => (ways > 1).then_some(Share::Weight(ways)),
        };
        match &options.target {
            Some(text) => {
                let (site, path) = targets.find(text).map_err(told)?;
                let share = scaled(options.share);
                let path = options.path.clone().or(path);
                all.push(OfSite { origin, site, options: RequestOptions { path, share, ..options } });
            }
            None if of_default.is_empty() => all.push(OfSite { origin, site: 0, options }),
            None => {
                for (turn, (site, path)) in (0..).zip(&of_default) {
                    let share = match options.share {
                        Some(Share::Count(count)) => {
                            let part = count / ways + u64::from(turn < count % ways);
                            if part == 0 {
                                continue;
                            }
                            Some(Share::Count(part.min(MAX_TOTAL)))
                        }
                        share => share,
                    };
                    let path = options.path.clone().or_else(|| path.clone());
                    let place = targets.all[*site].place();
                    let name = options.name.as_ref().map(|name| format!("{name} at {place}"));
                    let options = RequestOptions { name, path, share, ..options.clone() };
                    all.push(OfSite { origin, site: *site, options });
                }
            }
        }
    }
    Ok(all)
}

/// What is spoken there and where it is, of all of them, each once and in order.
pub(crate) fn protocols(sites: &[Site]) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for site in sites {
        let name = site.target.protocol_name();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
