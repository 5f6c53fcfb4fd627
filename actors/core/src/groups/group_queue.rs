//! What waits in a shared group, and at whose cost.

use std::collections::VecDeque;
use std::sync::Arc;

use super::burden::Burden;
use crate::kept::Kept;
use crate::queue::{Queue, Queued};

/// Messages in a row at the cost of one member.
#[derive(Debug)]
struct Charge {
    payer: Arc<Burden>,
    messages: usize,
    bytes: usize,
}

/// First in, first out.
#[derive(Debug, Default)]
pub struct GroupQueue {
    queue: Queue,
    /// In the order of the messages.
    charges: VecDeque<Charge>,
}

impl GroupQueue {
    /// Messages waiting.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none is waiting.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Their bytes.
    pub fn bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// The message that waits longest, and who pays for it.
    pub fn front(&self) -> Option<(&Queued, &Arc<Burden>)> {
        Some((self.queue.front()?.1, &self.charges.front()?.payer))
    }

    /// Appends a message that a member was charged for.
    pub fn push(&mut self, queued: Queued, payer: &Arc<Burden>, kept: &Kept) {
        let bytes = queued.message.queued_bytes();
        // Nothing retained has a place among them.
        self.queue.push(0, queued, kept);
        match self.charges.back_mut().filter(|last| Arc::ptr_eq(&last.payer, payer)) {
            Some(last) => {
                last.messages += 1;
                last.bytes += bytes;
            }
            None => self.charges.push_back(Charge { payer: Arc::clone(payer), messages: 1, bytes }),
        }
    }

    /// Takes the message that waits longest.
    pub fn pop(&mut self, kept: &Kept) -> Option<Queued> {
        let queued = self.queue.pop(kept)?;
        let bytes = queued.message.queued_bytes();
        if let Some(first) = self.charges.front_mut() {
            first.payer.release(1, bytes);
            first.messages -= 1;
            first.bytes -= bytes;
            if first.messages == 0 {
                self.charges.pop_front();
            }
        }
        if self.queue.is_empty() {
            self.charges = VecDeque::new();
        }
        Some(queued)
    }

    /// Takes all of them. Returns how many that were.
    pub fn clear(&mut self, kept: &Kept) -> usize {
        for charge in std::mem::take(&mut self.charges) {
            charge.payer.release(charge.messages, charge.bytes);
        }
        self.queue.extract(kept, |_| true).len()
    }

    /// A member leaves. What waits at its cost waits at the cost of others, whom `charge` finds for so many bytes; what
    /// nobody can be charged for waits no longer. Returns how many messages were looked at, and how many are dropped.
    pub fn charge_others(
        &mut self,
        gone: &Arc<Burden>,
        kept: &Kept,
        mut charge: impl FnMut(usize) -> Option<Arc<Burden>>,
    ) -> (usize, usize) {
        if !self.charges.iter().any(|charge| Arc::ptr_eq(&charge.payer, gone)) {
            return (0, 0);
        }
        let charges = std::mem::take(&mut self.charges);
        let mut waiting = self.queue.extract(kept, |_| true).into_iter();
        let (looked_at, mut dropped) = (waiting.len(), 0);
        for Charge { payer, messages, bytes } in charges {
            let is_gone = Arc::ptr_eq(&payer, gone);
            if is_gone {
                payer.release(messages, bytes);
            }
            for queued in waiting.by_ref().take(messages) {
                let payer =
                    if is_gone { charge(queued.message.queued_bytes()) } else { Some(Arc::clone(&payer)) };
                match payer {
                    Some(payer) => self.push(queued, &payer, kept),
                    None => dropped += 1,
                }
            }
        }
        (looked_at, dropped)
    }

    /// Those waiting, in order.
    #[cfg(feature = "simulation")]
    pub fn iter(&self) -> impl Iterator<Item = &Queued> {
        self.queue.iter()
    }

    /// Messages and bytes by who pays for them.
    #[cfg(feature = "simulation")]
    pub fn charges(&self) -> impl Iterator<Item = (&Arc<Burden>, usize, usize)> {
        self.charges.iter().map(|charge| (&charge.payer, charge.messages, charge.bytes))
    }

    /// Whether what is counted is there.
    #[cfg(feature = "simulation")]
    pub fn check(&self) -> Result<(), String> {
        self.queue.check()?;
        let charged =
            self.charges().fold((0, 0), |sum, (_, messages, bytes)| (sum.0 + messages, sum.1 + bytes));
        let held = (self.queue.len(), self.queue.bytes());
        match charged == held {
            true => Ok(()),
            false => Err(format!("{charged:?} messages and bytes are charged for, {held:?} wait")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::Burden;
    use crate::message::StoredMessage;
    use crate::queue::Identifiers;
    use crate::testing::publication;
    use mqtt_codec::QoS;

    fn queued(payload: &str) -> Queued {
        Queued {
            message: Arc::new(StoredMessage::new(&publication("t", payload, QoS::AtLeastOnce))),
            qos: QoS::AtLeastOnce,
            retain: false,
            identifiers: Identifiers::None,
            group: None,
            replayed: false,
        }
    }

    /// Appends messages at the cost of members.
    fn queue(members: &[Arc<Burden>], payers: &[usize], kept: &Kept) -> GroupQueue {
        let mut queue = GroupQueue::default();
        for (number, payer) in payers.iter().enumerate() {
            let queued = queued(&number.to_string());
            assert!(members[*payer].charge(queued.message.queued_bytes(), true, &Default::default()));
            queue.push(queued, &members[*payer], kept);
        }
        queue
    }

    fn paid(members: &[Arc<Burden>]) -> Vec<usize> {
        let one = queued("0").message.queued_bytes();
        let paid = members.iter().map(|member| member.in_groups());
        paid.map(|(messages, bytes)| {
            assert_eq!(bytes, messages * one);
            messages
        })
        .collect()
    }

    fn payloads(queue: &mut GroupQueue, kept: &Kept) -> String {
        let popped = std::iter::from_fn(|| queue.pop(kept));
        popped.map(|queued| char::from(queued.message.publication().payload.as_slice()[0])).collect()
    }

    #[test]
    fn what_leaves_is_paid_for_no_longer() {
        let (members, kept) = ([Burden::of(0), Burden::of(0)], Kept::default());
        let mut some = queue(&members, &[0, 0, 1, 0], &kept);
        assert_eq!((some.charges.len(), paid(&members)), (3, vec![3, 1]));
        assert!(some.pop(&kept).is_some());
        assert_eq!(paid(&members), [2, 1]);
        assert_eq!(some.clear(&kept), 3);
        let mut others = queue(&members, &[1, 0], &kept);
        assert_eq!(payloads(&mut others, &kept), "01");
        assert_eq!((paid(&members), kept.unsettled()), (vec![0, 0], 0));
    }

    #[test]
    fn others_pay_for_one_who_leaves() {
        let (members, kept) = ([Burden::of(0), Burden::of(0)], Kept::default());
        let mut queue = queue(&members, &[0, 1, 0, 0, 1], &kept);
        let mut can_pay = 2;
        let other = |bytes| {
            can_pay -= 1;
            (can_pay >= 0 && members[1].charge(bytes, true, &Default::default()))
                .then(|| Arc::clone(&members[1]))
        };
        assert_eq!(queue.charge_others(&members[0], &kept, other), (5, 1));
        assert_eq!((queue.charges.len(), paid(&members)), (1, vec![0, 4]));
        assert_eq!(queue.charge_others(&members[0], &kept, |_| None), (0, 0));
        assert_eq!(payloads(&mut queue, &kept), "0124");
        assert_eq!((paid(&members), kept.unsettled()), (vec![0, 0], 0));
    }
}
