//! Packets on their way to those who hear them, here or on another thread.

use std::sync::atomic::Ordering;

use super::{NONE, Worker, identifier_at};
use crate::{
    relay::{
        mailbox::{ALL, put_entry, take_entry},
        route::{Route, drawn},
    },
    wire::fixed_header,
};

impl Worker {
    /// Passes a run of PUBLISH packets on to those who hear it; `header` is the size of the first fixed header, which
    /// routes by topic name need.
    pub(super) fn pass_on(&mut self, publisher: u32, header: usize, packets: &mut [u8]) {
        let Some(client) = self.clients[publisher as usize].as_ref().filter(|_| !packets.is_empty()) else {
            return;
        };
        match self.route {
            Route::Nobody => {}
            // A flood is heard by subscribers that are sent nothing.
            Route::Partner if client.kind == b'f' => {}
            Route::Partner => self.send(client.number, packets),
            Route::Itself if client.subscribed => self.deliver(publisher, packets),
            Route::Itself => {}
            Route::InTurn { members } => {
                self.turn = (self.turn + 1) % members;
                self.send(self.turn, packets);
            }
            Route::Drawn { width, first, second } => {
                let body = &packets[header..];
                let topic_name = identifier_at(body).and_then(|end| body.get(2..end));
                let subscribers = topic_name.and_then(|name| drawn(name, width, first, second));
                for subscriber in subscribers.into_iter().flatten() {
                    self.send(subscriber, packets);
                }
            }
            Route::All => {
                for thread in 0..self.handover.len() {
                    let elsewhere = thread != self.number;
                    if elsewhere && self.shared.mailboxes[thread].subscribers.load(Ordering::Relaxed) > 0 {
                        put_entry(&mut self.handover[thread], ALL, packets);
                    }
                }
                self.deliver_to_all(packets);
            }
        }
    }

    /// To one subscriber, wherever it is.
    fn send(&mut self, subscriber: u32, packets: &mut [u8]) {
        match self.shared.home(subscriber) {
            Some(home) if home == self.number => self.deliver_to(subscriber, packets),
            Some(home) => put_entry(&mut self.handover[home], subscriber, packets),
            None => {}
        }
    }

    fn deliver_to(&mut self, subscriber: u32, packets: &mut [u8]) {
        match self.subscribers.get(subscriber as usize) {
            None | Some(&NONE) => {}
            Some(&index) => self.deliver(index, packets),
        }
    }

    fn deliver(&mut self, index: u32, packets: &mut [u8]) {
        find_identifiers(packets, &mut self.identifiers);
        if let Some(client) = &mut self.clients[index as usize] {
            client.deliver(packets, &self.identifiers);
        }
        self.list(index);
    }

    fn deliver_to_all(&mut self, packets: &mut [u8]) {
        find_identifiers(packets, &mut self.identifiers);
        for position in 0..self.present.len() {
            let index = self.present[position];
            if let Some(client) = &mut self.clients[index as usize] {
                client.deliver(packets, &self.identifiers);
            }
            self.list(index);
        }
    }

    /// What other threads handed over.
    pub(super) fn collect(&mut self, mail: &mut Vec<u8>) {
        self.shared.mailboxes[self.number].take(mail);
        let mut entries = mail.as_mut_slice();
        while let Some((subscriber, packets, rest)) = take_entry(entries) {
            match subscriber {
                ALL => self.deliver_to_all(packets),
                subscriber => self.deliver_to(subscriber, packets),
            }
            entries = rest;
        }
        mail.clear();
    }
}

/// The places of the packet identifiers in whole PUBLISH packets.
fn find_identifiers(packets: &[u8], places: &mut Vec<u32>) {
    places.clear();
    let mut at = 0;
    while let Ok(Some(header)) = fixed_header(&packets[at..]) {
        if header.first & 0b110 == 0 {
            // One scenario has one QoS.
            return;
        }
        let body = at + header.header;
        places.extend(identifier_at(&packets[body..]).map(|place| (body + place) as u32));
        at += header.total();
    }
}
