//! What the servers behind a proxy have seen, asked through the proxy itself.

use std::time::Duration;

use contract::ledger::{End, State, Statement};
use tokio::time::{Instant, sleep};

use super::{
    client::{Ask, Heard, Session},
    transcript::Side,
    trial::{CaseFinding, Trial},
};

/// The longest answer to the question what was seen.
const MAX_ANSWER: usize = 4 << 20;
/// How often servers are asked for what they have seen.
const EVERY: Duration = Duration::from_millis(40);
/// How often a proxy with several servers behind it is asked, for each of them, to reach all.
const TRIES: usize = 8;
/// How often one is asked behind which a single server is known: there may be another.
const AGAIN: usize = 3;
/// For how many times the limit of a wait a proxy may keep from passing requests on after a failure.
const RECOVERY: u32 = 3;

/// What servers have seen of one request.
#[derive(Clone, Debug, Default)]
pub(super) struct Sightings {
    pub(super) count: usize,
    pub(super) is_open: bool,
    pub(super) ends: Vec<End>,
    /// The servers that were asked.
    reached: Vec<u32>,
}

impl Sightings {
    /// What these servers say of a request.
    pub(super) fn of(statements: &[Statement], number: u64) -> Self {
        let mut sightings = Self::default();
        for statement in statements {
            let state = statement.pages.pages().map_or(State::UNSEEN, |pages| pages.get(number));
            let entries: Vec<_> = statement.entries.iter().filter(|entry| entry.number == number).collect();
            let most = entries.iter().map(|entry| usize::from(entry.sighting)).max().unwrap_or(0);
            sightings.count += most.max(entries.len()).max(usize::from(state != State::UNSEEN));
            sightings.is_open |= state == State::OPEN;
            sightings.ends.extend(entries.iter().map(|entry| entry.end));
            sightings.reached.push(statement.epoch);
        }
        sightings
    }
}

impl Trial<'_> {
    /// Asks the servers what they have seen of a request, until `is_enough` or the time has come.
    pub(super) async fn sightings(
        &mut self,
        ask: &Ask,
        until: Instant,
        is_enough: impl Fn(&Sightings) -> bool,
    ) -> Result<Sightings, CaseFinding> {
        loop {
            let sightings = self.look(ask.id.number).await?;
            if is_enough(&sightings) || Instant::now() >= until {
                return Ok(sightings);
            }
            sleep(EVERY).await;
        }
    }

    /// The same with the word of every server that is known: one that the proxy has taken out after a failure is waited for.
    pub(super) async fn sightings_of_all(
        &mut self,
        ask: &Ask,
        is_enough: impl Fn(&Sightings) -> bool,
    ) -> Result<Sightings, CaseFinding> {
        let (until, at_last) = (self.until(), Instant::now() + self.gate.timeout * RECOVERY);
        loop {
            let sightings = self.look(ask.id.number).await?;
            let missing = self.gate.epochs.borrow().len() - sightings.reached.len();
            // What was seen twice is known, whatever the others say.
            if sightings.count > 1 || missing == 0 && (is_enough(&sightings) || Instant::now() >= until) {
                return Ok(sightings);
            }
            if Instant::now() >= at_last {
                // It has gone for good, most likely: the next case is not held up by it.
                self.gate.epochs.borrow_mut().retain(|epoch| sightings.reached.contains(epoch));
                return Err(CaseFinding::unasked(format!(
                    "{missing} of the servers behind it could not be asked what they have seen"
                )));
            }
            sleep(EVERY).await;
        }
    }

    /// Asks them once.
    pub(super) async fn look(&mut self, number: u64) -> Result<Sightings, CaseFinding> {
        let statements = self.statements().await?;
        for statement in &statements {
            self.note_seen(statement, number);
        }
        Ok(Sightings::of(&statements, number))
    }

    /// The last word of each server that is reached.
    pub(super) async fn statements(&mut self) -> Result<Vec<Statement>, CaseFinding> {
        let mut statements: Vec<Statement> = Vec::new();
        let until = self.until();
        for asked in 1.. {
            let statement = self.statement().await?;
            statements.retain(|known| known.epoch != statement.epoch);
            statements.push(statement);
            let known = self.gate.epochs.borrow().len();
            let most = match known {
                1 if self.gate.is_direct => 1,
                1 => AGAIN,
                several => several * TRIES,
            };
            if asked >= most || Instant::now() >= until || known > 1 && statements.len() == known {
                break;
            }
        }
        Ok(statements)
    }

    fn note_seen(&mut self, statement: &Statement, number: u64) {
        for entry in statement.entries.iter().filter(|entry| entry.number == number) {
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
    }

    /// Waits until the proxy passes requests on: after failures, some proxies don't for a while.
    pub(super) async fn settle(&mut self) -> Result<(), CaseFinding> {
        self.statement().await.map(drop)
    }

    /// Finds servers that have replied to nothing yet, as far as the proxy spreads questions over them.
    pub(super) async fn discover(&mut self) -> Result<(), CaseFinding> {
        for _ in 1..if self.gate.is_direct { 1 } else { TRIES } {
            self.statement().await?;
        }
        Ok(())
    }

    /// Again and again while there is none, unless that was in vain before.
    async fn statement(&mut self) -> Result<Statement, CaseFinding> {
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

    /// Through the proxy, over its own connection, and without a transcript.
    async fn statement_now(&mut self) -> Result<Statement, CaseFinding> {
        let unasked = |why: String| CaseFinding::unasked(format!("/ledger through the proxy: {why}"));
        let unlike: u32 = rand::random();
        let target = format!("/ledger?run={:08x}&load=0&unlike={unlike:08x}", self.gate.ids.run);
        // What is reported must not change by asking.
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
        self.gate.knows(statement.epoch);
        self.gate.measured(began.elapsed());
        Ok(statement)
    }
}
