//! The reconciler: turns each EdgeDeployment into a hub, pods and their surroundings, and reports what became of them.

pub mod docker;
