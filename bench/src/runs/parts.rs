//! `wild` and `shared`: subscribers that divide the messages among them.

use super::Cast;
use crate::{
    engine::{Client, Drawn, Member, Part, Publisher, Role, Subscription},
    wire::{Numbered, PublishFrame},
};

/// Behind the drawn levels, so that matching does not end with them.
const LAST_LEVEL: &str = "value";

impl Cast<'_> {
    /// A publisher whose topic names have two levels drawn anew for each message.
    pub(super) fn drawing_publisher(&self, number: u32) -> Client {
        let arguments = self.arguments;
        let (drawn, base) = (self.drawn(), self.base());
        let topic_name = format!("{base}/{}/{LAST_LEVEL}", drawn.template());
        let frame = PublishFrame::new(arguments.version, &topic_name, arguments.qos, arguments.payload);
        let publisher = Publisher::new(number, frame, arguments.qos, arguments.window);
        Client {
            client_identifier: self.client_identifier('p', number),
            role: Role::Publisher(publisher.drawing(drawn, base.len() + 1)),
            subscription: None,
        }
    }

    /// Half of the subscribers divide the filters of the first drawn level among them, half those of the second: a
    /// message is for one of each, and no subscriber has two filters that match it.
    pub(super) fn wildcard_subscriber(&self, number: u32) -> Client {
        let arguments = self.arguments;
        let (half, base) = (arguments.filters / 2, self.base());
        let first = arguments.subscribers / 2;
        let (group, members, number_of_group) = if number < first {
            (0, first, number)
        } else {
            (1, arguments.subscribers - first, number - first)
        };
        let filters = if group == 0 {
            Numbered::new(&format!("{base}/"), half - 1, &format!("/+/{LAST_LEVEL}"))
        } else {
            Numbered::new(&format!("{base}/+/"), half - 1, &format!("/{LAST_LEVEL}"))
        };
        let numbers = (number_of_group..half).step_by(members as usize);
        let part = Part { drawn: self.drawn(), members, number: number_of_group };
        let per_packet = arguments.per_packet as usize;
        Client {
            client_identifier: self.client_identifier('s', number),
            role: Role::Member(Member::new(group, Some(part), arguments.publishers)),
            subscription: Some(Subscription::many(filters, numbers, arguments.qos, per_packet)),
        }
    }

    /// A member of the one share group, which may be sent any of the messages.
    pub(super) fn group_member(&self, number: u32) -> Client {
        let filter = format!("$share/bench/{}", self.topic(None));
        Client {
            client_identifier: self.client_identifier('s', number),
            role: Role::Member(Member::new(0, None, self.arguments.publishers)),
            subscription: Some(Subscription::one(&filter, self.arguments.qos)),
        }
    }

    fn drawn(&self) -> Drawn {
        Drawn::new(self.arguments.filters / 2)
    }
}
