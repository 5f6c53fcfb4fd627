//! Publishing, subscribing, retained messages and wills.

use client_tests::{Client, QoS, Requests, Settings, unique_name};

const EVERY_QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

with_both_versions!(
    every_qos_both_ways,
    payload_of_a_mebibyte,
    order_is_kept,
    retained_message_is_kept_sent_and_cleared,
    will_of_a_lost_connection,
    no_will_after_disconnect,
    nothing_comes_after_unsubscribe,
);

async fn every_qos_both_ways<R: Requests>() {
    let name = unique_name();
    let mut subscriber = Client::<R>::connect(&Settings::clean(format!("{name}s"))).await;
    let mut publisher = Client::<R>::connect(&Settings::clean(format!("{name}p"))).await;
    for (number, granted) in EVERY_QOS.into_iter().enumerate() {
        subscriber.subscribe(&format!("{name}/{number}"), granted).await;
    }
    for published in EVERY_QOS {
        for (number, granted) in EVERY_QOS.into_iter().enumerate() {
            let topic = format!("{name}/{number}");
            publisher.publish(&topic, "payload", published, false).await;
            let message = subscriber.receive().await;
            assert_eq!((message.topic, &message.payload[..]), (topic, &b"payload"[..]));
            assert_eq!(message.qos as u8, (published as u8).min(granted as u8));
            assert!(!message.retain);
        }
    }
}

async fn payload_of_a_mebibyte<R: Requests>() {
    let name = unique_name();
    let payload: Vec<u8> = (0..=255).cycle().take(1024 * 1024).collect();
    let mut client = Client::<R>::connect(&Settings::clean(&name)).await;
    for qos in EVERY_QOS {
        client.subscribe(&name, qos).await;
        client.publish(&name, payload.clone(), qos, false).await;
        assert_eq!(client.receive().await.payload, payload);
    }
}

async fn order_is_kept<R: Requests>() {
    const COUNT: usize = 300;
    for qos in EVERY_QOS {
        let name = unique_name();
        let mut subscriber = Client::<R>::connect(&Settings::clean(format!("{name}s"))).await;
        let publisher = Client::<R>::connect(&Settings::clean(format!("{name}p"))).await;
        subscriber.subscribe(&name, qos).await;
        for number in 0..COUNT {
            publisher.requests.publish(&name, number.to_string().into(), qos, false).await;
        }
        for number in 0..COUNT {
            assert_eq!(subscriber.receive_text().await, number.to_string());
        }
    }
}

async fn retained_message_is_kept_sent_and_cleared<R: Requests>() {
    let name = unique_name();
    let mut publisher = Client::<R>::connect(&Settings::clean(format!("{name}p"))).await;
    publisher.publish(&name, "old", QoS::AtLeastOnce, true).await;
    publisher.publish(&name, "kept", QoS::AtLeastOnce, true).await;
    let mut subscriber = Client::<R>::connect(&Settings::clean(format!("{name}s"))).await;
    subscriber.subscribe(&name, QoS::AtLeastOnce).await;
    let message = subscriber.receive().await;
    assert_eq!((&message.payload[..], message.retain), (&b"kept"[..], true));
    publisher.publish(&name, "", QoS::AtLeastOnce, true).await;
    let mut late = Client::<R>::connect(&Settings::clean(format!("{name}l"))).await;
    late.subscribe(&name, QoS::AtLeastOnce).await;
    publisher.publish(&name, "fence", QoS::AtLeastOnce, false).await;
    assert_eq!(late.receive_text().await, "fence");
}

async fn will_of_a_lost_connection<R: Requests>() {
    let name = unique_name();
    let mut watcher = Client::<R>::connect(&Settings::clean(format!("{name}w"))).await;
    watcher.subscribe(&name, QoS::ExactlyOnce).await;
    for qos in EVERY_QOS {
        let will = Some((name.clone(), "gone".to_owned(), qos));
        let settings = Settings { will, ..Settings::clean(format!("{name}d")) };
        Client::<R>::connect(&settings).await.lose().await;
        let message = watcher.receive().await;
        assert_eq!((&message.payload[..], message.qos), (&b"gone"[..], qos));
    }
}

async fn no_will_after_disconnect<R: Requests>() {
    let name = unique_name();
    let mut watcher = Client::<R>::connect(&Settings::clean(format!("{name}w"))).await;
    watcher.subscribe(&name, QoS::AtLeastOnce).await;
    let mortal = |text: &str| Settings {
        will: Some((name.clone(), text.to_owned(), QoS::AtLeastOnce)),
        ..Settings::clean(format!("{name}{text}"))
    };
    Client::<R>::connect(&mortal("left")).await.disconnect().await;
    Client::<R>::connect(&mortal("lost")).await.lose().await;
    assert_eq!(watcher.receive_text().await, "lost");
}

async fn nothing_comes_after_unsubscribe<R: Requests>() {
    let name = unique_name();
    let mut client = Client::<R>::connect(&Settings::clean(&name)).await;
    client.subscribe(&format!("{name}/+/x/#"), QoS::AtLeastOnce).await;
    client.subscribe(&format!("{name}/fence"), QoS::AtLeastOnce).await;
    client.publish(&format!("{name}/a/x/y/z"), "matches", QoS::AtLeastOnce, false).await;
    assert_eq!(client.receive_text().await, "matches");
    client.unsubscribe(&format!("{name}/+/x/#")).await;
    client.publish(&format!("{name}/a/x/y/z"), "no more", QoS::AtLeastOnce, false).await;
    client.publish(&format!("{name}/fence"), "fence", QoS::AtLeastOnce, false).await;
    assert_eq!(client.receive_text().await, "fence");
}
