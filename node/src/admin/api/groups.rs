//! Shared subscriptions.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use micro_mq_actors::messages::{Looked, Sight, Visitor};
use micro_mq_api::{Group, GroupSort, GroupsQuery, Page};
use micro_mq_core::groups;

use super::Api;
use super::paging::{Request, Seen, Top};
use super::subscriptions::share_and_filter;
use crate::admin::extract::Query;
use crate::admin::problem::{Failure, Problems};

/// Shared subscriptions, each with its members and what waits in it.
#[utoipa::path(
    get, path = "/api/v1/groups", tag = "groups", operation_id = "groups_list", params(GroupsQuery),
    responses((status = 200, description = "A page of groups", body = Page<Group>), Problems),
)]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Query(mut query): Query<GroupsQuery>,
) -> Result<Json<Page<Group>>, Failure> {
    let request = Request::new(query.limit, query.cursor.as_deref(), query.sort, query.order)?;
    let shares: HashSet<String> = query.share.drain(..).collect();
    let wanted = Arc::new((shares, query));
    let look = || Many {
        wanted: Arc::clone(&wanted),
        node: Arc::clone(&api.node),
        sort: request.sort,
        top: Top::new(request.clone()),
    };
    let seen = api.actors()?.look_through(Sight::Groups, look).await?;
    Ok(Json(Top::page(request.clone(), seen.into_iter().map(|many| many.top))))
}

struct Many {
    wanted: Arc<(HashSet<String>, GroupsQuery)>,
    node: Arc<str>,
    sort: GroupSort,
    top: Top<GroupSort, Group>,
}

impl Visitor for Many {
    fn visit_group(&mut self, group: &groups::Group) -> Looked {
        let (shares, query) = &*self.wanted;
        let full_filter = &*group.full_filter;
        let (share, filter) = share_and_filter(full_filter);
        let share = share.unwrap_or_default();
        let queued = group.queue.len() as u64;
        let is_wanted = (shares.is_empty() || shares.contains(share))
            && query.prefix.as_ref().is_none_or(|prefix| filter.starts_with(prefix.as_str()))
            && query.queued_min.is_none_or(|least| queued >= least);
        if !is_wanted {
            return Looked::DONE;
        }
        let (members, members_online) = (group.member_count() as u64, group.online_count() as u64);
        let queued_bytes = group.queue.bytes() as u64;
        let value = match self.sort {
            GroupSort::FullFilter => Seen::Text(full_filter),
            GroupSort::Members => Seen::Number(members),
            GroupSort::MembersOnline => Seen::Number(members_online),
            GroupSort::Queued => Seen::Number(queued),
            GroupSort::QueuedBytes => Seen::Number(queued_bytes),
        };
        self.top.offer(value, (full_filter, ""), || Group {
            full_filter: full_filter.to_owned(),
            share: share.to_owned(),
            filter: filter.to_owned(),
            node: self.node.to_string(),
            worker: group.key.home,
            members,
            members_online,
            queued,
            queued_bytes,
        });
        Looked::DONE
    }
}
