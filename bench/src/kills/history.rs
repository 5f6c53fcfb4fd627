//! The last pieces of all histories, to tell what became of a message.

use std::{collections::VecDeque, time::Duration};

use super::{
    event::{Client, Event, Topic},
    judge::{Names, Violation},
};

/// Pieces that are kept, of 24 bytes each; a run at the default rates makes some 15,000 in a second.
const KEPT_MAX: usize = 2_000_000;
/// Lines of one history.
const LINES_MAX: usize = 24;
/// Of these, lines before the message was sent.
const BEFORE: usize = 6;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct History {
    pieces: VecDeque<Piece>,
    /// How many were too old to be kept.
    dropped: u64,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Milliseconds since the start.
    at: u32,
    event: Event,
}

impl History {
    /// Adds a piece.
    pub(super) fn push(&mut self, at: Duration, event: Event) {
        if self.pieces.len() == KEPT_MAX {
            self.pieces.pop_front();
            self.dropped += 1;
        }
        self.pieces.push_back(Piece { at: at.as_millis() as u32, event });
    }

    /// What is known about a violation, a line each: what became of the message, wherever it was heard, and when the
    /// client and the broker came and went, as far as it was found.
    pub(super) fn lines(&self, violation: &Violation, names: &Names) -> Vec<String> {
        let Violation { at, client, audience, message, .. } = *violation;
        let until = at.as_millis() as u32;
        let is_message = |event: Event| message.is_some() && event.message() == message;
        let concerns = |piece: &&Piece| {
            let event = piece.event;
            let is_own = client.is_some() && event.client() == client && event.message().is_none();
            is_message(event)
                || matches!(event, Event::Killed | Event::Ready)
                || is_own && event.audience().is_none_or(|other| audience.is_none_or(|one| one == other))
        };
        let pieces = self.pieces.iter().take_while(|piece| piece.at <= until).filter(concerns);
        let pieces: Vec<_> = pieces.copied().collect();
        let first = pieces.iter().position(|piece| is_message(piece.event));
        let from = match first {
            Some(first) => first.saturating_sub(BEFORE),
            None => pieces.len().saturating_sub(LINES_MAX),
        };
        let mut lines = Vec::new();
        if self.dropped > 0 && first.is_none() {
            lines.push(format!("{} older pieces were not kept", self.dropped));
        }
        let shown = &pieces[from..];
        lines.extend(shown.iter().take(LINES_MAX).map(|piece| line(*piece, names)));
        if let Some(more) = shown.len().checked_sub(LINES_MAX).filter(|more| *more > 0) {
            lines.push(format!("and {more} more"));
        }
        lines
    }
}

fn line(piece: Piece, names: &Names) -> String {
    let Piece { at, event } = piece;
    let who = |client: Client| names.clients[client as usize].as_str();
    let what = |topic: Topic, sequence| format!("message {sequence} of {}", names.topics[topic as usize]);
    let filter = |audience: u32| names.audiences[audience as usize].as_str();
    let text = match event {
        Event::Sent { topic, sequence, again: false } => format!("{} was sent", what(topic, sequence)),
        Event::Sent { topic, sequence, again: true } => format!("{} was sent again", what(topic, sequence)),
        Event::Acknowledged { topic, sequence } => format!("{} was acknowledged", what(topic, sequence)),
        Event::Abandoned { topic, sequence } => format!("{} was given up", what(topic, sequence)),
        Event::Withdrawn { topic, sequence } => format!("{} was taken back", what(topic, sequence)),
        Event::Subscribing { client, audience } => {
            format!("{} sent SUBSCRIBE: {}", who(client), filter(audience))
        }
        Event::Subscribed { client, audience } => format!("{} got SUBACK: {}", who(client), filter(audience)),
        Event::Unsubscribing { client, audience } => {
            format!("{} sent UNSUBSCRIBE: {}", who(client), filter(audience))
        }
        Event::Unsubscribed { client, audience } => {
            format!("{} got UNSUBACK: {}", who(client), filter(audience))
        }
        Event::Heard { client, topic, sequence } => {
            format!("{} heard {}", who(client), what(topic, sequence))
        }
        Event::Connected { client, present } => {
            format!("{} connected, session present {}", who(client), u8::from(present))
        }
        Event::Away { client } => format!("the connection of {} is over", who(client)),
        Event::Killed => "the broker was killed".into(),
        Event::Ready => "the broker is ready".into(),
    };
    format!("{:9.3} s  {text}", f64::from(at) / 1e3)
}
