//! What waits in a shared group, and at whose cost.

use std::sync::Arc;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::burden::Burden;
use crate::kept::Kept;
use crate::line::Line;
use crate::queue::Queued;

/// First in, first out.
#[derive(Debug, Default)]
pub struct GroupQueue {
    /// Each with the member that pays for it.
    waiting: Line<(Queued, Arc<Burden>)>,
    bytes: usize,
    /// Others are to pay for what waits at the cost of members who have left.
    leaving: Option<Box<Leaving>>,
}

/// Who has left, by the address of its burden.
type Gone = HashMap<usize, Arc<Burden>, FxBuildHasher>;

/// See [`GroupQueue::charge_others`].
#[derive(Debug, Default)]
struct Leaving {
    gone: Gone,
    /// So many messages at the beginning are looked at.
    ahead: usize,
    /// Who left meanwhile: all are looked at once more.
    next: Gone,
}

fn address_of(burden: &Arc<Burden>) -> usize {
    Arc::as_ptr(burden) as usize
}

impl GroupQueue {
    /// Messages waiting.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none is waiting.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Their bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The message that waits longest, and who pays for it.
    pub fn front(&self) -> Option<(&Queued, &Arc<Burden>)> {
        self.waiting.front().map(|(queued, payer)| (queued, payer))
    }

    /// Appends a message that a member was charged for.
    pub fn push(&mut self, queued: Queued, payer: &Arc<Burden>, kept: &Kept) {
        kept.enter(&queued.message);
        kept.wait_n(1, queued.message.is_own());
        self.bytes += queued.message.queued_bytes();
        self.waiting.push_back((queued, Arc::clone(payer)));
    }

    /// Takes the message that waits longest.
    pub fn pop(&mut self, kept: &Kept) -> Option<Queued> {
        let (queued, payer) = self.waiting.pop_front()?;
        payer.release(1, queued.message.queued_bytes());
        self.count_out(&queued, kept);
        if let Some(leaving) = &mut self.leaving {
            leaving.ahead = leaving.ahead.saturating_sub(1);
        }
        Some(queued)
    }

    fn count_out(&mut self, queued: &Queued, kept: &Kept) {
        kept.leave(&queued.message);
        kept.end_n(1, u64::from(queued.message.is_own()));
        self.bytes -= queued.message.queued_bytes();
    }

    /// A member leaves, at whose cost messages may wait. Returns whether others are to be charged for them
    /// ([`charge_others`](Self::charge_others)), and nobody sees to that yet.
    pub fn note_leaving(&mut self, gone: &Arc<Burden>) -> bool {
        if self.is_empty() || gone.in_groups().0 == 0 {
            return false;
        }
        let is_new = self.leaving.is_none();
        let leaving = self.leaving.get_or_insert_default();
        let noted = if is_new { &mut leaving.gone } else { &mut leaving.next };
        noted.insert(address_of(gone), Arc::clone(gone));
        is_new
    }

    /// Whether others are to be charged for what waits at the cost of members who have left.
    pub fn is_to_charge_others(&self) -> bool {
        self.leaving.is_some()
    }

    /// What waits at the cost of members who have left waits at the cost of others, whom `charge` finds for so many bytes;
    /// what nobody can be charged for waits no longer. It looks at the next `most` messages. Returns those that are dropped,
    /// and whether there are more to look at.
    pub fn charge_others(
        &mut self,
        most: usize,
        kept: &Kept,
        mut charge: impl FnMut(usize) -> Option<Arc<Burden>>,
    ) -> (Vec<Queued>, bool) {
        let Some(mut leaving) = self.leaving.take() else { return (Vec::new(), false) };
        let among = leaving.ahead..leaving.ahead.saturating_add(most);
        let dropped = self.waiting.extract(among.clone(), |(queued, payer)| {
            if !leaving.gone.contains_key(&address_of(payer)) {
                return false;
            }
            let bytes = queued.message.queued_bytes();
            payer.release(1, bytes);
            match charge(bytes) {
                Some(other) => *payer = other,
                None => return true,
            }
            false
        });
        dropped.iter().for_each(|(queued, _)| self.count_out(queued, kept));
        leaving.ahead = among.end - dropped.len();
        let is_through = leaving.ahead >= self.len();
        if is_through {
            leaving.gone = std::mem::take(&mut leaving.next);
            leaving.ahead = 0;
        }
        let goes_on = !leaving.gone.is_empty();
        self.leaving = goes_on.then_some(leaving);
        (dropped.into_iter().map(|(queued, _)| queued).collect(), goes_on)
    }

    /// Those waiting, in order.
    #[cfg(feature = "simulation")]
    pub fn iter(&self) -> impl Iterator<Item = &Queued> {
        self.waiting.iter().map(|(queued, _)| queued)
    }

    /// Who pays for each message, and its bytes.
    #[cfg(any(test, feature = "simulation"))]
    pub fn charges(&self) -> impl Iterator<Item = (&Arc<Burden>, usize)> {
        self.waiting.iter().map(|(queued, payer)| (payer, queued.message.queued_bytes()))
    }

    /// Whether what is counted is there.
    #[cfg(feature = "simulation")]
    pub fn check(&self) -> Result<(), String> {
        let held = self.charges().map(|(_, bytes)| bytes).sum::<usize>();
        match held == self.bytes {
            true => Ok(()),
            false => Err(format!("{} bytes are counted in a group's queue of {held}", self.bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::Burden;
    use crate::ids::CopyId;
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
            recorded: CopyId::default(),
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

    fn numbered((dropped, goes_on): (Vec<Queued>, bool)) -> (usize, bool) {
        (dropped.len(), goes_on)
    }

    fn charged(queue: &GroupQueue, to: &Arc<Burden>) -> usize {
        queue.charges().filter(|(payer, _)| Arc::ptr_eq(payer, to)).count()
    }

    #[test]
    fn what_leaves_is_paid_for_no_longer() {
        let (members, kept) = ([Burden::of(0), Burden::of(0)], Kept::default());
        let mut some = queue(&members, &[0, 0, 1, 0], &kept);
        assert_eq!(paid(&members), [3, 1]);
        assert!(some.pop(&kept).is_some());
        assert_eq!((paid(&members), charged(&some, &members[0])), (vec![2, 1], 2));
        assert_eq!(payloads(&mut some, &kept), "123");
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
        assert!(queue.note_leaving(&members[0]));
        assert_eq!(numbered(queue.charge_others(9, &kept, other)), (1, false));
        assert_eq!((charged(&queue, &members[1]), paid(&members)), (4, vec![0, 4]));
        assert!(!queue.note_leaving(&members[0]), "it pays for nothing");
        assert_eq!(numbered(queue.charge_others(9, &kept, |_| None)), (0, false));
        assert_eq!(payloads(&mut queue, &kept), "0124");
        assert_eq!((paid(&members), kept.unsettled()), (vec![0, 0], 0));
    }

    /// It is done a piece at a time, while messages come and go and others leave.
    #[test]
    fn others_pay_a_piece_at_a_time() {
        let (members, kept) = ([Burden::of(0), Burden::of(0), Burden::of(0)], Kept::default());
        let payers: Vec<usize> = (0..9_000).map(|number| number % 3).collect();
        let mut queue = queue(&members, &payers, &kept);
        let third =
            |bytes| members[2].charge(bytes, true, &Default::default()).then(|| Arc::clone(&members[2]));
        assert!(queue.note_leaving(&members[0]));
        let mut looked_at = 0;
        loop {
            looked_at += 100;
            let (dropped, more) = queue.charge_others(100, &kept, third);
            assert!(dropped.is_empty());
            match looked_at {
                4_000 => assert!(!queue.note_leaving(&members[1]), "it is seen to"),
                // One piece moves on by what has gone.
                5_000 => (0..1_000).for_each(|_| _ = queue.pop(&kept)),
                _ => {}
            }
            if !more {
                break;
            }
        }
        assert_eq!(looked_at, 9_000 + 8_000);
        assert_eq!(members.each_ref().map(|member| member.in_groups().0), [0, 0, 8_000]);
        assert_eq!(charged(&queue, &members[2]), 8_000);
    }
}
