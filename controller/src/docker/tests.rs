use serde_json::{Value, json};

use super::*;

fn read_json(value: &Value) -> CreateOptions {
    read(Some(value)).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn problems(value: &Value) -> Vec<String> {
    read(Some(value)).unwrap_err().into_iter().map(|problem| format!("{} {}", problem.path, problem.message)).collect()
}

fn remarks(value: &Value) -> Vec<String> {
    read_json(value).remarks.iter().map(ToString::to_string).collect()
}

fn bind(path: &str, source: Source, target: &str, read_only: bool) -> Bind {
    Bind { path: path.to_owned(), source, target: target.to_owned(), read_only }
}

#[test]
fn nothing_can_be_said_in_six_ways() {
    let ways =
        [None, Some(json!(null)), Some(json!("")), Some(json!("  ")), Some(json!("null")), Some(json!({})), Some(json!("{}"))];
    for way in ways {
        assert_eq!(read(way.as_ref()), Ok(CreateOptions::default()), "{way:?}");
    }
}

#[test]
fn a_string_is_read_like_the_object_it_holds() {
    let object = json!({"Env": ["A=1"], "HostConfig": {"Privileged": true}});
    assert_eq!(read_json(&json!(object.to_string())), read_json(&object));
}

#[test]
fn what_is_not_an_object_is_refused_with_its_kind() {
    assert_eq!(problems(&json!("[1]")), [" is a list, but a Docker container-create body is an object"]);
    assert!(problems(&json!("{'Env': []}"))[0].starts_with(" is not JSON: "));
}

#[test]
fn a_body_past_the_bounds_is_refused() {
    assert!(problems(&json!({"Env": ["x".repeat(MAX_BYTES)]}))[0].contains("larger than"));
    assert!(problems(&json!(" ".repeat(MAX_BYTES + 1)))[0].contains("larger than"));
    let mut deep = json!({});
    for _ in 0..MAX_DEPTH {
        deep = json!({ "a": deep });
    }
    assert!(problems(&deep)[0].contains("nested deeper"));
}

#[test]
fn every_supported_member_is_read() {
    let read = read_json(&json!({
        "Env": ["A=1", "B=x=y", "C="],
        "Cmd": ["run", "-v"],
        "Entrypoint": "/bin/app",
        "WorkingDir": "/app",
        "User": "1000:2000",
        "Labels": {"team": "line 7"},
        "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
        "HostConfig": {
            "Binds": ["/data:/data:ro", "shared:/shared"],
            "Mounts": [{"Type": "volume", "Source": "more", "Target": "/more", "ReadOnly": true}],
            "PortBindings": {"8080/tcp": [{"HostPort": "80"}]},
            "Privileged": true,
            "CapAdd": ["CAP_NET_ADMIN", "net_raw"],
            "CapDrop": ["ALL"]
        }
    }));
    let env: Vec<_> = read.env.iter().map(|var| (var.name.as_str(), var.value.as_str())).collect();
    assert_eq!(env, [("A", "1"), ("B", "x=y"), ("C", "")]);
    assert_eq!(read.cmd.unwrap(), ["run", "-v"]);
    assert_eq!(read.entrypoint.unwrap(), ["/bin/app"]);
    assert_eq!(read.working_dir.unwrap(), "/app");
    assert_eq!(read.user.unwrap(), User { uid: 1000, gid: Some(2000) });
    assert_eq!(read.labels["team"], "line 7");
    assert_eq!(read.exposed_ports.len(), 2);
    assert_eq!(
        read.binds,
        [
            bind("HostConfig.Binds[0]", Source::HostPath("/data".into()), "/data", true),
            bind("HostConfig.Binds[1]", Source::Named("shared".into()), "/shared", false),
            bind("HostConfig.Mounts[0]", Source::Named("more".into()), "/more", true),
        ]
    );
    let port = Port { number: 8080, protocol: Protocol::Tcp };
    assert_eq!(read.port_bindings, [PortBinding { container: port, published: 80 }]);
    assert!(read.privileged);
    assert_eq!((read.cap_add, read.cap_drop), (vec!["NET_ADMIN".to_owned(), "NET_RAW".to_owned()], vec!["ALL".to_owned()]));
    assert_eq!(read.remarks, []);
}

#[test]
fn members_are_found_in_any_letter_case_and_the_exact_spelling_wins() {
    assert_eq!(read_json(&json!({"hostconfig": {"portBindings": {"1": null}}})).port_bindings.len(), 1);
    let both = read_json(&json!({"Env": ["A=exact"], "env": ["A=other"]}));
    assert_eq!(both.env[0].value, "exact");
    assert_eq!(both.remarks[0].to_string(), "env was left out: Env stands beside it");
}

#[test]
fn values_that_ask_for_nothing_are_passed_over_in_silence() {
    let template = json!({
        "Hostname": "", "Tty": false, "StopTimeout": 0, "Volumes": null, "OnBuild": [],
        "NetworkingConfig": {"EndpointsConfig": {"azure-iot-edge": {}}},
        "HostConfig": {"NetworkMode": "azure-iot-edge", "LogConfig": {}, "Links": []}
    });
    assert_eq!(remarks(&template), <[String; 0]>::default());
}

/// One row per way of asking for something that cannot be had as asked; the sentence is what the module's status says.
#[test]
fn everything_left_out_is_named() {
    let table = [
        (json!({"Hostname": "m"}), "Hostname is not supported and was left out"),
        (json!({"HostConfig": {"LogConfig": {"Type": ""}}}), "HostConfig.LogConfig is not supported and was left out"),
        (json!({"HostConfig": {"NetworkMode": "Host"}}), "HostConfig.NetworkMode (Host) is not supported and was left out"),
        (json!({"NetworkingConfig": {"EndpointsConfig": {"host": {}}}}), "NetworkingConfig is not supported and was left out"),
        (
            json!({"HostConfig": {"ExposedPorts": {"1/tcp": {}}}}),
            "HostConfig.ExposedPorts has no effect there: it belongs to ExposedPorts, beside HostConfig",
        ),
        (json!({"Mounts": [1]}), "Mounts has no effect there: it belongs to HostConfig.Mounts"),
        (json!({"memorySwap": -1}), "memorySwap has no effect there: it belongs to HostConfig.MemorySwap"),
        (json!({"imagePullPolicy": "never"}), "imagePullPolicy has no effect there: it belongs to the module's imagePullPolicy"),
        (
            json!({"HostConfig": {"PortBinding": {"1": 1}}}),
            "HostConfig.PortBinding is unknown and was left out: is HostConfig.PortBindings meant?",
        ),
        (json!({"Frobnicate": 1}), "Frobnicate is unknown and was left out"),
        (
            json!({"HostConfig": {"Mounts": [{"Type": "bind", "Source": "/a", "Target": "/b", "RW": false}]}}),
            "HostConfig.Mounts[0].RW has no effect there: it belongs to ReadOnly, with the opposite value",
        ),
        (
            json!({"HostConfig": {"Mounts": [{"Type": "tmpfs", "Target": "/b"}]}}),
            "HostConfig.Mounts[0] of type tmpfs is not supported and was left out",
        ),
        (
            json!({"HostConfig": {"Binds": ["/a:/b:rshared"]}}),
            "HostConfig.Binds[0] asks for mount propagation rshared, which is not supported; the mount is private",
        ),
        (
            json!({"HostConfig": {"Binds": ["/var/run/docker.sock:/s"]}}),
            "HostConfig.Binds[0] needs Docker on the node: the module waits until there is a socket /var/run/docker.sock",
        ),
        (
            json!({"User": "app"}),
            "User (app) was left out: only numeric ids can be given to a pod, names are known to the image alone",
        ),
        (json!({"Env": ["NOVALUE"]}), "Env[0] (NOVALUE) has no = and was left out"),
        (
            json!({"HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "172.17.0.1", "HostPort": "80"}]}}}),
            "HostConfig.PortBindings.80/tcp[0].HostIp has no effect: the port is published by a Service of the cluster, \
             on the Service's address",
        ),
        (
            json!({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8000-8010"}]}}}),
            "HostConfig.PortBindings.80/tcp[0].HostPort (8000-8010) is a range, of which one port is chosen: 80 is published",
        ),
    ];
    for (body, expected) in table {
        assert_eq!(remarks(&body), [expected], "{body}");
    }
}

/// One row per way of writing something that cannot be read.
#[test]
fn every_problem_names_its_member() {
    let table = [
        (json!({"Env": "A=1"}), "Env must be a list, not a string"),
        (json!({"Env": ["=1"]}), "Env[0] has a name that is not printable ASCII"),
        (json!({"Cmd": ["a", 1]}), "Cmd[1] must be a string, not a number"),
        (json!({"WorkingDir": "app"}), "WorkingDir must be an absolute path, not \"app\""),
        (json!({"Labels": {"a": 1}}), "Labels.a must be a string, not a number"),
        (json!({"HostConfig": []}), "HostConfig must be an object, not a list"),
        (json!({"HostConfig": {"Privileged": "yes"}}), "HostConfig.Privileged must be true or false, not a string"),
        (json!({"HostConfig": {"CapAdd": ["NET ADMIN"]}}), "HostConfig.CapAdd[0] is not the name of a capability: \"NET ADMIN\""),
        (
            json!({"ExposedPorts": {"http": {}}}),
            "ExposedPorts.http is not a port: a number from 1 to 65535 is expected, with /tcp, /udp or /sctp after it",
        ),
        (
            json!({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "70000"}]}}}),
            "HostConfig.PortBindings.80/tcp[0].HostPort must be a number from 1 to 65535, not \"70000\"",
        ),
        (
            json!({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "1"}], "81/tcp": [{"HostPort": "1"}]}}}),
            "HostConfig.PortBindings.81/tcp publishes 1, which port 80 of the same module publishes already",
        ),
        (
            json!({"HostConfig": {"Binds": ["c:\\data:/data"]}}),
            "HostConfig.Binds[0] \"c:\\\\data:/data\" has a Windows path; modules run on Linux nodes",
        ),
        (
            json!({"HostConfig": {"Binds": ["C:/data:/data/"]}}),
            "HostConfig.Binds[0] \"C:/data:/data/\" has a Windows path; modules run on Linux nodes",
        ),
        (
            json!({"HostConfig": {"Binds": ["/data/../etc:/etc"]}}),
            "HostConfig.Binds[0] \"/data/../etc\" is not a path that can be mounted: no .. and at most 1024 bytes",
        ),
        (
            json!({"HostConfig": {"Binds": ["${STORE}:/data"]}}),
            "HostConfig.Binds[0] has the source \"${STORE}\": an absolute path or the name of a volume \
             ([a-zA-Z0-9][a-zA-Z0-9_.-]*) is expected",
        ),
        (
            json!({"HostConfig": {"Binds": ["/data:/"]}}),
            "HostConfig.Binds[0] has the target \"/\": an absolute path without .. is expected, and not the root",
        ),
        (json!({"HostConfig": {"Binds": ["/a:/b:exec"]}}), "HostConfig.Binds[0] has an unknown option \"exec\""),
        (
            json!({"HostConfig": {"Binds": ["/a:/b:ro:x"]}}),
            "HostConfig.Binds[0] \"/a:/b:ro:x\" is not of the form source:target[:options]",
        ),
        (
            json!({"HostConfig": {"Binds": ["/a:/c", "b:/c/"]}}),
            "HostConfig.Binds[1] mounts on /c, as HostConfig.Binds[0] does already",
        ),
        (
            json!({"HostConfig": {"Mounts": [{"Target": "/a"}]}}),
            "HostConfig.Mounts[0].Type is missing: bind or volume is expected",
        ),
        (
            json!({"HostConfig": {"Mounts": [{"Type": "bind", "Source": "a", "Target": "/a"}]}}),
            "HostConfig.Mounts[0].Source must be an absolute path, not \"a\"",
        ),
        (
            json!({"HostConfig": {"Mounts": [{"Type": "volume", "Source": "/a", "Target": "/a"}]}}),
            "HostConfig.Mounts[0].Source must be the name of a volume, not the path \"/a\"",
        ),
    ];
    for (body, expected) in table {
        assert_eq!(problems(&body), [expected], "{body}");
    }
}

#[test]
fn all_problems_are_found_at_once() {
    assert_eq!(problems(&json!({"Env": 1, "WorkingDir": 2, "HostConfig": {"Binds": 3}})).len(), 3);
}

#[test]
fn a_volume_named_like_a_drive_is_a_volume() {
    let read = read_json(&json!({"HostConfig": {"Binds": ["c:/data", "d:/more:ro"]}}));
    assert_eq!(read.binds[0], bind("HostConfig.Binds[0]", Source::Named("c".into()), "/data", false));
    assert!(read.binds[1].read_only);
}

#[test]
fn users_are_numbers_and_root_is_zero() {
    let user = |text: Value| read_json(&json!({ "User": text })).user;
    assert_eq!(user(json!("1000")), Some(User { uid: 1000, gid: None }));
    assert_eq!(user(json!(13622)), Some(User { uid: 13622, gid: None }));
    assert_eq!(user(json!("root")), Some(User { uid: 0, gid: None }));
    assert_eq!(user(json!("-1")), None);
    assert_eq!(user(json!("")), None);
}

#[test]
fn a_hostile_text_is_quoted_short_and_without_control_characters() {
    let said = &problems(&json!({"HostConfig": {"Binds": [format!("/a:/b:\u{1b}[31m{}", "x".repeat(9000))]}}))[0];
    assert!(said.len() < 400 && !said.contains('\u{1b}'), "{said}");
}
