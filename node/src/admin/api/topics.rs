//! Topics: what somebody is subscribed to, and what is retained.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use micro_mq_actors::messages::{Looked, Sight, Surroundings, Visitor};
use micro_mq_api::{Order, Page, Topic, TopicSort, TopicTreeNode, TopicTreeQuery, TopicsQuery};
use micro_mq_core::retained::RetainedMessages;
use micro_mq_core::session::Session;
use mqtt_codec::topic::holds_wildcard;
use tokio::task::yield_now;

use super::Api;
use super::paging::{Request, Seen, Top};
use super::subscriptions::share_and_filter;
use crate::admin::extract::Query;
use crate::admin::problem::{Failure, Problems};

/// Topic names that are passed before those who publish have their turn at the store.
const LOCKED_MAX: usize = 64;

/// What somebody is subscribed to, and the topic names of retained messages.
#[utoipa::path(
    get, path = "/api/v1/topics", tag = "topics", operation_id = "topics_list", params(TopicsQuery),
    responses((status = 200, description = "A page of topics", body = Page<Topic>), Problems),
)]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Query(query): Query<TopicsQuery>,
) -> Result<Json<Page<Topic>>, Failure> {
    let request = Request::new(query.limit, query.cursor.as_deref(), query.sort, query.order)?;
    let actors = api.actors()?;
    let (sort, prefix) = (request.sort, query.prefix.as_deref().unwrap_or_default());
    let bounds = Bounds::new(&request, sort == TopicSort::Topic);
    let own = query.own.unwrap_or_default() || prefix.starts_with('$');
    let look = || Counting {
        by: By::Topic { prefix: prefix.into(), wildcard: query.wildcard, own },
        counts: Counts::within(bounds.clone()),
    };
    let seen = actors.look_through(Sight::Sessions, look).await?;
    let mut counts = Counts::within(bounds);
    seen.into_iter().for_each(|counting| counts.add_all(counting.counts));
    if query.retained != Some(false) && query.wildcard != Some(true) {
        let add = |topic: &str| own_or_not(topic, own) && counts.add(topic, Count::RETAINED);
        walk(&actors.shared().retained_messages, prefix, request.after_name(), request.order, sort, add)
            .await;
    }
    let kept = &actors.shared().retained_messages;
    let mut top = Top::new(request.clone());
    for (topic, count) in &counts.rows {
        let retained = count.retained > 0
            || (query.retained.is_some() && kept.with_store(|store| store.get(topic).is_some()));
        if query.retained.is_some_and(|wanted| wanted != retained) {
            continue;
        }
        let value = match sort {
            TopicSort::Topic => Seen::Text(topic),
            TopicSort::Subscriptions => Seen::Number(count.here),
            TopicSort::SharedSubscriptions => Seen::Number(count.shared),
        };
        top.offer(value, (topic, ""), || Topic {
            topic: topic.clone(),
            wildcard: holds_wildcard(topic),
            subscriptions: count.here,
            shared_subscriptions: count.shared,
            retained,
        });
    }
    Ok(Json(Top::page(request, [top])))
}

/// One level of the tree of topics, with counts of what is below.
#[utoipa::path(
    get, path = "/api/v1/topics/tree", tag = "topics", operation_id = "topics_tree", params(TopicTreeQuery),
    responses((status = 200, description = "A page of a level", body = Page<TopicTreeNode>), Problems),
)]
pub(super) async fn tree(
    State(api): State<Arc<Api>>,
    Query(query): Query<TopicTreeQuery>,
) -> Result<Json<Page<TopicTreeNode>>, Failure> {
    let request = Request::<()>::new(query.limit, query.cursor.as_deref(), None, None)?;
    let actors = api.actors()?;
    let parent: Arc<str> = query.parent.as_deref().map_or("".into(), |parent| format!("{parent}/").into());
    let own = query.own.unwrap_or_default() || parent.starts_with('$');
    let bounds = Bounds::new(&request, true);
    let look = || Counting {
        by: By::Level { parent: Arc::clone(&parent), own },
        counts: Counts::within(bounds.clone()),
    };
    let seen = actors.look_through(Sight::Sessions, look).await?;
    let mut counts = Counts::within(bounds);
    seen.into_iter().for_each(|counting| counts.add_all(counting.counts));
    let add = |topic: &str| match level(topic, &parent) {
        Some((level, is_last)) if own_or_not(topic, own) => {
            counts.add(level, Count { has_children: !is_last, ..Count::RETAINED })
        }
        _ => true,
    };
    let kept = &actors.shared().retained_messages;
    walk(kept, &parent, None, Order::Asc, TopicSort::Subscriptions, add).await;
    let mut top = Top::new(request.clone());
    for (level, count) in &counts.rows {
        top.offer(Seen::Text(level), (level, ""), || TopicTreeNode {
            topic: format!("{parent}{level}"),
            level: level.clone(),
            has_children: count.has_children,
            subscriptions: count.here,
            subscriptions_below: count.below,
            retained_below: count.retained,
        });
    }
    Ok(Json(Top::page(request, [top])))
}

fn own_or_not(topic: &str, own: bool) -> bool {
    own || !topic.starts_with("$SYS")
}

/// The level of a topic below a parent (`a/`, or nothing for the first one), and whether it is the last one.
fn level<'a>(topic: &'a str, parent: &str) -> Option<(&'a str, bool)> {
    let rest = topic.strip_prefix(parent)?;
    Some(rest.split_once('/').map_or((rest, true), |(level, _)| (level, false)))
}

/// Shows the names of retained messages to `add`, in order, as far as it wants them: those behind `after` if they are
/// listed by name.
async fn walk(
    kept: &RetainedMessages,
    prefix: &str,
    after: Option<&str>,
    order: Order,
    sort: TopicSort,
    mut add: impl FnMut(&str) -> bool,
) {
    let after = after.filter(|_| sort == TopicSort::Topic);
    let mut last: Option<String> = after.map(str::to_owned);
    loop {
        let go_on = kept.with_store(|store| {
            let behind = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let names: Vec<String> = match order {
                Order::Asc => {
                    let from = match behind {
                        Bound::Excluded(name) if name >= prefix => behind,
                        _ => Bound::Included(prefix),
                    };
                    let names = store.names((from, Bound::Unbounded));
                    names
                        .take_while(|name| name.starts_with(prefix))
                        .take(LOCKED_MAX)
                        .map(str::to_owned)
                        .collect()
                }
                // Nothing is left between the two.
                Order::Desc if matches!(behind, Bound::Excluded(name) if name <= prefix) => Vec::new(),
                Order::Desc => {
                    let names = store.names((Bound::Included(prefix), behind));
                    names.rev().take(LOCKED_MAX).map(str::to_owned).collect()
                }
            };
            last = names.last().cloned();
            names
        });
        let wanted = go_on.iter().filter(|name| name.starts_with(prefix)).all(|name| add(name));
        if !wanted || go_on.len() < LOCKED_MAX {
            return;
        }
        yield_now().await;
    }
}

/// What there is of one topic, or below it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    /// Subscriptions to exactly this.
    here: u64,
    /// Shared ones among them.
    shared: u64,
    /// Subscriptions to this and what is below.
    below: u64,
    retained: u64,
    has_children: bool,
}

impl Count {
    const RETAINED: Self = Self { here: 0, shared: 0, below: 0, retained: 1, has_children: false };

    fn add(&mut self, other: Self) {
        self.here += other.here;
        self.shared += other.shared;
        self.below += other.below;
        self.retained += other.retained;
        self.has_children |= other.has_children;
    }
}

/// Which names are counted: of a list by name no more than a page and one.
#[derive(Debug, Clone)]
struct Bounds {
    after: Option<String>,
    most: usize,
    order: Order,
}

impl Bounds {
    fn new<S>(request: &Request<S>, is_by_name: bool) -> Self
    where
        S: Default + PartialEq + serde::Serialize + serde::de::DeserializeOwned,
    {
        match is_by_name {
            true => Self {
                after: request.after_name().map(str::to_owned),
                most: request.limit() + 1,
                order: request.order,
            },
            false => Self { after: None, most: usize::MAX, order: request.order },
        }
    }
}

/// Counts by name. A name that falls out, because there are as many before it as are wanted, never comes back.
#[derive(Debug)]
struct Counts {
    bounds: Bounds,
    rows: BTreeMap<String, Count>,
}

impl Counts {
    fn within(bounds: Bounds) -> Self {
        Self { bounds, rows: BTreeMap::new() }
    }

    /// Returns whether names behind this one may be wanted.
    fn add(&mut self, name: &str, count: Count) -> bool {
        let Bounds { after, most, order } = &self.bounds;
        let is_behind = |after: &String| match order {
            Order::Asc => name > after.as_str(),
            Order::Desc => name < after.as_str(),
        };
        if !after.as_ref().is_none_or(is_behind) {
            return true;
        }
        if let Some(held) = self.rows.get_mut(name) {
            held.add(count);
            return true;
        }
        if self.rows.len() >= *most {
            let last = match order {
                Order::Asc => self.rows.last_entry(),
                Order::Desc => self.rows.first_entry(),
            };
            let Some(last) = last else { return false };
            let is_before = match order {
                Order::Asc => name < last.key().as_str(),
                Order::Desc => name > last.key().as_str(),
            };
            if !is_before {
                return false;
            }
            last.remove();
        }
        self.rows.insert(name.to_owned(), count);
        true
    }

    fn add_all(&mut self, other: Self) {
        for (name, count) in other.rows {
            self.add(&name, count);
        }
    }
}

/// What names are made of filters.
#[derive(Debug, Clone)]
enum By {
    /// They themselves.
    Topic { prefix: Arc<str>, wildcard: Option<bool>, own: bool },
    /// Their level below a parent.
    Level { parent: Arc<str>, own: bool },
}

struct Counting {
    by: By,
    counts: Counts,
}

impl Visitor for Counting {
    fn visit(&mut self, session: &mut Session, piece: usize, _surroundings: &Surroundings<'_>) -> Looked {
        let mut rows = 1;
        for (full_filter, _) in session.subscriptions.piece(piece) {
            rows += 1;
            let (share, filter) = share_and_filter(full_filter);
            let shared = u64::from(share.is_some());
            match &self.by {
                By::Topic { prefix, wildcard, own } => {
                    let is_wanted = own_or_not(filter, *own)
                        && filter.starts_with(&**prefix)
                        && wildcard.is_none_or(|wanted| holds_wildcard(filter) == wanted);
                    if is_wanted {
                        self.counts.add(filter, Count { here: 1, shared, ..Count::default() });
                    }
                }
                By::Level { parent, own } => {
                    if let Some((level, is_last)) = level(filter, parent)
                        && own_or_not(filter, *own)
                    {
                        let (here, has_children) = (u64::from(is_last), !is_last);
                        self.counts
                            .add(level, Count { here, shared, below: 1, has_children, ..Count::default() });
                    }
                }
            }
        }
        Looked { rows, is_to_go_on: piece + 1 < session.subscriptions.pieces() }
    }
}
