//! The operations of the admin API, read out of its OpenAPI document.

use hyper::Method;
use serde_json::Value;

/// What a parameter or a field takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Flag,
    OneOf(Vec<String>),
}

/// Where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Body,
}

/// A parameter, or a field of a body.
#[derive(Debug, Clone)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) place: Place,
    pub(super) kind: Kind,
    pub(super) is_list: bool,
    pub(super) is_required: bool,
}

/// One operation.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) id: String,
    /// What it is about, and what it does: the two words of its command.
    pub(super) tag: String,
    pub(super) name: String,
    pub(super) summary: String,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) parameters: Vec<Parameter>,
    pub(super) is_paged: bool,
}

/// All that the document describes.
pub(super) fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&crate::admin::document()).expect("the document is JSON");
    read(&document)
}

/// What each tag is about.
pub(super) fn tags() -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(&crate::admin::document()).expect("the document is JSON");
    let tags = document["tags"].as_array().cloned().unwrap_or_default();
    tags.iter().map(|tag| (text(&tag["name"]), text(&tag["description"]))).collect()
}

fn read(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, described) in item.as_object().into_iter().flatten() {
            let Ok(method) = method.to_uppercase().parse() else { continue };
            operations.push(operation(document, path, method, described));
        }
    }
    operations
}

fn operation(document: &Value, path: &str, method: Method, described: &Value) -> Operation {
    let id = text(&described["operationId"]);
    let tag = text(&described["tags"][0]);
    let name = id.strip_prefix(&format!("{tag}_")).unwrap_or(&id).replace('_', "-");
    let parameters = described["parameters"].as_array().into_iter().flatten();
    let mut parameters: Vec<_> = parameters.map(|parameter| self::parameter(document, parameter)).collect();
    let body = &described["requestBody"]["content"]["application/json"]["schema"];
    parameters.extend(fields(document, body));
    let is_paged = parameters.iter().any(|parameter| parameter.name == "cursor");
    Operation {
        id,
        tag,
        name,
        summary: text(&described["summary"]),
        method,
        path: path.to_owned(),
        parameters,
        is_paged,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn parameter(document: &Value, described: &Value) -> Parameter {
    let (kind, is_list) = kind(document, &described["schema"]);
    Parameter {
        name: text(&described["name"]),
        description: text(&described["description"]),
        place: if described["in"] == "path" { Place::Path } else { Place::Query },
        kind,
        is_list,
        is_required: described["required"] == true,
    }
}

fn fields(document: &Value, body: &Value) -> Vec<Parameter> {
    let body = resolved(document, body);
    let required: Vec<_> =
        body["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let field = |(name, schema): (&String, &Value)| {
        let (kind, is_list) = kind(document, schema);
        Parameter {
            name: name.clone(),
            description: text(&schema["description"]),
            place: Place::Body,
            kind,
            is_list,
            is_required: required.contains(&name.as_str()),
        }
    };
    body["properties"].as_object().into_iter().flatten().map(field).collect()
}

/// A schema that is only named, as it is described.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str().and_then(|name| name.strip_prefix('#')) {
        Some(pointer) => document.pointer(pointer).unwrap_or(&Value::Null),
        None => schema,
    }
}

fn kind(document: &Value, schema: &Value) -> (Kind, bool) {
    let schema = resolved(document, schema);
    // What may be left out is described as null or something else.
    if let Some(either) = schema["oneOf"].as_array() {
        let other = either.iter().find(|schema| schema["type"] != "null");
        return other.map_or((Kind::Text, false), |other| kind(document, other));
    }
    let has_type = |name: &str| match &schema["type"] {
        Value::Array(types) => types.iter().any(|kind| kind == name),
        kind => kind == name,
    };
    if has_type("array") {
        return (kind(document, &schema["items"]).0, true);
    }
    if let Some(words) = schema["enum"].as_array() {
        return (Kind::OneOf(words.iter().filter_map(Value::as_str).map(str::to_owned).collect()), false);
    }
    let kind = match (has_type("integer") || has_type("number"), has_type("boolean")) {
        (true, _) => Kind::Number,
        (_, true) => Kind::Flag,
        _ => Kind::Text,
    };
    (kind, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_as_they_are_described() {
        let operations = operations();
        let clients =
            operations.iter().find(|operation| operation.id == "clients_list").expect("it is there");
        assert_eq!((&*clients.tag, &*clients.name, clients.is_paged), ("clients", "list", true));
        let of = |name: &str| {
            let found =
                clients.parameters.iter().find(|parameter| parameter.name == name).expect("it is there");
            (found.place, found.kind.clone(), found.is_list)
        };
        assert_eq!(of("limit"), (Place::Query, Kind::Number, false));
        assert_eq!(of("user_name"), (Place::Query, Kind::Text, true));
        assert_eq!(of("durable"), (Place::Query, Kind::Flag, false));
        assert_eq!(of("order"), (Place::Query, Kind::OneOf(vec!["asc".into(), "desc".into()]), false));
        let versions = ["3.1", "3.1.1", "5.0"].map(str::to_owned).to_vec();
        assert_eq!(of("protocol_version"), (Place::Query, Kind::OneOf(versions), true));
        let one = operations.iter().find(|operation| operation.id == "clients_show").expect("it is there");
        assert_eq!(one.parameters[0].place, Place::Path);
    }
}
