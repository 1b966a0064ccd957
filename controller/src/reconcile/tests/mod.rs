mod build;
mod modules;
mod plan;
mod status;
mod validate;
