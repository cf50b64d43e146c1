//! The faults of a schedule: calls and replies that are lost, refused, late or sent twice, and
//! functions that die.

use serde_json::{Value, json};

use super::wire::{Broken, HttpReply, Packet, in_words};
use super::{Checked, Schedule};

/// What the SDK gets for a call. `None` if it still waits.
type Fate = Option<Result<HttpReply, Broken>>;

impl Schedule<'_> {
    /// Kills a function. The function's requests are still in transit.
    pub(super) fn crash(&mut self, task: usize) {
        self.tasks[task].running = None;
        let kept = self.random.percent(50);
        let mut wire = self.lane.connection.wire();
        wire.pausing.retain(|(who, _)| *who != task);
        let mut left = Vec::new();
        for call in wire.calls.extract_if(.., |call| call.packet.task == task) {
            left.push(call);
        }
        for call in left {
            if kept && call.reply.is_none() && call.packet.is_write() {
                wire.adrift.push(call.packet);
            }
        }
        drop(wire);
        self.say(format_args!("{task}: the function dies"));
    }

    /// Lets a call through to the store, or its reply through to the function, or injects a fault.
    pub(super) fn let_through(&mut self, id: u64) -> Checked {
        let (packet, reply) = {
            let mut wire = self.lane.connection.wire();
            let call = wire.call(id).unwrap();
            (call.packet.clone(), call.reply.clone())
        };
        self.tasks[packet.task].sends(&packet);
        let (is_reserve, begins_free_work) = (packet.is_reserve(), packet.begins_free_work());
        let is_faulty = self.has_fault(&packet);
        let (task, operation) = (packet.task, packet.operation.clone());
        if is_faulty || reply.is_some() {
            let delivered = reply.as_ref().filter(|_| !is_faulty).map(|(_, body)| body.as_str());
            self.reads_prices(&packet, delivered);
        }
        let (fate, words) = match reply {
            None if is_faulty => self.before_the_store(&packet),
            None => {
                let reply = self.apply(&packet)?;
                self.say(format_args!("{task}: {operation} -> {}", in_words(&reply)));
                let again = packet.is_write() && self.random.percent(self.options.echoes);
                let mut wire = self.lane.connection.wire();
                wire.call(id).unwrap().reply = Some(reply);
                if again {
                    wire.adrift.push(packet);
                }
                return Ok(());
            }
            Some(reply) if is_faulty => self.after_the_store(reply),
            Some(reply) => (Some(Ok(reply)), "is answered"),
        };
        if is_faulty {
            self.tasks[task].faults += 1;
            // The SDK doesn't send a refused reserve again, even if the refusal lacks the item.
            let is_refusal = |fate: &Result<HttpReply, Broken>| {
                fate.as_ref().is_ok_and(|reply| in_words(reply) == "refused")
            };
            let is_lost = is_reserve && !fate.as_ref().is_some_and(is_refusal);
            self.tasks[task].lost_a_reserve |= is_lost;
        }
        if begins_free_work {
            self.tasks[task].lacks_free_work = is_faulty;
        }
        self.say(format_args!("{task}: {operation} {words}"));
        if let Some(answer) = fate {
            self.lane.connection.wire().answer(id, answer);
        }
        Ok(())
    }

    /// Decides whether a call, or its reply, gets a fault.
    fn has_fault(&mut self, packet: &Packet) -> bool {
        // In schedules whose users have few credits, only the first copy of a reserve is likely to
        // be lost.
        let is_first = !self.features.poor || !self.tasks[packet.task].lost_a_reserve;
        let storm = match packet.is_reserve() && is_first {
            true => self.options.storm.max(self.options.lost_reserves),
            false => self.options.storm,
        };
        self.random.percent(storm)
    }

    /// Records that a chat's function reads the price list. `reply` is the store's reply, or `None`
    /// for a fault.
    fn reads_prices(&mut self, packet: &Packet, reply: Option<&str>) {
        let (task, now) = (&self.tasks[packet.task], self.now());
        if packet.is_list_read() && task.chat().is_some() {
            self.instances[task.instance].reads(reply, now);
        }
    }

    /// Injects a fault before a call reaches the store. The store doesn't apply the call, or
    /// applies it later.
    fn before_the_store(&mut self, packet: &Packet) -> (Fate, &'static str) {
        let refused = |status, code: &str| {
            Some(Ok((status, json!({ "__type": code, "message": "a fault" }).to_string())))
        };
        let writes = packet.is_write();
        let is_lost = self.options.lost_reserves > 0
            && packet.is_reserve()
            && (self.features.poor || self.random.percent(60));
        match if is_lost { 7 } else { self.random.below(8) } {
            0 => (refused(500, "InternalServerError"), "fails before it is applied"),
            1 => (refused(503, "ServiceUnavailable"), "finds the store unavailable"),
            2 => (refused(400, "ThrottlingException"), "is throttled"),
            3 => (refused(400, "ProvisionedThroughputExceededException"), "exceeds the throughput"),
            4 => (Some(Err(Broken::Reset)), "is reset before it is applied"),
            5 | 6 if writes && self.pauses < 3 => {
                // The product retries after a pause. The schedule waits for the retry, because
                // otherwise the machine's speed would influence the order.
                self.pauses += 1;
                self.lane.connection.wire().pausing.push((packet.task, packet.operation.clone()));
                if !packet.is_transaction() {
                    return (refused(400, "TransactionConflictException"), "meets a conflict");
                }
                if self.random.percent(30) {
                    return (refused(400, "TransactionInProgressException"), "is in progress");
                }
                let reasons = json!([{ "Code": "TransactionConflict", "Message": "a fault" }, { "Code": "None" }, { "Code": "None" }]);
                let body = json!({ "__type": "TransactionCanceledException", "Message": "a fault", "CancellationReasons": reasons });
                (Some(Ok((400, body.to_string()))), "meets a conflict")
            }
            _ => {
                if writes {
                    self.lane.connection.wire().adrift.push(packet.clone());
                }
                (Some(Err(Broken::TimedOut)), "is lost sight of on its way")
            }
        }
    }

    /// Injects a fault after the store has applied the call.
    fn after_the_store(&mut self, (status, body): HttpReply) -> (Fate, &'static str) {
        match self.random.below(6) {
            0 => (
                Some(Ok((
                    500,
                    json!({ "__type": "InternalServerError", "message": "a fault" }).to_string(),
                ))),
                "fails after it was applied",
            ),
            1 => (Some(Err(Broken::Reset)), "is reset after it was applied"),
            2 => (
                Some(Ok((status, body.get(..body.len() / 2).unwrap_or("{").to_owned()))),
                "is answered with half a reply",
            ),
            3 if status == 400 => {
                let mut refusal: Value = serde_json::from_str(&body).unwrap();
                refusal.as_object_mut().unwrap().remove("Item");
                (Some(Ok((status, refusal.to_string()))), "is refused without the item")
            }
            _ => (Some(Err(Broken::TimedOut)), "is answered too late"),
        }
    }

    pub(super) fn arrive_late(&mut self, mut packet: Packet) -> Checked {
        // After a while, the store forgets a transaction's request token, so it applies a late copy
        // again.
        if packet.is_transaction() && self.random.percent(50) {
            let mut body: Value = serde_json::from_str(&packet.body).unwrap();
            body.as_object_mut().unwrap().remove("ClientRequestToken");
            packet.body = body.to_string();
        }
        let reply = self.apply(&packet)?;
        let Packet { task, operation, .. } = packet;
        self.say(format_args!("{task}: a {operation} arrives late -> {}", in_words(&reply)));
        Ok(())
    }
}
