//! SUBSCRIBE and UNSUBSCRIBE from a client.

use std::borrow::Cow;
use std::sync::Arc;

use mqtt_codec::topic::count_levels;
use mqtt_codec::{
    QoS, ReasonCode, RetainHandling, Subscribe, SubscriptionFilter, SubscriptionOptions, TopicFilter,
    Unsubscribe,
};

use super::effects::{COST_OF_PACKET, Granted, SubscriptionChange};
use super::permission::Action;
use super::{Effects, Protocol, Step, Stepped, Violation};
use crate::counters::Counters;
use crate::session::Session;
use crate::subscriptions::{Subscription, subscription_bytes};

/// What a SUBSCRIBE or UNSUBSCRIBE costs, its filters apart, in packets of other types.
const CHANGE_PACKETS: usize = 16;

impl Protocol {
    pub(super) fn on_subscribe(
        &mut self,
        subscribe: Subscribe,
        session: &mut Session,
        step: &mut Step<'_, '_>,
        fx: &mut Effects,
    ) -> Result<Stepped, Violation> {
        if subscribe.subscription_identifier.is_some()
            && !step.settings().mqtt.subscription_identifiers_available
        {
            let text = "subscription identifiers are switched off";
            return Err(Violation::new(ReasonCode::SubscriptionIdentifiersNotSupported, text));
        }
        let verdicts = if step.authorizes {
            let filters = subscribe.filters.iter().map(|(filter, _)| plain(filter).as_str());
            let Some(verdicts) = self.authorizations.subscribe(filters, step.revision) else {
                fx.wishes.extend(subscribe.filters.iter().map(|(filter, _)| wish(filter)));
                return Ok(Stepped::NeedsPermission);
            };
            Some(verdicts)
        } else {
            None
        };
        // Where nobody is asked everything is allowed; where somebody is, what has no verdict is not.
        let permitted =
            |index: usize| verdicts.as_ref().is_none_or(|verdicts| verdicts.get(index) == Some(&true));
        fx.cost += (CHANGE_PACKETS + subscribe.filters.len()) * COST_OF_PACKET;
        let identifier = subscribe.subscription_identifier.map_or(0, |identifier| identifier.get());
        let (mut granted, mut reasons, mut refused) = (Vec::new(), Vec::new(), None);
        for (index, (filter, options)) in subscribe.filters.iter().enumerate() {
            let name: Arc<str> = match filter {
                SubscriptionFilter::Plain(filter) => filter.as_str().into(),
                SubscriptionFilter::Shared(_) => filter.to_string().into(),
            };
            let judged = judge(filter, &name, session, step, permitted(index));
            reasons.push(match judged {
                Ok(()) => {
                    let subscription = Subscription { options: self.effective(*options, step), identifier };
                    let replaced = session.subscriptions.insert(Arc::clone(&name), subscription).is_some();
                    if !replaced {
                        session.subscription_bytes += subscription_bytes(&name);
                        step.counters.gauges.subscribed(&name);
                    }
                    let replay = match options.retain_handling {
                        RetainHandling::SendAtSubscribe => true,
                        RetainHandling::SendIfNew => !replaced,
                        RetainHandling::DoNotSend => false,
                    };
                    let replay = replay
                        && step.settings().mqtt.retain_available
                        && matches!(filter, SubscriptionFilter::Plain(_));
                    granted.push(Granted { filter: name, subscription, replay });
                    granted_reason(subscription.options.qos)
                }
                Err((reason, text)) => {
                    refused.get_or_insert_with(|| format!("{name:.200}: {text}"));
                    reason
                }
            });
        }
        fx.changes.push(SubscriptionChange::Subscribe {
            packet_identifier: subscribe.packet_identifier,
            granted,
            reasons,
            reason_string: refused.filter(|_| self.problem_information),
        });
        Ok(Stepped::Done)
    }

    /// The options in force: no QoS above the node's maximum, and what a bridge of mosquitto expects.
    fn effective(&self, mut options: SubscriptionOptions, step: &Step<'_, '_>) -> SubscriptionOptions {
        let maximum = QoS::try_from(step.settings().mqtt.maximum_qos).unwrap_or(QoS::ExactlyOnce);
        options.qos = options.qos.min(maximum);
        if self.bridge {
            options.retain_as_published = true;
            options.no_local = true;
        }
        options
    }

    pub(super) fn on_unsubscribe(
        &self,
        unsubscribe: Unsubscribe,
        session: &mut Session,
        counters: &Counters,
        fx: &mut Effects,
    ) {
        fx.cost += (CHANGE_PACKETS + unsubscribe.filters.len()) * COST_OF_PACKET;
        let (mut filters, mut reasons) = (Vec::new(), Vec::new());
        for filter in &unsubscribe.filters {
            let name = match filter {
                SubscriptionFilter::Plain(filter) => Cow::Borrowed(filter.as_str()),
                SubscriptionFilter::Shared(_) => Cow::Owned(filter.to_string()),
            };
            reasons.push(match session.subscriptions.remove_entry(&name) {
                Some((name, _)) => {
                    session.subscription_bytes =
                        session.subscription_bytes.saturating_sub(subscription_bytes(&name));
                    counters.gauges.unsubscribed(&name);
                    filters.push(name);
                    ReasonCode::Success
                }
                None => ReasonCode::NoSubscriptionExisted,
            });
        }
        if let Some(replays) = &mut session.replays {
            // The first may be on its way; what arrives for it is told apart by its filter.
            filters.iter().for_each(|filter| replays.pending.remove(filter));
        }
        let packet_identifier = unsubscribe.packet_identifier;
        fx.changes.push(SubscriptionChange::Unsubscribe { packet_identifier, filters, reasons });
    }
}

fn plain(filter: &SubscriptionFilter) -> &TopicFilter {
    match filter {
        SubscriptionFilter::Plain(filter) => filter,
        SubscriptionFilter::Shared(shared) => &shared.filter,
    }
}

fn wish(filter: &SubscriptionFilter) -> (Action, String) {
    (Action::Subscribe, plain(filter).as_str().to_owned())
}

fn granted_reason(qos: QoS) -> ReasonCode {
    match qos {
        QoS::AtMostOnce => ReasonCode::Success,
        QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
        QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
    }
}

fn judge(
    filter: &SubscriptionFilter,
    name: &str,
    session: &Session,
    step: &Step<'_, '_>,
    permitted: bool,
) -> Result<(), (ReasonCode, &'static str)> {
    let settings = step.settings();
    let shared = matches!(filter, SubscriptionFilter::Shared(_));
    if shared && !settings.mqtt.shared_subscription_available {
        return Err((ReasonCode::SharedSubscriptionsNotSupported, "shared subscriptions are switched off"));
    }
    let filter = plain(filter);
    if filter.has_wildcard() && !settings.mqtt.wildcard_subscription_available {
        return Err((ReasonCode::WildcardSubscriptionsNotSupported, "wildcards are switched off"));
    }
    if count_levels(filter.as_str()) > usize::from(settings.mqtt.topic_levels_max) {
        step.counters.topic_levels_exceeded.add(1);
        return Err((ReasonCode::TopicFilterInvalid, "more levels than this node admits"));
    }
    if !permitted {
        step.counters.subscriptions_not_authorized.add(1);
        return Err((ReasonCode::NotAuthorized, "not authorized"));
    }
    let (limits, bytes) = (&settings.session, subscription_bytes(name));
    let full = session.subscriptions.len() >= limits.subscriptions_per_client_max
        || session.subscription_bytes + bytes > limits.subscription_bytes_per_client_max;
    let of_all = step.counters.gauges.subscription_room.held();
    let all_full = of_all + bytes > limits.subscription_bytes_max;
    if !(full || all_full) || session.subscriptions.contains_key(name) {
        return Ok(());
    }
    let (counter, text) = match full {
        true => (&step.counters.subscriptions_full, "more subscriptions than this node admits per client"),
        false => (&step.counters.subscription_bytes_full, "more subscriptions than this node admits"),
    };
    counter.add(1);
    Err((ReasonCode::QuotaExceeded, text))
}
