//! Sessions that outlive their network connection, takeover and shared subscriptions.

use std::collections::BTreeSet;

use client_tests::{Client, QoS, Requests, Settings, unique_name, within};

with_both_versions!(
    offline_queue_is_delivered_on_resume,
    clean_start_discards_the_session,
    second_connection_takes_the_session_over,
    shared_subscription_gives_each_message_to_one_member,
);

async fn offline_queue_is_delivered_on_resume<R: Requests>() {
    const COUNT: usize = 50;
    let name = unique_name();
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut client = Client::<R>::connect(&Settings::durable(&name)).await;
        assert!(!client.session_present);
        client.subscribe(&name, qos).await;
        client.disconnect().await;
        let mut publisher = Client::<R>::connect(&Settings::clean(format!("{name}p"))).await;
        for number in 0..COUNT {
            publisher.publish(&name, number.to_string(), qos, false).await;
        }
        let mut client = Client::<R>::connect(&Settings::durable(&name)).await;
        assert!(client.session_present);
        for number in 0..COUNT {
            let message = client.receive().await;
            assert_eq!((message.payload, message.qos), (number.to_string().into(), qos));
        }
        client.disconnect().await;
        Client::<R>::connect(&Settings::clean(&name)).await.disconnect().await;
    }
}

async fn clean_start_discards_the_session<R: Requests>() {
    let name = unique_name();
    let mut client = Client::<R>::connect(&Settings::durable(&name)).await;
    client.subscribe(&name, QoS::AtLeastOnce).await;
    client.lose().await;
    let client = Client::<R>::connect(&Settings::clean(&name)).await;
    assert!(!client.session_present);
    client.disconnect().await;
    let client = Client::<R>::connect(&Settings::durable(&name)).await;
    assert!(!client.session_present);
    client.disconnect().await;
    Client::<R>::connect(&Settings::clean(&name)).await.disconnect().await;
}

async fn second_connection_takes_the_session_over<R: Requests>() {
    let name = unique_name();
    let mut first = Client::<R>::connect(&Settings::durable(&name)).await;
    first.subscribe(&name, QoS::AtLeastOnce).await;
    let mut second = Client::<R>::connect(&Settings::durable(&name)).await;
    assert!(second.session_present);
    first.wait_ended().await;
    second.publish(&name, "yours", QoS::AtLeastOnce, false).await;
    assert_eq!(second.receive_text().await, "yours");
    second.disconnect().await;
    Client::<R>::connect(&Settings::clean(&name)).await.disconnect().await;
}

async fn shared_subscription_gives_each_message_to_one_member<R: Requests>() {
    const COUNT: usize = 200;
    let name = unique_name();
    let filter = format!("$share/{name}/{name}/+");
    let mut first = Client::<R>::connect(&Settings::clean(format!("{name}a"))).await;
    let mut second = Client::<R>::connect(&Settings::clean(format!("{name}b"))).await;
    first.subscribe(&filter, QoS::AtLeastOnce).await;
    second.subscribe(&filter, QoS::AtLeastOnce).await;
    let mut publisher = Client::<R>::connect(&Settings::clean(format!("{name}p"))).await;
    for number in 0..COUNT {
        publisher.publish(&format!("{name}/{number}"), "x", QoS::AtLeastOnce, false).await;
    }
    let mut received = BTreeSet::new();
    let mut shares = [0, 0];
    for _ in 0..COUNT {
        let (member, message) = within("a message for either member", async {
            tokio::select! {
                message = first.receive() => (0, message),
                message = second.receive() => (1, message),
            }
        })
        .await;
        shares[member] += 1;
        assert!(received.insert(message.topic), "a message came twice");
    }
    assert!(shares.iter().all(|share| *share > 0), "shares are {shares:?}");
}
