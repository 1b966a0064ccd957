//! Docker's container-create body, as people write it into `createOptions`: read once into types, with everything that cannot be
//! read named by its path, and everything that has no equivalent in a pod collected by name.
//!
//! # Rules
//! - The body is an object, or a string that holds one as JSON. Absent, `null`, an empty string and `{}` all mean "no options".
//! - Members are matched without regard to letter case, as the Docker engine does; of two spellings of one member the exact one wins.
//! - A member that we understand must have the right shape: a wrong one is a [`Problem`], and the whole object is refused.
//! - A member that we do not translate is a [`Remark`]: the module still runs, and its status says what was left out. A value that
//!   asks for nothing (`null`, `false`, `0`, `""`, `[]`, `{}`) is passed over in silence, because templates are full of them.
//!
//! Pure: no Kubernetes object is named here. What may be granted (privileges, host paths) is decided where pods are built.

mod binds;
mod container;
mod host_config;
mod members;
mod ports;
mod reader;
mod remark;

pub use binds::{Bind, Source};
pub use container::{EnvVar, User};
pub use ports::{Port, PortBinding, Protocol};
pub(crate) use reader::asks_for_nothing;
pub use remark::{Problem, Remark};

use serde_json::Value;
use std::collections::BTreeMap;

use reader::Reader;

/// Largest createOptions, in bytes of JSON. IoT Hub's own twins hold 32 KiB in all.
pub const MAX_BYTES: usize = 64 * 1024;
/// Deepest nesting of createOptions. Docker's own body needs five levels.
pub const MAX_DEPTH: usize = 16;

/// What a module's author asked for, in types.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateOptions {
    /// `Env`, in order, split at the first `=`.
    pub env: Vec<EnvVar>,
    /// `Cmd`: the arguments.
    pub cmd: Option<Vec<String>>,
    /// `Entrypoint`: the program.
    pub entrypoint: Option<Vec<String>>,
    /// `WorkingDir`.
    pub working_dir: Option<String>,
    /// `User`, where it is numeric.
    pub user: Option<User>,
    /// `Labels`.
    pub labels: BTreeMap<String, String>,
    /// `ExposedPorts`.
    pub exposed_ports: Vec<Port>,
    /// `HostConfig.Binds` and `HostConfig.Mounts`, in that order.
    pub binds: Vec<Bind>,
    /// `HostConfig.PortBindings`.
    pub port_bindings: Vec<PortBinding>,
    /// `HostConfig.Privileged`.
    pub privileged: bool,
    /// `HostConfig.CapAdd`, in capitals and without `CAP_`.
    pub cap_add: Vec<String>,
    /// `HostConfig.CapDrop`, likewise.
    pub cap_drop: Vec<String>,
    /// What was left out, or done in another way.
    pub remarks: Vec<Remark>,
}

/// Reads createOptions.
///
/// # Errors
/// Every problem found, each with the path of its member; never empty.
pub fn read(given: Option<&Value>) -> Result<CreateOptions, Vec<Problem>> {
    let body = match body(given) {
        Ok(Some(body)) => body,
        Ok(None) => return Ok(CreateOptions::default()),
        Err(problem) => return Err(vec![problem]),
    };
    let mut reader = Reader::default();
    let mut options = CreateOptions::default();
    container::read(&body, &mut options, &mut reader);
    let Reader { problems, remarks } = reader;
    options.remarks = remarks;
    if problems.is_empty() { Ok(options) } else { Err(problems) }
}

/// The object inside `given`, unpacked from its string where it is one and held against the bounds.
fn body(given: Option<&Value>) -> Result<Option<serde_json::Map<String, Value>>, Problem> {
    let parsed;
    let value = match given {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => {
            if text.len() > MAX_BYTES {
                return Err(Problem::whole(format!("is larger than {MAX_BYTES} bytes")));
            }
            if text.trim().is_empty() {
                return Ok(None);
            }
            parsed = serde_json::from_str::<Value>(text).map_err(|error| Problem::whole(format!("is not JSON: {error}")))?;
            &parsed
        }
        Some(value) => {
            if serde_json::to_string(value).map_or(true, |text| text.len() > MAX_BYTES) {
                return Err(Problem::whole(format!("is larger than {MAX_BYTES} bytes")));
            }
            value
        }
    };
    if deeper_than(value, MAX_DEPTH) {
        return Err(Problem::whole(format!("is nested deeper than {MAX_DEPTH} levels")));
    }
    match value {
        Value::Null => Ok(None),
        Value::Object(body) => Ok(Some(body.clone())),
        other => Err(Problem::whole(format!("is {}, but a Docker container-create body is an object", reader::kind(other)))),
    }
}

fn deeper_than(value: &Value, levels: usize) -> bool {
    let Some(rest) = levels.checked_sub(1) else { return true };
    match value {
        Value::Array(entries) => entries.iter().any(|entry| deeper_than(entry, rest)),
        Value::Object(members) => members.values().any(|member| deeper_than(member, rest)),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
