//! Topic names and topic filters: which there are, and which match.

use super::{expect_closed_by, join, publish, subscribe, subscribed, unsubscribe};
use crate::harness::{Client, TestNode, on_nodes, settings};

/// A topic filter that is none ends the network connection, in SUBSCRIBE and UNSUBSCRIBE; one that is one is answered.
async fn judged(node: &TestNode, filter: &str, right: bool) {
    for (bytes, answer) in [
        (subscribe(1, &[(filter, 0)]), &b"\x90\x03\x00\x01\x00"[..]),
        (unsubscribe(1, &[filter]), b"\xb0\x02\x00\x01"),
    ] {
        let mut client = join(node, "client").await;
        if right {
            client.send_bytes(&bytes).await;
            client.expect_bytes(answer).await;
        } else {
            expect_closed_by(client, &bytes).await;
        }
    }
}

/// [MQTT311-4.7.1-2] `#` stands alone in its level, and that is the last one.
#[test]
fn multi_level_wildcard() {
    on_nodes(settings(), async |node| {
        for filter in ["#", "a/#", "/#", "a//#", "+/#", "a/+/#", "$x/#"] {
            judged(node, filter, true).await;
        }
        for filter in ["a#", "#a", "a/#b", "a/b#", "#/a", "a/#/b", "##", "#/", "a/##", "+#", "#+", "a/#/#"] {
            judged(node, filter, false).await;
        }
    });
}

/// [MQTT311-4.7.1-3] `+` stands alone in its level, in any level.
#[test]
fn single_level_wildcard() {
    on_nodes(settings(), async |node| {
        for filter in ["+", "+/", "/+", "a/+", "+/a", "a/+/b", "+/+/+", "a/+/+", "+/a/#"] {
            judged(node, filter, true).await;
        }
        for filter in ["a+", "+a", "a/b+", "a/+b", "a+/b", "++", "+/a+", "a/+b/c", "a/++/c"] {
            judged(node, filter, false).await;
        }
    });
}

/// [MQTT311-4.7.3-1] A topic filter has at least one character; one `/` is enough.
#[test]
fn empty_topic_filter() {
    on_nodes(settings(), async |node| {
        judged(node, "", false).await;
        for filter in ["/", "//", " ", "a"] {
            judged(node, filter, true).await;
        }
    });
}

/// Who gets each topic name that is published: clients with one filter each.
async fn matched(node: &TestNode, filters: &[&str], topics: &[&str], matches: impl Fn(&str, &str) -> bool) {
    let mut clients: Vec<(&str, Client)> = Vec::new();
    for filter in filters {
        let mut client = join(node, &format!("client of {filter}")).await;
        subscribed(&mut client, filter, 0).await;
        clients.push((filter, client));
    }
    let mut publisher = join(node, "publisher").await;
    for topic in topics {
        publisher.send_bytes(&publish(0x30, topic, None, topic)).await;
    }
    publisher.expect_nothing().await;
    for (filter, client) in &mut clients {
        for topic in topics.iter().filter(|topic| matches(filter, topic)) {
            let got = client.expect_payload(topic).await;
            assert_eq!(got.topic, *topic, "{filter}");
        }
        client.expect_nothing().await;
    }
}

/// [MQTT311-4.7.2-1] A wildcard in the first level does not match a topic name that begins with `$`; one in a later level
/// does.
#[test]
fn topic_names_with_a_dollar_sign() {
    on_nodes(settings(), async |node| {
        let filters = ["#", "+", "+/#", "+/x", "+/+", "$a/#", "$a/+", "$a/x", "$a", "/#", "a/+"];
        let topics = ["$a", "$a/x", "$", "$a/x/y", "a", "a/x", "a/$x", "/$a"];
        matched(node, &filters, &topics, |filter, topic| {
            let wanted: &[&str] = match filter {
                "#" | "+/#" => &["a", "a/x", "a/$x", "/$a"],
                "+" => &["a"],
                "+/x" => &["a/x"],
                "+/+" => &["a/x", "a/$x", "/$a"],
                "$a/#" => &["$a", "$a/x", "$a/x/y"],
                "$a/+" | "$a/x" => &["$a/x"],
                "$a" => &["$a"],
                "/#" => &["/$a"],
                _ => &["a/x", "a/$x"],
            };
            wanted.contains(&topic)
        })
        .await;
    });
}

/// [MQTT311-4.7.3-4] Names are compared as they are: case, blanks, empty levels and composed characters all differ.
#[test]
fn no_normalisation() {
    on_nodes(settings(), async |node| {
        let names = [
            "a/b", "A/b", "a/B", "a /b", " a/b", "a/b ", "/a/b", "a/b/", "a//b", "\u{e1}", "a\u{301}",
            "\u{fb01}", "fi", "\u{212b}", "\u{c5}", "..", "a/../b", "a/./b", "%61/b", "a\\b",
        ];
        matched(node, &names, &names, |filter, topic| filter == topic).await;
    });
}

/// [MQTT311-4.7.3-3] Topic names and filters of 65,535 bytes, the most there can be: both match, and one byte of
/// difference at the end is one.
#[test]
fn longest() {
    on_nodes(settings(), async |node| {
        let names = [format!("{}/a", "x".repeat(65_533)), format!("{}/b", "x".repeat(65_533))];
        let names = names.each_ref().map(String::as_str);
        let mut clients = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let mut client = join(node, &index.to_string()).await;
            subscribed(&mut client, name, 0).await;
            clients.push(client);
        }
        let mut publisher = join(node, "publisher").await;
        for (client, name) in clients.iter_mut().zip(names) {
            publisher.send_bytes(&publish(0x30, name, None, "m")).await;
            client.expect_bytes(&publish(0x30, name, None, "m")).await;
        }
        for client in &mut clients {
            client.expect_nothing().await;
        }
    });
}
