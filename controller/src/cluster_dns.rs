//! How names resolve in this cluster, learnt from the controller's own `resolv.conf`, so that module pods, which bring their own
//! search list, use the same server and domain as every other pod.

use std::net::IpAddr;

/// Most search domains of a pod; Kubernetes' own bound.
const MAX_SEARCHES: usize = 32;
/// Most bytes of all search domains together; Kubernetes' own bound.
const MAX_SEARCH_BYTES: usize = 2048;
/// Most name servers of a pod; Kubernetes' own bound.
const MAX_NAMESERVERS: usize = 3;
/// The domain of a cluster where nothing says otherwise.
const DEFAULT_DOMAIN: &str = "cluster.local";

/// Why the cluster's DNS is not known.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// No server in `resolv.conf`, and no flag.
    #[error("no name server is known: /etc/resolv.conf names none; set CLUSTER_DNS to the address of the cluster's DNS Service")]
    NoNameserver,
}

/// The cluster's DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDns {
    /// Addresses of the servers.
    pub nameservers: Vec<IpAddr>,
    /// The cluster's domain, without a leading or trailing dot.
    pub domain: String,
    /// Search domains that are the site's, not the cluster's.
    site_searches: Vec<String>,
}

impl ClusterDns {
    /// Reads `resolv_conf` as a pod in `namespace` has it; `nameserver` and `domain` win over what it says.
    pub fn read(resolv_conf: &str, namespace: &str, nameserver: Option<IpAddr>, domain: Option<&str>) -> Result<Self, DnsError> {
        let mut nameservers: Vec<IpAddr> = Vec::new();
        let mut searches: Vec<String> = Vec::new();
        for line in resolv_conf.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => nameservers.extend(words.next().and_then(|address| address.parse::<IpAddr>().ok())),
                Some("search") => searches = words.map(|domain| domain.trim_end_matches('.').to_owned()).collect(),
                _ => {}
            }
        }
        if let Some(nameserver) = nameserver {
            nameservers = vec![nameserver];
        }
        nameservers.truncate(MAX_NAMESERVERS);
        if nameservers.is_empty() {
            return Err(DnsError::NoNameserver);
        }
        let own = format!("{namespace}.svc.");
        let found = searches.iter().find_map(|search| search.strip_prefix(&own)).map(str::to_owned);
        let domain =
            domain.map(|domain| domain.trim_matches('.').to_owned()).or(found).unwrap_or_else(|| DEFAULT_DOMAIN.to_owned());
        let of_the_cluster = |search: &String| *search == domain || search.ends_with(&format!("svc.{domain}"));
        searches.retain(|search| !search.is_empty() && !of_the_cluster(search));
        Ok(Self { nameservers, domain, site_searches: searches })
    }

    /// The search list of a module's pod: the zone of its siblings first. Behind the site's domains it would fail, since some sites
    /// answer every name.
    pub fn searches(&self, zone: &str, namespace: &str) -> Vec<String> {
        let domain = &self.domain;
        let mut list = vec![
            format!("{zone}.{namespace}.svc.{domain}"),
            format!("{namespace}.svc.{domain}"),
            format!("svc.{domain}"),
            domain.clone(),
        ];
        list.extend(self.site_searches.iter().cloned());
        list.truncate(MAX_SEARCHES);
        while list.iter().map(|search| search.len() + 1).sum::<usize>() > MAX_SEARCH_BYTES {
            list.pop();
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_A_POD: &str = "search edge-system.svc.plant.example svc.plant.example plant.example site.example.com\n\
                            nameserver 10.96.0.10\noptions ndots:5\n";

    #[test]
    fn a_pods_resolv_conf_tells_server_domain_and_site() {
        let dns = ClusterDns::read(IN_A_POD, "edge-system", None, None).unwrap();
        assert_eq!(dns.nameservers, ["10.96.0.10".parse::<IpAddr>().unwrap()]);
        assert_eq!(dns.domain, "plant.example");
        assert_eq!(
            dns.searches("line-7-modules", "factory"),
            [
                "line-7-modules.factory.svc.plant.example",
                "factory.svc.plant.example",
                "svc.plant.example",
                "plant.example",
                "site.example.com"
            ]
        );
    }

    #[test]
    fn flags_win_over_the_file() {
        let dns = ClusterDns::read(IN_A_POD, "edge-system", Some("10.0.0.1".parse().unwrap()), Some("cluster.local.")).unwrap();
        assert_eq!((dns.nameservers.len(), dns.domain.as_str()), (1, "cluster.local"));
    }

    #[test]
    fn outside_a_cluster_the_usual_domain_is_assumed_and_a_server_demanded() {
        let dns = ClusterDns::read("search home.example\nnameserver 192.0.2.1\n", "default", None, None).unwrap();
        assert_eq!(dns.domain, "cluster.local");
        assert_eq!(ClusterDns::read("", "default", None, None), Err(DnsError::NoNameserver));
    }

    #[test]
    fn the_search_list_stays_within_the_bounds_of_a_pod() {
        let many = format!(
            "search {}\nnameserver 192.0.2.1\n",
            (0..100).map(|i| format!("site-{i}.{}", "x".repeat(60))).collect::<Vec<_>>().join(" ")
        );
        let list = ClusterDns::read(&many, "default", None, None).unwrap().searches("z", "n");
        assert!(list.len() <= 32 && list.iter().map(|search| search.len() + 1).sum::<usize>() <= 2048);
    }
}
