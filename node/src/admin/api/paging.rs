//! Pages of a list in any order, of which the last costs what the first does: whoever looks through the rows keeps no more
//! than a page of them, those that come first behind where the page before ended.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use micro_mq_api::{LIMIT_DEFAULT, LIMIT_MAX, Order, Page};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::admin::problem::Failure;

/// What a row is sorted by, in one column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Value {
    Number(u64),
    Text(String),
}

/// The same of a row that is only looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Seen<'a> {
    Number(u64),
    Text(&'a str),
}

impl Seen<'_> {
    fn to_value(self) -> Value {
        match self {
            Self::Number(number) => Value::Number(number),
            Self::Text(text) => Value::Text(text.to_owned()),
        }
    }
}

impl Value {
    fn as_seen(&self) -> Seen<'_> {
        match self {
            Self::Number(number) => Seen::Number(*number),
            Self::Text(text) => Seen::Text(text),
        }
    }
}

/// The place of a row among all: what it is sorted by, and its name, of two parts, by which no two are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Rank {
    value: Value,
    name: (String, String),
}

impl Rank {
    fn cmp_seen(&self, value: Seen<'_>, name: (&str, &str)) -> Ordering {
        let own = (self.name.0.as_str(), self.name.1.as_str());
        self.value.as_seen().cmp(&value).then_with(|| own.cmp(&name))
    }
}

/// How a list is sorted, and where the page before ended. `S` names the columns.
#[derive(Debug, Clone)]
pub(super) struct Request<S> {
    pub(super) sort: S,
    pub(super) order: Order,
    limit: usize,
    after: Option<Rank>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Cursor<S> {
    sort: S,
    order: Order,
    after: Rank,
}

impl<S: Default + PartialEq + Serialize + DeserializeOwned> Request<S> {
    /// What the parameters of a request ask for.
    pub(super) fn new(
        limit: Option<u16>,
        cursor: Option<&str>,
        sort: Option<S>,
        order: Option<Order>,
    ) -> Result<Self, Failure> {
        let limit = limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Failure::bad_request(format!("limit: {limit} is not within 1 to {LIMIT_MAX}")));
        }
        let (sort, order) = (sort.unwrap_or_default(), order.unwrap_or_default());
        let after = match cursor {
            None => None,
            Some(text) => Some(after(text, &sort, order)?),
        };
        Ok(Self { sort, order, limit: limit.into(), after })
    }

    fn cursor(&self, after: &Rank) -> String
    where
        S: Clone,
    {
        let cursor = Cursor { sort: self.sort.clone(), order: self.order, after: after.clone() };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).expect("names and numbers can be written"))
    }

    /// Rows of a page.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// The name of the last row of the page before.
    pub(super) fn after_name(&self) -> Option<&str> {
        self.after.as_ref().map(|after| after.name.0.as_str())
    }
}

fn after<S: PartialEq + DeserializeOwned>(text: &str, sort: &S, order: Order) -> Result<Rank, Failure> {
    let decoded = URL_SAFE_NO_PAD.decode(text).ok();
    let cursor: Option<Cursor<S>> = decoded.and_then(|json| serde_json::from_slice(&json).ok());
    match cursor {
        Some(cursor) if cursor.sort == *sort && cursor.order == order => Ok(cursor.after),
        Some(_) => Err(Failure::bad_request("cursor: is that of a list with another sort or order")),
        None => Err(Failure::bad_request("cursor: is none that a page has ended with")),
    }
}

/// The rows of a page, as far as they are known, and one more, which says that there is another page.
#[derive(Debug)]
pub(super) struct Top<S, R> {
    request: Request<S>,
    rows: BTreeMap<Rank, R>,
}

impl<S, R> Top<S, R> {
    pub(super) fn new(request: Request<S>) -> Self {
        Self { request, rows: BTreeMap::new() }
    }

    fn is_in_order(&self, earlier: Ordering) -> bool {
        match self.request.order {
            Order::Asc => earlier == Ordering::Less,
            Order::Desc => earlier == Ordering::Greater,
        }
    }

    fn last(&self) -> Option<&Rank> {
        match self.request.order {
            Order::Asc => self.rows.last_key_value(),
            Order::Desc => self.rows.first_key_value(),
        }
        .map(|(rank, _)| rank)
    }

    /// Whether rows with this value may be on the page at all.
    pub(super) fn may_take(&self, value: Seen<'_>) -> bool {
        let is_behind = |rank: &Rank| {
            let ordering = rank.value.as_seen().cmp(&value);
            ordering == Ordering::Equal || self.is_in_order(ordering)
        };
        let is_before = |rank: &Rank| {
            let ordering = rank.value.as_seen().cmp(&value);
            ordering == Ordering::Equal || self.is_in_order(ordering.reverse())
        };
        self.request.after.as_ref().is_none_or(is_behind)
            && (self.rows.len() <= self.request.limit || self.last().is_none_or(is_before))
    }

    /// Takes a row if it is on the page, as far as is known.
    pub(super) fn offer(&mut self, value: Seen<'_>, name: (&str, &str), row: impl FnOnce() -> R) {
        let is_behind = |rank: &Rank| self.is_in_order(rank.cmp_seen(value, name));
        let is_before = |rank: &Rank| self.is_in_order(rank.cmp_seen(value, name).reverse());
        if !self.request.after.as_ref().is_none_or(is_behind) {
            return;
        }
        if self.rows.len() > self.request.limit {
            if !self.last().is_none_or(is_before) {
                return;
            }
            match self.request.order {
                Order::Asc => self.rows.pop_last(),
                Order::Desc => self.rows.pop_first(),
            };
        }
        let name = (name.0.to_owned(), name.1.to_owned());
        self.rows.insert(Rank { value: value.to_value(), name }, row());
    }
}

impl<S: Default + Clone + PartialEq + Serialize + DeserializeOwned, R> Top<S, R> {
    /// The page that those of all workers make together.
    pub(super) fn page(request: Request<S>, tops: impl IntoIterator<Item = Self>) -> Page<R> {
        let mut rows = BTreeMap::new();
        tops.into_iter().for_each(|mut top| rows.append(&mut top.rows));
        let has_more = rows.len() > request.limit;
        let in_order: Box<dyn Iterator<Item = (Rank, R)>> = match request.order {
            Order::Asc => Box::new(rows.into_iter()),
            Order::Desc => Box::new(rows.into_iter().rev()),
        };
        let (mut items, mut last) = (Vec::with_capacity(request.limit), None);
        for (rank, row) in in_order.take(request.limit) {
            items.push(row);
            last = Some(rank);
        }
        let next = last.filter(|_| has_more).map(|rank| request.cursor(&rank));
        Page { items, next, silent: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(order: Order, limit: u16, rows: &[(u64, &str)]) -> Vec<Vec<String>> {
        let (mut pages, mut cursor): (Vec<Vec<String>>, Option<String>) = (Vec::new(), None);
        loop {
            let request =
                Request::<bool>::new(Some(limit), cursor.as_deref(), Some(true), Some(order)).unwrap();
            let mut tops = [Top::new(request.clone()), Top::new(request.clone())];
            for (at, (value, name)) in rows.iter().enumerate() {
                let top = &mut tops[at % 2];
                let has = top.rows.len();
                top.offer(Seen::Number(*value), (name, ""), || (*name).to_owned());
                assert!(top.rows.len() == has || top.may_take(Seen::Number(*value)));
            }
            let page = Top::page(request, tops);
            pages.push(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return pages;
            }
        }
    }

    #[test]
    fn pages_follow_one_another_in_any_order() {
        let rows = [(3, "c"), (1, "b"), (2, "x"), (1, "a"), (3, "a"), (9, "z"), (0, "y")];
        let ascending = [vec!["y", "a", "b"], vec!["x", "a", "c"], vec!["z"]];
        assert_eq!(list(Order::Asc, 3, &rows), ascending);
        let descending = [vec!["z", "c", "a"], vec!["x", "b", "a"], vec!["y"]];
        assert_eq!(list(Order::Desc, 3, &rows), descending);
        assert_eq!(list(Order::Asc, 7, &rows).len(), 1);
        assert_eq!(list(Order::Desc, 1, &rows).len(), 7);
        assert_eq!(list(Order::Asc, 3, &[]), [Vec::<String>::new()]);
    }

    #[test]
    fn a_cursor_belongs_to_its_list() {
        let request = Request::<bool>::new(Some(1), None, None, None).unwrap();
        let cursor = request.cursor(&Rank { value: Value::Text("a".into()), name: ("b".into(), "".into()) });
        assert!(Request::<bool>::new(None, Some(&cursor), None, None).is_ok());
        assert!(Request::<bool>::new(None, Some(&cursor), Some(true), None).is_err());
        assert!(Request::<bool>::new(None, Some(&cursor), None, Some(Order::Desc)).is_err());
        assert!(Request::<bool>::new(None, Some("nonsense"), None, None).is_err());
        assert!(Request::<bool>::new(Some(0), None, None, None).is_err());
        assert!(Request::<bool>::new(Some(1001), None, None, None).is_err());
    }
}
