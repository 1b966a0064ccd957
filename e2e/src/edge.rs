//! One EdgeDeployment of a scenario.

use std::collections::BTreeMap;

use edge_crds::condition::ConditionType;
use edge_crds::edge_deployment::{GROUP, KIND, ModuleStatus, RuntimeStatus, VERSION};
use edge_crds::name::{DeploymentNames, ModuleNames};
use edge_crds::{EdgeDeployment, EdgeDeploymentStatus, labels};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Resource};
use serde_json::{Value, json};

use crate::cluster::MANAGER;
use crate::eventually::eventually;
use crate::ledger::{Ledger, Ledgers};
use crate::namespace::{Namespace, Said};
use crate::tool::kubectl;
use crate::{SOON, STARTED};

/// Name of a module's container.
const MODULE_CONTAINER: &str = "module";

/// An EdgeDeployment in a namespace of a scenario.
pub struct Edge<'n> {
    namespace: &'n Namespace,
    name: String,
}

impl<'n> Edge<'n> {
    pub(crate) fn new(namespace: &'n Namespace, name: &str) -> Self {
        Self { namespace, name: name.to_owned() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of what it owns.
    pub fn names(&self) -> DeploymentNames {
        DeploymentNames::new(self.name.clone())
    }

    /// Applies another spec and returns its generation.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn apply(&self, spec: Value) -> i64 {
        self.try_apply(spec).await.unwrap_or_else(|refusal| panic!("EdgeDeployment {} was refused: {refusal}", self.name))
    }

    /// The same, where a refusal by the API server is an answer.
    pub async fn try_apply(&self, spec: Value) -> Result<i64, String> {
        // Not our own type: it would fill in what the author left out.
        let object = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": KIND,
            "metadata": {"name": self.name},
            "spec": spec,
        });
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.namespace.client(), self.namespace.name(), &ApiResource::erase::<EdgeDeployment>(&()));
        let params = PatchParams { force: true, ..PatchParams::apply(MANAGER).validation_strict() };
        let applied = api.patch(&self.name, &params, &Patch::Apply(&object)).await.map_err(|error| error.to_string())?;
        Ok(applied.meta().generation.unwrap_or_default())
    }

    /// Asks for its deletion.
    pub async fn delete(&self) {
        self.api().delete(&self.name, &DeleteParams::default()).await.unwrap();
    }

    /// The object as it is.
    pub async fn get(&self) -> EdgeDeployment {
        self.api().get(&self.name).await.unwrap()
    }

    fn api(&self) -> Api<EdgeDeployment> {
        self.namespace.api()
    }

    /// Looks at its status until `find` finds something in it. Only a status of the newest generation counts.
    pub async fn eventually<T>(
        &self,
        what: &str,
        within: std::time::Duration,
        mut find: impl FnMut(&EdgeDeploymentStatus) -> Result<T, String>,
    ) -> T {
        eventually(what, within, async || {
            let edge = self.api().get(&self.name).await.map_err(|error| error.to_string())?;
            let status = edge.status.unwrap_or_default();
            if status.observed_generation != edge.metadata.generation {
                return Err(format!("generation {:?} is not observed yet: {}", edge.metadata.generation, shown(&status)));
            }
            find(&status).map_err(|missing| format!("{missing}; {}", shown(&status)))
        })
        .await
    }

    /// Waits until it is Ready as it stands, with nothing under way.
    pub async fn ready(&self) {
        self.eventually(&format!("{} is Ready", self.name), STARTED, |status| {
            let settled = find(status, ConditionType::Reconciling).is_none() && find(status, ConditionType::Stalled).is_none();
            match find(status, ConditionType::Ready) {
                Some(ready) if ready.status == "True" && settled => Ok(()),
                _ => Err("not Ready".to_owned()),
            }
        })
        .await;
    }

    /// Waits until the newest spec is refused, and returns the condition that says why.
    pub async fn stalled(&self) -> Condition {
        self.eventually(&format!("{} is Stalled", self.name), SOON, |status| {
            find(status, ConditionType::Stalled)
                .filter(|stalled| stalled.status == "True")
                .cloned()
                .ok_or("not Stalled".to_owned())
        })
        .await
    }

    /// Waits for a condition to have a status.
    pub async fn condition(&self, kind: ConditionType, status: &str) -> Condition {
        self.eventually(&format!("{} is {status}", kind.as_str()), SOON, |seen| {
            find(seen, kind).filter(|condition| condition.status == status).cloned().ok_or(format!("{kind:?} is not {status}"))
        })
        .await
    }

    /// Waits until a module's entry in the status is as `find` wants it.
    pub async fn module<T>(&self, module: &str, what: &str, find: impl Fn(&ModuleStatus) -> Result<T, String>) -> T {
        self.eventually(&format!("module {module}: {what}"), SOON, |status| {
            let entry = status.modules.iter().find(|entry| entry.name == module);
            find(entry.ok_or_else(|| format!("no entry for {module}"))?)
        })
        .await
    }

    /// Waits until a module has a runtime status, and returns its entry.
    pub async fn module_is(&self, module: &str, wanted: RuntimeStatus) -> ModuleStatus {
        let what = format!("is {}", wanted.as_str());
        self.module(
            module,
            &what,
            |entry| if entry.runtime_status == wanted { Ok(entry.clone()) } else { Err(format!("{entry:?}")) },
        )
        .await
    }

    /// Name of a module's pod.
    pub fn pod(&self, module: &str) -> String {
        ModuleNames::new(&self.name, module).unwrap().object_name().to_owned()
    }

    /// A module's pod.
    pub async fn get_pod(&self, module: &str) -> Pod {
        self.namespace.api::<Pod>().get(&self.pod(module)).await.unwrap()
    }

    /// The uid of each of its pods, the hub's included, by name. Equal before and after: nothing was touched.
    pub async fn uids(&self) -> BTreeMap<String, String> {
        let params = ListParams::default().labels(&labels::list_selector(&self.name));
        let pods = self.namespace.api::<Pod>().list(&params).await.unwrap();
        pods.items.into_iter().map(|pod| (pod.name_any(), pod.uid().unwrap_or_default())).collect()
    }

    /// What a module has printed.
    pub async fn log(&self, module: &str) -> String {
        self.namespace.log(&self.pod(module), MODULE_CONTAINER).await
    }

    /// Waits until a module's log is as `find` wants it.
    pub async fn log_has<T>(&self, module: &str, what: &str, within: std::time::Duration, find: impl Fn(&str) -> Option<T>) -> T {
        eventually(&format!("the log of {module} has {what}"), within, async || {
            let log = self.log(module).await;
            let tail = log.lines().rev().take(3).collect::<Vec<_>>().join(" / ");
            find(&log).ok_or_else(|| format!("its last lines, newest first: {tail}"))
        })
        .await
    }

    /// What a receiver says of what came to it.
    pub async fn ledgers(&self, receiver: &str) -> Ledgers {
        Ledgers::newest_in(&self.log(receiver).await)
    }

    /// Waits until number `count` of `sender` came to `receiver` and none is missing, and returns the ledger.
    pub async fn received(&self, receiver: &str, sender: &str, count: u64) -> Ledger {
        eventually(&format!("messages 1 to {count} of {sender} in {receiver}"), SOON, async || {
            let ledger = self.ledgers(receiver).await.of(sender);
            if ledger.highest >= count && ledger.missing == 0 { Ok(ledger) } else { Err(format!("{ledger:?}")) }
        })
        .await
    }

    /// The hub's metrics, read through the API server.
    pub async fn hub_metrics(&self) -> String {
        let path = format!("/api/v1/namespaces/{}/pods/{}:9600/proxy/metrics", self.namespace.name(), self.names().hub_pod());
        kubectl(&["get", "--raw", &path]).await
    }

    /// Runs a command in a module.
    ///
    /// # Panics
    /// When it fails.
    pub async fn exec(&self, module: &str, command: &[&str]) -> String {
        self.namespace.exec(&self.pod(module), MODULE_CONTAINER, command).await
    }

    /// The same, where failing is an answer.
    pub async fn try_exec(&self, module: &str, command: &[&str]) -> Result<String, String> {
        self.namespace.try_exec(&self.pod(module), MODULE_CONTAINER, command).await
    }

    /// Waits until `url` answers to a module made by [`visitor`](crate::visitor), and returns what it says. Endpoints follow their
    /// pods with a moment's delay.
    pub async fn visit(&self, visitor: &str, url: &str) -> String {
        let program = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).read().decode())";
        let command = ["python3", "-c", program, url];
        eventually(&format!("an answer from {url}"), SOON, async || self.try_exec(visitor, &command).await).await
    }

    /// The events about it, oldest first.
    pub async fn said(&self) -> Vec<Said> {
        self.namespace.said_of(KIND, &self.name).await
    }

    /// Waits for an event about it whose sentence contains `text`.
    pub async fn says(&self, text: &str) -> Said {
        eventually(&format!("an event says {text:?}"), SOON, async || {
            let said = self.said().await;
            said.iter().find(|said| said.note.contains(text)).cloned().ok_or_else(|| format!("{said:?}"))
        })
        .await
    }
}

fn find(status: &EdgeDeploymentStatus, kind: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == kind.as_str())
}

/// A status as short as a person would retell it.
fn shown(status: &EdgeDeploymentStatus) -> String {
    let conditions = status.conditions.iter().map(|c| format!("{}={} {} ({})", c.type_, c.status, c.reason, c.message));
    let modules = status.modules.iter().map(|module| {
        let description = module.status_description.as_deref().unwrap_or_default();
        format!("{} {} {description}", module.name, module.runtime_status.as_str())
    });
    format!("[{}] [{}]", conditions.collect::<Vec<_>>().join(", "), modules.collect::<Vec<_>>().join(", "))
}
