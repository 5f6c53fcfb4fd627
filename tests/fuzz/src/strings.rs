//! The texts and lists of a packet, judged by the limits it was decoded with.

use mqtt_codec::{
    AckProperties, Limits, Packet, PublishProperties, SubscriptionFilter, validate_topic_filter,
    validate_topic_name,
};

/// Judges that no text and no list is beyond the limits, and that topic names and filters are valid.
pub fn judge_strings(packet: &Packet, limits: &Limits) {
    let judge = Judge(limits);
    match packet {
        Packet::Connect(connect) => {
            let properties = &connect.properties;
            judge.text(&connect.client_identifier);
            judge.texts([&connect.user_name, &properties.authentication_method]);
            let mut user_properties = properties.user_properties.clone();
            if let Some(will) = &connect.will {
                judge.topic_name(will.topic.as_str());
                judge.publish_properties(&will.properties);
                user_properties.extend_from_slice(&will.properties.user_properties);
            }
            // Those of the will count as well.
            judge.user_properties(&user_properties);
        }
        Packet::ConnAck(connack) => {
            let properties = &connack.properties;
            judge.texts([
                &properties.assigned_client_identifier,
                &properties.reason_string,
                &properties.response_information,
                &properties.server_reference,
                &properties.authentication_method,
            ]);
            judge.user_properties(&properties.user_properties);
        }
        Packet::Publish(publish) => {
            if publish.topic.is_empty() {
                assert!(publish.properties.topic_alias.is_some(), "neither topic name nor topic alias");
            } else {
                judge.topic_name(&publish.topic);
            }
            judge.publish_properties(&publish.properties);
        }
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            judge.ack_properties(ack.properties.as_deref());
        }
        Packet::Subscribe(subscribe) => {
            judge.user_properties(&subscribe.user_properties);
            judge.filters(subscribe.filters.iter().map(|(filter, _)| filter));
        }
        Packet::SubAck(suback) => judge.ack_properties(suback.properties.as_deref()),
        Packet::Unsubscribe(unsubscribe) => {
            judge.user_properties(&unsubscribe.user_properties);
            judge.filters(unsubscribe.filters.iter());
        }
        Packet::UnsubAck(unsuback) => judge.ack_properties(unsuback.properties.as_deref()),
        Packet::PingReq | Packet::PingResp => {}
        Packet::Disconnect(disconnect) => {
            let properties = &disconnect.properties;
            judge.texts([&properties.reason_string, &properties.server_reference]);
            judge.user_properties(&properties.user_properties);
        }
        Packet::Auth(auth) => {
            judge.texts([&auth.properties.authentication_method, &auth.properties.reason_string]);
            judge.user_properties(&auth.properties.user_properties);
        }
    }
}

struct Judge<'l>(&'l Limits);

impl Judge<'_> {
    fn text(&self, text: &str) {
        assert!(text.len() <= self.0.string_bytes_max.into(), "a text of {} bytes", text.len());
        assert!(!text.contains('\0'), "U+0000 in {text:?}");
        let is_control = text.contains(|character: char| character.is_control());
        assert!(self.0.allow_control_characters || !is_control, "a control character in {text:?}");
    }

    fn texts<'t>(&self, texts: impl IntoIterator<Item = &'t Option<String>>) {
        texts.into_iter().flatten().for_each(|text| self.text(text));
    }

    fn user_properties(&self, properties: &[(String, String)]) {
        assert!(properties.len() <= self.0.properties_max.into(), "{} user properties", properties.len());
        for (name, value) in properties {
            self.text(name);
            self.text(value);
        }
    }

    fn ack_properties(&self, properties: Option<&AckProperties>) {
        if let Some(properties) = properties {
            self.texts([&properties.reason_string]);
            self.user_properties(&properties.user_properties);
        }
    }

    fn publish_properties(&self, properties: &PublishProperties) {
        self.texts([&properties.content_type]);
        if let Some(topic) = &properties.response_topic {
            self.topic_name(topic);
        }
        self.user_properties(&properties.user_properties);
    }

    fn topic_name(&self, topic: &str) {
        self.text(topic);
        assert_eq!(validate_topic_name(topic), Ok(()), "{topic:?}");
    }

    fn filters<'f>(&self, filters: impl ExactSizeIterator<Item = &'f SubscriptionFilter>) {
        assert!((1..=self.0.filters_max.into()).contains(&filters.len()), "{} filters", filters.len());
        for filter in filters {
            self.text(&filter.to_string());
            assert_eq!(validate_topic_filter(filter.topic_filter().as_str()), Ok(()), "{filter}");
            assert_eq!(SubscriptionFilter::parse(&filter.to_string()).as_ref(), Ok(filter));
        }
    }
}
