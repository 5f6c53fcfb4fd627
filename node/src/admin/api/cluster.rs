//! The cluster, as this node sees it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use micro_mq_actors::cluster::{ClusterStatus, MemberStatus};
use micro_mq_api::{Cluster, Member};

use super::Api;
use crate::admin::extract::{Nothing, Query};
use crate::admin::problem::{Failure, NotFound, Problems};

/// The cluster, as the node that answers sees it; 404 where that node is alone.
#[utoipa::path(
    get, path = "/api/v1/cluster", tag = "nodes", operation_id = "nodes_cluster",
    responses((status = 200, description = "The cluster", body = Cluster), NotFound, Problems),
)]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Json<Cluster>, Failure> {
    let status = api.actors()?.cluster().ok_or_else(|| Failure::not_found("cluster.enabled is false"))?;
    Ok(Json(cluster(status)))
}

fn cluster(status: ClusterStatus) -> Cluster {
    Cluster {
        node: status.node,
        slot: status.slot,
        incarnation: status.incarnation,
        fresh: status.fresh,
        applied: status.applied,
        own_routes: status.own_routes as u64,
        routes: status.routes as u64,
        forward_bytes: status.window_bytes as u64,
        kafka_trouble: status.kafka_trouble,
        members: status.members.into_iter().map(member).collect(),
    }
}

fn member(status: MemberStatus) -> Member {
    Member {
        node: status.node,
        slot: status.slot,
        incarnation: status.incarnation,
        address: status.address,
        applied: status.applied,
        alive: status.alive,
        clock_skew_ms: status.clock_skew_ms,
    }
}
