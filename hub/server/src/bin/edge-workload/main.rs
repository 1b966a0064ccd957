//! The sidecar of a module: serves the workload API on a unix socket, and waits for it on behalf of the kubelet.

mod arguments;

use std::process::ExitCode;

use clap::Parser;
use edge_hub::workload::wait::{Waited, wait};
use edge_hub::workload::{Api, IdentityFolder, Socket, serve};
use tokio::signal::unix::{SignalKind, signal};

use arguments::{Arguments, Command, Serve, Wait};

/// One thread: there are a few requests an hour, and a sidecar runs beside every module.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt().json().with_max_level(arguments.log_level).with_writer(std::io::stderr).init();
    let done = match arguments.command {
        Command::Serve(serve) => run_server(serve).await,
        Command::Wait(wait) => run_wait(wait).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run_server(arguments: Serve) -> Result<(), Box<dyn std::error::Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let folder = IdentityFolder::new(arguments.identity);
    // Read again for each request; read now so that a wrong mount is found before a module starts.
    let identity = folder.read()?;
    let socket = Socket::bind(&arguments.socket)?;
    tracing::info!(device = %identity.device, module = %identity.module, socket = %arguments.socket.display(), "serving the workload API");
    drop(identity);
    // Nothing is owed to anyone: a request that is cut here is repeated at the next start of the module.
    tokio::select! {
        never = serve(&socket, Api::new(folder, arguments.trust_bundle)) => match never {},
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopped");
    Ok(())
}

async fn run_wait(arguments: Wait) -> Result<(), Box<dyn std::error::Error>> {
    match wait(&arguments.socket, arguments.hub.as_ref(), &arguments.trust_bundle, arguments.timeout).await? {
        Waited::Ready => tracing::info!("the module may start"),
        Waited::WithoutHub(error) => {
            tracing::warn!("the module starts without its hub after {:?}: {error}", arguments.timeout);
        }
    }
    Ok(())
}
