//! The proxy that clients of the target's scheme would use.

use super::Options;
use crate::ask::{Asked, ask};
use std::sync::Arc;
use std::time::{Duration, Instant};
use unrefuse_collect::Host;
use unrefuse_facts::{Missing, Observed, Protocol, ProxyAttempt, ProxySetting, Reason, SelfFacts, Source, Target};
use unrefuse_probe::AttemptOptions;

/// Asks the proxy that the environment names for this target, beside everything else.
pub(crate) fn start(
    target: &Target,
    own: &SelfFacts,
    options: &Options,
    host: &Arc<dyn Host>,
) -> Asked<Observed<Option<ProxyAttempt>>> {
    let chosen = setting(target, own).cloned();
    let (host, deadline, timeout) = (Arc::clone(host), options.deadline, options.timeout);
    ask("the proxy", deadline, move || {
        let attempt = chosen.map(|setting| attempt(&setting, host.as_ref(), deadline, timeout));
        Observed::known(attempt, Source::running("environment"))
    })
}

/// The variable that applies, by the rules that curl(1) and most libraries share: `SCHEME_proxy`, then `all_proxy`; lower
/// case before upper case; `HTTP_PROXY` in upper case is ignored, because a CGI's client can set it.
fn setting<'a>(target: &Target, own: &'a SelfFacts) -> Option<&'a ProxySetting> {
    let scheme = match target.scheme.as_deref()? {
        scheme @ ("http" | "https" | "ftp") => scheme,
        "ws" => "http",
        "wss" => "https",
        _ => return None,
    };
    let find = |name: &str| own.proxies.iter().find(|p| p.variable == name && !p.value.is_empty());
    let bypass = find("no_proxy").or_else(|| find("NO_PROXY"));
    if bypass.is_some_and(|no| unrefuse_parse::proxy::bypassed(&no.value, &target.host, target.port)) {
        return None;
    }
    let upper = scheme.to_ascii_uppercase() + "_PROXY";
    find(&format!("{scheme}_proxy"))
        .or_else(|| (scheme != "http").then(|| find(&upper)).flatten())
        .or_else(|| find("all_proxy"))
        .or_else(|| find("ALL_PROXY"))
}

fn attempt(setting: &ProxySetting, host: &dyn Host, deadline: Instant, timeout: Duration) -> ProxyAttempt {
    let made = |endpoint: String, attempts| ProxyAttempt { variable: setting.variable.clone(), endpoint, attempts };
    let Some((name, port)) = unrefuse_parse::proxy::endpoint(&setting.value) else {
        let missing =
            Missing::new(Reason::Failed, format!("{} is no proxy address: {}", setting.variable, setting.value));
        return made(setting.value.clone(), Observed::Missing(missing));
    };
    let proxy = Target { input: name.clone(), host: name, scope: None, port, protocol: Protocol::Tcp, scheme: None };
    let addresses = match host.resolve(&proxy, None).result {
        Ok(addresses) => addresses,
        Err(_) => {
            let missing = Missing::new(Reason::Failed, format!("the proxy's name {} does not resolve", proxy.host));
            return made(proxy.endpoint(), Observed::Missing(missing));
        }
    };
    let how =
        AttemptOptions { protocol: Protocol::Tcp, timeout, deadline, rounds: 1, sniff: false, watch: &|_, _| None };
    made(proxy.endpoint(), Observed::known(unrefuse_probe::attempts(&addresses, &how), Source::probed("connect(2)")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(pairs: &[(&str, &str)]) -> SelfFacts {
        let set = |(variable, value): &(&str, &str)| ProxySetting {
            variable: (*variable).into(),
            value: (*value).into(),
            location: None,
        };
        SelfFacts { proxies: pairs.iter().map(set).collect(), ..Default::default() }
    }

    fn chosen(url: &str, pairs: &[(&str, &str)]) -> Option<String> {
        let target = unrefuse_parse::target::parse(&[url], false).unwrap();
        setting(&target, &own(pairs)).map(|s| s.variable.clone())
    }

    #[test]
    fn the_schemes_own_variable_comes_first() {
        let set = [("all_proxy", "a:1"), ("https_proxy", "b:1"), ("http_proxy", "c:1")];
        assert_eq!(chosen("https://x.example", &set).as_deref(), Some("https_proxy"));
        assert_eq!(chosen("ws://x.example", &set).as_deref(), Some("http_proxy"));
        assert_eq!(chosen("http://x.example", &[("HTTP_PROXY", "a:1")]), None, "a CGI's client can set it");
        assert_eq!(chosen("postgres://x.example", &set), None);
        assert_eq!(chosen("x.example:80", &set), None, "a bare host says nothing of the client");
    }

    #[test]
    fn no_proxy_is_obeyed() {
        let set = [("https_proxy", "b:1"), ("no_proxy", ".example,10.0.0.0/8")];
        assert_eq!(chosen("https://x.example", &set), None);
        assert_eq!(chosen("https://x.test", &set).as_deref(), Some("https_proxy"));
    }
}
