//! The OpenAPI document, and what holds for every operation.

use mqtt_codec::ProtocolVersion::V5;
use serde_json::Value;

use super::Admin;
use crate::harness::{on_node, settings};

fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let of_path = |(path, item): (&String, &'_ Value)| {
        let path = path.clone();
        let methods = item.as_object().expect("methods").keys().cloned().collect::<Vec<_>>();
        methods.into_iter().map(move |method| (path.clone(), method)).collect::<Vec<_>>()
    };
    paths
        .iter()
        .flat_map(of_path)
        .map(|(path, method)| {
            let operation = &paths[&path][&method];
            (path, method, operation)
        })
        .collect()
}

#[test]
fn the_document_describes_all_that_is_answered() {
    on_node(1, settings(), async |node| {
        let _client = node.connect(V5, "x").await;
        let admin = Admin::of(node);
        let document = admin.get("/api/v1/openapi.json");
        assert!(
            document["openapi"].as_str().expect("a version").starts_with("3.1"),
            "{}",
            document["openapi"]
        );
        let operations = operations(&document);
        assert!(operations.len() >= 12, "{operations:?}");
        for (path, method, operation) in operations {
            for described in ["operationId", "summary", "tags", "responses"] {
                assert!(!operation[described].is_null(), "{method} {path}: {described}");
            }
            let description = &operation["responses"]["400"];
            assert!(!description["content"]["application/problem+json"].is_null(), "{method} {path}");
            if method == "get" {
                let path = path.replace("{client_identifier}", "x");
                let needs_a_parameter = operation["parameters"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|one| one["in"] == "query" && one["required"] == true));
                // This node is alone.
                let status = match path.as_str() {
                    "/api/v1/cluster" => 404,
                    _ if needs_a_parameter => 400,
                    _ => 200,
                };
                assert_eq!(admin.send("GET", &path, "").status, status, "{path}");
                let unknown = admin.send("GET", &format!("{path}?colour=blue"), "").problem(400);
                assert!(needs_a_parameter || unknown.contains("colour"), "{path}: {unknown}");
            }
        }
    });
}

#[test]
fn what_is_wrong_is_a_problem() {
    on_node(1, settings(), async |node| {
        let admin = Admin::of(node);
        admin.send("GET", "/api/v1/nothing", "").problem(404);
        admin.send("GET", "/api/v1/clients/nobody", "").problem(404);
        let refused = admin.send("DELETE", "/api/v1/nodes", "");
        refused.problem(405);
        assert!(refused.head.contains("allow: GET,HEAD\r\n"), "{refused:?}");
        for wrong in [
            "clients?limit=0",
            "clients?limit=1001",
            "clients?limit=many",
            "clients?sort=beauty",
            "clients?cursor=nonsense",
            "clients?limit=1&limit=2",
            "sessions?online=perhaps",
            "subscriptions?matches=a%2F%23",
            "retained?filter=a%23",
            "clients/%FF",
        ] {
            admin.send("GET", &format!("/api/v1/{wrong}"), "").problem(400);
        }
    });
}
