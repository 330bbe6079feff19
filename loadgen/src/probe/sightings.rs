//! What the servers behind a proxy have seen, asked through the proxy itself.

use std::time::Duration;

use contract::ledger::{End, State, Statement};
use tokio::time::{Instant, sleep};

use super::{
    client::{Ask, Heard, Session},
    transcript::Side,
    trial::{Finding, Trial},
};

/// The longest answer to the question what was seen.
const MAX_ANSWER: usize = 4 << 20;
/// How often servers are asked for what they have seen.
const EVERY: Duration = Duration::from_millis(40);
/// How often a proxy with several servers behind it is asked, to reach each of them.
const TRIES: usize = 8;
/// For how many times the limit of a wait a proxy may keep from passing requests on after a failure.
const RECOVERY: u32 = 3;

/// What servers have seen of one request.
#[derive(Clone, Debug, Default)]
pub(super) struct Sightings {
    pub(super) count: usize,
    pub(super) is_open: bool,
    pub(super) ends: Vec<End>,
}

impl Trial<'_> {
    /// Asks the servers what they have seen of a request, until `is_enough` or the time has come.
    pub(super) async fn sightings(
        &mut self,
        ask: &Ask,
        until: Instant,
        is_enough: impl Fn(&Sightings) -> bool,
    ) -> Result<Sightings, Finding> {
        loop {
            let sightings = self.look(ask.id.number).await?;
            if is_enough(&sightings) || Instant::now() >= until {
                return Ok(sightings);
            }
            sleep(EVERY).await;
        }
    }

    /// Asks them once.
    pub(super) async fn look(&mut self, number: u64) -> Result<Sightings, Finding> {
        let wanted = self.gate.epochs.borrow().len().max(1);
        let tries = if wanted == 1 { 1 } else { wanted * TRIES };
        let mut asked = Vec::new();
        let mut sightings = Sightings::default();
        for _ in 0..tries {
            let statement = self.statement().await?;
            if asked.contains(&statement.epoch) {
                continue;
            }
            asked.push(statement.epoch);
            self.add(&statement, number, &mut sightings);
            if asked.len() >= wanted {
                break;
            }
        }
        Ok(sightings)
    }

    fn add(&mut self, statement: &Statement, number: u64, sightings: &mut Sightings) {
        let state = statement.pages.pages().map_or(State::UNSEEN, |pages| pages.get(number));
        let entries: Vec<_> = statement.entries.iter().filter(|entry| entry.number == number).collect();
        for entry in &entries {
            self.transcript.note_at(
                entry.received_ns,
                Side::Seen,
                format!("request {number} ({})", entry.method),
            );
            if entry.replied_ns > 0 {
                let text = format!("{} to request {number}", entry.status);
                self.transcript.note_at(entry.replied_ns, Side::Replied, text);
            }
            if entry.ended_ns > 0 {
                let text = format!("request {number} ended after {} bytes: {:?}", entry.sent, entry.end);
                self.transcript.note_at(entry.ended_ns, Side::Replied, text);
            }
        }
        let most = entries.iter().map(|entry| usize::from(entry.sighting)).max().unwrap_or(0);
        sightings.count += most.max(entries.len()).max(usize::from(state != State::UNSEEN));
        sightings.is_open |= state == State::OPEN;
        sightings.ends.extend(entries.iter().map(|entry| entry.end));
    }

    /// Waits until the proxy passes requests on: after failures, some proxies don't for a while.
    pub(super) async fn settle(&mut self) -> Result<(), Finding> {
        self.statement().await.map(drop)
    }

    /// Again and again while there is none, unless that was in vain before.
    async fn statement(&mut self) -> Result<Statement, Finding> {
        let until = Instant::now() + self.gate.timeout * RECOVERY;
        loop {
            match self.statement_now().await {
                Ok(statement) => {
                    self.gate.is_cut_off.set(false);
                    return Ok(statement);
                }
                Err(finding) if self.gate.is_cut_off.get() || Instant::now() >= until => {
                    self.gate.is_cut_off.set(true);
                    return Err(finding);
                }
                Err(_) => sleep(EVERY * 5).await,
            }
        }
    }

    /// Through the proxy, over a connection of its own, and without a transcript.
    async fn statement_now(&mut self) -> Result<Statement, Finding> {
        let unasked = |why: String| Finding::unasked(format!("/ledger through the proxy: {why}"));
        let unlike: u32 = rand::random();
        let target = format!("/ledger?run={:08x}&load=0&unlike={unlike:08x}", self.gate.ids.run);
        // What is told must not change by asking.
        let ask = Ask { is_noted: false, ..self.to("GET", &target, self.gate.ids.of(0, 0)) };
        let began = Instant::now();
        let mut session = Session::connect(self.gate, self.protocol, self.until())
            .await
            .map_err(|cut| unasked(cut.to_string()))?;
        session.open(&ask, self.until()).await.map_err(|cut| unasked(cut.to_string()))?;
        let (mut status, mut body, until) = (0, Vec::new(), self.until());
        loop {
            match session.hear(until).await {
                Heard::Head(got, _) => status = got,
                Heard::Data(data) if body.len() + data.len() <= MAX_ANSWER => body.extend_from_slice(&data),
                Heard::Data(_) => return Err(unasked("an answer that is too long".to_owned())),
                Heard::End => break,
                Heard::Cut(cut) => return Err(unasked(cut.to_string())),
                Heard::Interim(..) | Heard::Trailers(_) => {}
            }
        }
        if status != 200 {
            return Err(unasked(format!("status {status}")));
        }
        let statements = Statement::read_all(&body).map_err(|error| unasked(error.to_string()))?;
        // One server answers at a port of its service.
        let [statement] = <[Statement; 1]>::try_from(statements)
            .map_err(|all| unasked(format!("{} statements", all.len())))?;
        if statement.run != self.gate.ids.run {
            return Err(unasked("an answer about another run, from a cache".to_owned()));
        }
        self.gate.measured(began.elapsed());
        Ok(statement)
    }
}
