//! The default limits admit what clients do in practice.

use std::time::{Duration, Instant};

use client_tests::{Client, QoS, Requests, Settings, unique_name, v4, within};

with_both_versions!(
    client_identifier_of_200_characters,
    topic_name_of_60000_bytes,
    five_hundred_connections_at_once
);

async fn client_identifier_of_200_characters<R: Requests>() {
    let start = format!("plant 7/{} ", unique_name());
    let identifier: String = start.chars().chain("Straße/ 温度 ".chars().cycle()).take(200).collect();
    let mut client = Client::<R>::connect(&Settings::durable(&identifier)).await;
    client.subscribe(&start, QoS::AtLeastOnce).await;
    client.disconnect().await;
    let mut client = Client::<R>::connect(&Settings::durable(&identifier)).await;
    assert!(client.session_present);
    client.publish(&start, "x", QoS::AtLeastOnce, false).await;
    assert_eq!(client.receive_text().await, "x");
    client.disconnect().await;
    Client::<R>::connect(&Settings::clean(&identifier)).await.disconnect().await;
}

async fn topic_name_of_60000_bytes<R: Requests>() {
    let name = unique_name();
    let topic = format!("{name}/{:x<1$}", "", 60_000 - name.len() - 1);
    let mut client = Client::<R>::connect(&Settings::clean(&name)).await;
    client.subscribe(&format!("{name}/#"), QoS::AtLeastOnce).await;
    client.publish(&topic, "x", QoS::AtLeastOnce, false).await;
    assert_eq!(client.receive().await.topic, topic);
}

async fn five_hundred_connections_at_once<R: Requests>() {
    const CONNECTIONS: usize = 500;
    let name = unique_name();
    let started = Instant::now();
    let connecting: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let settings = Settings::clean(format!("{name}{number}"));
            tokio::spawn(async move { Client::<R>::connect(&settings).await })
        })
        .collect();
    let mut clients = Vec::with_capacity(CONNECTIONS);
    for client in connecting {
        clients.push(client.await.expect("every connection is accepted"));
    }
    // The clients alone need some 100 ms; a broker that lets only some in at a time needs seconds.
    println!("{CONNECTIONS} connections in {:?}", started.elapsed());
    for client in &mut clients {
        client.subscribe(&name, QoS::AtMostOnce).await;
    }
    clients[0].publish(&name, "to all", QoS::AtMostOnce, false).await;
    for client in &mut clients {
        assert_eq!(client.receive_text().await, "to all");
    }
}

/// Only the API for 3.1.1 takes so short a keep alive.
#[tokio::test]
async fn keep_alive_of_a_second_is_answered() {
    let mut options = v4::options(&Settings::clean(unique_name()));
    options.set_keep_alive(Duration::from_secs(1));
    let (_client, mut event_loop) = rumqttc::AsyncClient::new(options, 10);
    let mut responses = 0;
    while responses < 2 {
        let event = within("PINGRESP", event_loop.poll()).await.expect("the connection stays");
        responses += u32::from(event == rumqttc::Event::Incoming(rumqttc::Packet::PingResp));
    }
}
