//! An API server in memory: enough of one to hold a conversation with the controller, and to write it down.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_controller::cluster_dns::ClusterDns;
use edge_controller::context::Context;
use edge_controller::events::Recorder;
use edge_controller::hub_link::HubLinks;
use edge_controller::settings::Settings;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// The time in these tests.
pub(crate) fn now() -> Timestamp {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

/// One request that changes something.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Write {
    pub(crate) method: String,
    /// Without the prefix and the namespace: `pods/line-7-filter`.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: Value,
}

/// What the server holds, and what it was told.
#[derive(Default)]
pub(crate) struct Api {
    objects: BTreeMap<String, Value>,
    writes: Vec<Write>,
    refusals: Vec<(String, String)>,
    is_silent: bool,
    delay: Duration,
}

/// A handle on the server.
#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Mutex<Api>>);

impl Server {
    /// A server that holds these objects, given as YAML documents.
    pub(crate) fn with(documents: &[&str]) -> Self {
        let server = Self::default();
        for document in documents {
            server.put(serde_yaml_ng::from_str(document).unwrap());
        }
        server
    }

    /// Puts an object there.
    pub(crate) fn put(&self, object: Value) {
        let path = format!("{}/{}", plural(object["kind"].as_str().unwrap()), object["metadata"]["name"].as_str().unwrap());
        self.0.lock().unwrap().objects.insert(path, object);
    }

    /// The object at `path`, such as `pods/line-7-filter`.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.0.lock().unwrap().objects.get(path).cloned()
    }

    /// Changes the object at `path`.
    pub(crate) fn change(&self, path: &str, change: impl FnOnce(&mut Value)) {
        change(self.0.lock().unwrap().objects.get_mut(path).unwrap());
    }

    /// Removes the object at `path`, as somebody else would.
    pub(crate) fn remove(&self, path: &str) {
        self.0.lock().unwrap().objects.remove(path).unwrap();
    }

    /// Every object whose path begins so.
    pub(crate) fn all(&self, prefix: &str) -> Vec<String> {
        self.0.lock().unwrap().objects.keys().filter(|path| path.starts_with(prefix)).cloned().collect()
    }

    /// Refuses requests that contain `part` in their query, or in the path of what they write, with this message.
    pub(crate) fn refuse(&self, part: &str, message: &str) {
        self.0.lock().unwrap().refusals.push((part.to_owned(), message.to_owned()));
    }

    /// Refuses nothing any more.
    pub(crate) fn refuse_nothing(&self) {
        self.0.lock().unwrap().refusals.clear();
    }

    /// What was written since the last call, events and the remembering of specs left out: method and path.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.take()
            .into_iter()
            .filter(|write| !write.path.starts_with("events") && !write.path.starts_with("controllerrevisions"))
            .map(|write| {
                let trial = if write.query.contains("dryRun") { " (dry run)" } else { "" };
                format!("{} {}{trial}", write.method, write.path)
            })
            .collect()
    }

    /// The same in full.
    pub(crate) fn take(&self) -> Vec<Write> {
        std::mem::take(&mut self.0.lock().unwrap().writes)
    }

    /// From now on nothing is answered.
    pub(crate) fn go_silent(&self) {
        self.0.lock().unwrap().is_silent = true;
    }

    /// From now on every request is done at once, and its answer takes this long.
    pub(crate) fn answer_after(&self, delay: Duration) {
        self.0.lock().unwrap().delay = delay;
    }

    /// A client of this server.
    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        Client::new(service, "plant")
    }

    /// A context whose API server this is.
    pub(crate) fn context(&self) -> Context {
        let client = self.client();
        let (changed, _) = mpsc::channel(1);
        Context {
            client: client.clone(),
            settings: Settings {
                image: "edge-operator:test".into(),
                image_pull_policy: "IfNotPresent".into(),
                image_pull_secrets: Vec::new(),
                allow_elevated_permissions: true,
                dns: ClusterDns::read("", "edge-system", Some("10.96.0.10".parse().unwrap()), None).unwrap(),
            },
            recorder: Recorder::new(client, "test"),
            links: HubLinks::new(changed),
            metrics: Arc::default(),
            clock: now,
        }
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        if self.0.lock().unwrap().is_silent {
            return std::future::pending().await;
        }
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body: Value = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        let path = parts.uri.path().split("/namespaces/plant/").nth(1).unwrap_or_else(|| panic!("{}", parts.uri)).to_owned();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let (status, body) = self.0.lock().unwrap().handle(&parts.method, &path, &query, body);
        let delay = self.0.lock().unwrap().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        Response::builder().status(status).body(Body::from(serde_json::to_vec(&body).unwrap())).unwrap()
    }
}

impl Api {
    fn handle(&mut self, method: &Method, path: &str, query: &str, body: Value) -> (StatusCode, Value) {
        if *method != Method::GET {
            let path = match body["metadata"]["name"].as_str() {
                Some(name) if *method == Method::POST => format!("{path}/{name}"),
                _ => path.to_owned(),
            };
            self.writes.push(Write { method: method.to_string(), path, query: query.to_owned(), body: body.clone() });
        }
        if let Some((_, message)) = self
            .refusals
            .iter()
            .find(|(part, _)| query.contains(part.as_str()) || (*method != Method::GET && path.contains(part.as_str())))
        {
            return failure(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
        }
        match (method.as_str(), path.split('/').collect::<Vec<_>>().as_slice()) {
            ("GET", [plural]) => {
                let items: Vec<_> = self
                    .objects
                    .iter()
                    .filter(|(path, object)| path.starts_with(&format!("{plural}/")) && is_ours(object, query))
                    .map(|(_, object)| object.clone())
                    .collect();
                (StatusCode::OK, json!({ "kind": "List", "apiVersion": "v1", "metadata": {}, "items": items }))
            }
            ("GET", [_, _]) => found(self.objects.get(path)),
            ("POST", [plural]) => {
                if query.contains("dryRun") {
                    return (StatusCode::CREATED, body);
                }
                let path = format!("{plural}/{}", body["metadata"]["name"].as_str().unwrap());
                if self.objects.contains_key(&path) {
                    return failure(StatusCode::CONFLICT, "AlreadyExists", "already exists");
                }
                self.objects.insert(path.clone(), stored(body, &path));
                (StatusCode::CREATED, self.objects[&path].clone())
            }
            ("PATCH", [plural, name, "status"]) => {
                let path = format!("{plural}/{name}");
                let object = self.objects.get_mut(&path).unwrap();
                object["status"] = body["status"].clone();
                (StatusCode::OK, object.clone())
            }
            ("PATCH", [_, _]) if query.contains("force=true") => {
                let before = self.objects.get(path).cloned().unwrap_or(Value::Null);
                let mut object = stored(body, path);
                if before["metadata"]["uid"].is_string() {
                    object["metadata"]["uid"] = before["metadata"]["uid"].clone();
                    object["status"] = before["status"].clone();
                }
                self.objects.insert(path.to_owned(), object);
                (StatusCode::OK, self.objects[path].clone())
            }
            ("PATCH", [_, _]) => {
                let Some(object) = self.objects.get_mut(path) else { return found(None) };
                merge(object, &body);
                (StatusCode::OK, object.clone())
            }
            ("PUT", [_, _]) => {
                let version =
                    |object: &Value| object["metadata"]["resourceVersion"].as_str().unwrap_or("1").parse::<u32>().unwrap();
                let before = version(&self.objects[path]);
                if version(&body) != before {
                    return failure(StatusCode::CONFLICT, "Conflict", "the object has been modified");
                }
                let mut object = body;
                object["metadata"]["resourceVersion"] = json!((before + 1).to_string());
                self.objects.insert(path.to_owned(), object);
                (StatusCode::OK, self.objects[path].clone())
            }
            ("DELETE", [_, _]) => found(self.objects.remove(path).as_ref()),
            other => panic!("nobody expected {other:?}"),
        }
    }
}

fn stored(mut object: Value, path: &str) -> Value {
    object["metadata"]["uid"] = json!(format!("uid-of-{path}"));
    object["metadata"]["namespace"] = json!("plant");
    object["metadata"]["creationTimestamp"] = json!("2026-05-01T12:00:00Z");
    object
}

fn merge(object: &mut Value, patch: &Value) {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(object.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (object, patch) => *object = patch.clone(),
    }
}

fn is_ours(object: &Value, query: &str) -> bool {
    !query.contains("labelSelector") || object["metadata"]["labels"]["iotedge.dev/deployment"] == "line-7"
}

fn found(object: Option<&Value>) -> (StatusCode, Value) {
    match object {
        Some(object) => (StatusCode::OK, object.clone()),
        None => failure(StatusCode::NOT_FOUND, "NotFound", "not found"),
    }
}

fn failure(code: StatusCode, reason: &str, message: &str) -> (StatusCode, Value) {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code.as_u16() });
    (code, status)
}

fn plural(kind: &str) -> String {
    match kind {
        "EdgeDeployment" => "edgedeployments".to_owned(),
        other => format!("{}s", other.to_ascii_lowercase()),
    }
}
