//! One BIND 9 on a loopback port, with a folder of its own, for one test.

use std::{
    fs,
    net::{SocketAddr, TcpListener, UdpSocket},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use leeward_failover::Tsig;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;
use tokio::{net::TcpStream, time::sleep};

const STARTS_WITHIN: Duration = Duration::from_secs(20);
/// Range of the ports that named is given.
const PORTS_FROM: u16 = 15_300;
const PORTS: u16 = 15_000;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running `named`; dropped, it is killed.
pub(super) struct Named {
    address: SocketAddr,
    child: Child,
    _folder: TempDir,
}

impl Named {
    /// Serves `zone`, and takes updates of targets and texts below it that `key` signed.
    pub(super) async fn start(zone: &str, key: &Tsig) -> Self {
        let folder = tempfile::tempdir().expect("a folder for named");
        let address = free_port();
        write_files(&folder, address, zone, key);
        let log = folder.path().join("named.log");
        let stderr = fs::File::create(&log).expect("the folder is ours");
        let mut child = Command::new(program())
            .args(["-g", "-4", "-n", "1", "-c"])
            .arg(folder.path().join("named.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("named does not run ({error}): install bind9, or run tests/dns/run")
            });
        let deadline = Instant::now() + STARTS_WITHIN;
        while !fs::read_to_string(&log).unwrap_or_default().contains("all zones loaded")
            || TcpStream::connect(address).await.is_err()
        {
            let said = || fs::read_to_string(&log).unwrap_or_default();
            assert!(child.try_wait().expect("our child").is_none(), "named ended: {}", said());
            assert!(Instant::now() < deadline, "named does not answer: {}", said());
            sleep(LOOK_EVERY).await;
        }
        Self { address, child, _folder: folder }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        assert!(killed.is_ok() || std::thread::panicking(), "named does not die: {killed:?}");
    }
}

/// Debian keeps it where a user's `PATH` does not look.
fn program() -> &'static str {
    let usual = "/usr/sbin/named";
    if fs::exists(usual).unwrap_or(false) { usual } else { "named" }
}

/// A port below those that the kernel hands out, so that no other test takes it before named does.
fn free_port() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mine = std::process::id().wrapping_mul(61);
    loop {
        let next = mine.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % u32::from(PORTS);
        let address = SocketAddr::from(([127, 0, 0, 1], PORTS_FROM + next as u16));
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

fn write_files(folder: &TempDir, address: SocketAddr, zone: &str, key: &Tsig) {
    let path = folder.path().display();
    let (name, secret) = (key.name(), key.secret());
    let secret = secret.expose_secret();
    let port = address.port();
    let configuration = format!(
        r#"
options {{
    directory "{path}";
    pid-file none;
    session-keyfile "{path}/session.key";
    listen-on port {port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    recursion no;
    dnssec-validation no;
    notify no;
}};
controls {{ }};
key "{name}" {{ algorithm hmac-sha256; secret "{secret}"; }};
zone "{zone}" {{
    type primary;
    file "{path}/zone.db";
    update-policy {{ grant "{name}" subdomain {zone}. A CNAME TXT; }};
}};
"#
    );
    let records = format!(
        "$TTL 1\n@ IN SOA ns.{zone}. hostmaster.{zone}. 1 60 10 86400 1\n@ IN NS ns.{zone}.\nns IN A 127.0.0.1\n"
    );
    fs::write(folder.path().join("named.conf"), configuration).expect("the folder is ours");
    fs::write(folder.path().join("zone.db"), records).expect("the folder is ours");
}
