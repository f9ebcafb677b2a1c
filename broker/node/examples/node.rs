//! Runs one node until it is killed: `node DIRECTORY ADDRESS`, as for trying a client against it.

use std::net::SocketAddr;

use leeward_node::{Node, NodeConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("usage: node DIRECTORY ADDRESS")?;
    let listen: SocketAddr = arguments.next().ok_or("usage: node DIRECTORY ADDRESS")?.parse()?;
    let node = Node::start(NodeConfig { listen, ..NodeConfig::new(directory) }).await?;
    println!("{} {}", node.addr(), node.cluster_id());
    tokio::signal::ctrl_c().await?;
    node.shutdown().await;
    Ok(())
}
