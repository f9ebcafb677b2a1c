//! The settings file of each process of the estate.

use std::fmt::Write as _;

use leeward_model::RegionName;

use super::Addresses;

/// Settings of the process `name`. Processes that stand in a region reach the others through the drill's proxies.
pub(super) fn render(
    addresses: &Addresses,
    name: &str,
    role: &str,
    region: Option<&RegionName>,
    dns_key: &std::path::Path,
) -> String {
    let mut toml = String::from("[listen]\n");
    let _ = writeln!(toml, "control = \"{}\"", addresses.control);
    let _ = writeln!(toml, "gateway = \"{}\"", addresses.gateway);
    if let Some(http) = addresses.http.get(name) {
        let _ = writeln!(toml, "http = \"{http}\"");
    }
    if let Some(dns) = addresses.dns {
        let _ = writeln!(toml, "dns = \"{dns}\"");
    }
    let own = region.and_then(|region| addresses.regions.get(region));
    if let Some(own) = own {
        let _ = writeln!(toml, "link = \"{}\"", own.mirror);
        if let Some(listen) = own.listen {
            let _ = writeln!(toml, "region = \"{listen}\"");
        }
        if let Some(listen) = own.link_listen {
            let advertised = own.link_proxy;
            let _ =
                writeln!(toml, "region_link = {{ listen = \"{listen}\", advertised = \"{advertised}\" }}");
        }
    }
    let _ = writeln!(toml, "\n[peers]\ncontroller = \"http://{}\"", addresses.control);
    if let Some(dns) = addresses.dns {
        let _ = writeln!(toml, "dns = \"{dns}\"\ndns_key_file = \"{}\"", dns_key.display());
    }
    let _ = writeln!(toml, "\n[peers.mirrors]");
    for (region, there) in &addresses.regions {
        let _ = writeln!(toml, "{region} = \"http://{}\"", there.mirror);
    }
    let _ = writeln!(toml, "\n[bootstrap]");
    for (other, there) in &addresses.regions {
        let from_elsewhere = matches!(role, "mirror" | "agent") && region != Some(other);
        let bootstrap = if from_elsewhere { &there.link_bootstrap } else { &there.bootstrap };
        let quoted: Vec<_> = bootstrap.iter().map(|address| format!("\"{address}\"")).collect();
        let _ = writeln!(toml, "{other} = [{}]", quoted.join(", "));
    }
    toml
}
