//! Whether a reply to an earlier request is a cache's, as the servers know.

use super::{
    caches::describe_crossed,
    trial::{CaseFinding, Trial},
};

impl Trial<'_> {
    /// Looks whether a reply that may be a cache's is one: a request that a cache has answered, no server has seen. Else it has
    /// crossed.
    pub(super) async fn settle_hit(&mut self) -> Option<CaseFinding> {
        let hit = self.hit.take()?;
        match self.look(hit.asked.number).await {
            // One that has an age may have been looked up while another was on its way to the server.
            Ok(sightings) if sightings.count == 0 || hit.has_age => {}
            Ok(_) => {
                self.crossed.get_or_insert_with(|| describe_crossed(hit.asked, hit.came));
                return None;
            }
            Err(finding) => return Some(finding),
        }
        let (asked, came) = (hit.asked.number, hit.came.number);
        let of =
            if hit.came.run == hit.asked.run { ", which is of the same target" } else { " of another run" };
        Some(CaseFinding::from_cache(format!(
            "from a cache: request {asked} got the reply to request {came}{of}"
        )))
    }
}
