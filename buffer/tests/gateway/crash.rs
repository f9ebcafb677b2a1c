//! The gateway as a process of its own, killed at random moments under load.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use leeward_buffer::Gateway;
use rand::Rng;

use super::harness::*;

const DIRECTORY: &str = "LEEWARD_TEST_GATEWAY_DIRECTORY";
const LISTEN: &str = "LEEWARD_TEST_GATEWAY_LISTEN";
const REGION: &str = "LEEWARD_TEST_GATEWAY_REGION";
const KILLS: usize = 8;

/// Runs a gateway where the test that kills it started this one as a child; otherwise it has nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_gateway() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let address = |name: &str| std::env::var(name).unwrap().parse::<SocketAddr>().unwrap();
    let mut config = config(Path::new(&directory), &[("a", address(REGION))]);
    config.listen = address(LISTEN);
    config.acting = Some(region("a"));
    let _gateway = Gateway::start(config).await.unwrap();
    std::future::pending::<()>().await;
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(directory: &Path, listen: SocketAddr, node: SocketAddr) -> Killed {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "gateway::crash::child_gateway", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(LISTEN, listen.to_string())
        .env(REGION, node.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Killed(child)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_doubled_when_the_gateway_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(&dir.path().join("a")).await;
    let free = free_address();
    let directory = dir.path().join("buffer");
    let mut gateway = spawn(&directory, free, node.addr());
    let through = loop {
        match leeward_client::Cluster::connect(client(&[free])).await {
            Ok(cluster) => break cluster,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let producer = producer(&through);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let load = tokio::spawn(async move {
        let mut sent = 0;
        while !*stopped.borrow() {
            produce(&producer, sent, sent + 1).await;
            sent += 1;
        }
        sent
    });

    for _ in 0..KILLS {
        let pause = rand::rng().random_range(50..400);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        drop(gateway);
        gateway = spawn(&directory, free, node.addr());
    }
    stop.send_replace(true);
    let sent = load.await.unwrap();

    let arrived = await_values(&connect(node.addr()).await, &orders(), sent).await;
    assert_eq!(arrived, numbered(0, sent));
}
