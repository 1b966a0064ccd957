//! The workload API from inside a module, and the hub's certificate.

use edge_crds::name::ModuleNames;
use edge_e2e::{PYTHON, STARTED, scenario};
use edge_protocol::configuration::SymmetricKey;
use edge_protocol::workload::{HMAC_SHA256, SignRequest, sign};
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

/// Asks for a signature and the trust bundle, opens TLS to the hub with that bundle alone, and prints what came of it as JSON.
const ASK: &str = r#"
import base64, http.client, json, os, signal, socket, ssl, urllib.parse
env = os.environ

class Workload(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(env["IOTEDGE_WORKLOADURI"].removeprefix("unix://"))

def ask(method, path, body=None):
    connection = Workload("workload")
    connection.request(method, path + "?api-version=" + env["IOTEDGE_APIVERSION"],
                       json.dumps(body) if body else None, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read() or "{}")

of_module = "/modules/%s/genid/%s/" % (urllib.parse.quote(env["IOTEDGE_MODULEID"]), env["IOTEDGE_MODULEGENERATIONID"])
data = base64.b64encode(b"to be signed").decode()
result = {"sign": ask("POST", of_module + "sign", {"keyId": "primary", "algo": "HMACSHA256", "data": data})}
result["other"] = ask("POST", of_module.replace("/asker/", "/another/") + "sign", {"keyId": "primary", "algo": "HMACSHA256", "data": data})[0]
result["bundle"] = ask("GET", "/trust-bundle")
context = ssl.create_default_context(cadata=result["bundle"][1]["certificate"])
for host in (env["IOTEDGE_GATEWAYHOSTNAME"], "edgehub"):
    with socket.create_connection((host, 8883), 10) as plain, context.wrap_socket(plain, server_hostname=host) as tls:
        result[host] = tls.version()
print("RESULT " + json.dumps(result), flush=True)
signal.pause()
"#;

#[tokio::test]
async fn a_module_signs_and_trusts_the_hub_with_what_the_workload_api_gives() {
    scenario("workload-api", async |namespace| {
        let asker = json!({"name": "asker", "image": PYTHON, "createOptions": {"Cmd": ["-c", ASK]}});
        let edge = namespace.edge("line", json!({"modules": [asker]})).await;
        let result = edge.log_has("asker", "a result", STARTED, |log| {
            let line = log.lines().find_map(|line| line.strip_prefix("RESULT "))?;
            serde_json::from_str::<Value>(line).ok()
        });
        let result = result.await;

        let identity: Secret = namespace.api().get(&ModuleNames::new("line", "asker").unwrap().identity_secret()).await.unwrap();
        let key = String::from_utf8(identity.data.unwrap()["key"].0.clone()).unwrap();
        let request = SignRequest { key_id: String::new(), algo: HMAC_SHA256.to_owned(), data: "dG8gYmUgc2lnbmVk".to_owned() };
        let expected = sign(&SymmetricKey::from_base64(key.trim()), &request).unwrap().digest;
        assert_eq!(result["sign"], json!([200, {"digest": expected}]), "{result}");
        // Another module's name opens nothing here.
        assert!(result["other"].as_u64().is_some_and(|status| (400..500).contains(&status)), "{result}");
        for host in [edge.names().hub().as_str(), "edgehub"] {
            assert!(result[host].as_str().is_some_and(|version| version.starts_with("TLSv1.")), "{host}: {result}");
        }
    })
    .await;
}
