//! A unit's properties (org.freedesktop.systemd1(5)) as facts.

use super::bus::{Listed, Properties, Value};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use unrefuse_facts::{ActiveState, AddressFamilies, IpPrefix, LoadState, UnitExit, UnitFacts, UnitListen};
use unrefuse_parse::unit::without_secrets;

/// `CAP_NET_BIND_SERVICE` (capabilities(7)).
const CAP_NET_BIND_SERVICE: u32 = 10;

/// `CLD_KILLED` and `CLD_DUMPED` of sigaction(2): ended by a signal.
const BY_SIGNAL: [i128; 2] = [2, 3];

/// systemd's word for "never" and "without end".
const INFINITY: i128 = u64::MAX as i128;

/// The facts of a unit that the manager has in memory.
pub(super) fn unit(listed: &Listed, properties: &Properties) -> UnitFacts {
    let get = |name: &str| properties.get(name);
    let text = |name: &str| get(name).and_then(Value::text).filter(|t| !t.is_empty()).map(str::to_owned);
    let number = |name: &str| get(name).and_then(Value::number);
    let texts = |name: &str| get(name).map(Value::texts).unwrap_or_default();
    // Microseconds since 1970; 0 and infinity are no time.
    let time = |name: &str| {
        let us = number(name).filter(|us| *us > 0 && *us != INFINITY)?;
        i64::try_from(us / 1000).ok()
    };
    let active = active(text("ActiveState").as_deref().unwrap_or(&listed.active));
    let mut requires = texts("Requires");
    requires.extend(texts("BindsTo"));
    requires.extend(texts("Requisite"));
    requires.sort();
    requires.dedup();
    UnitFacts {
        name: listed.name.clone(),
        load: load(text("LoadState").as_deref().unwrap_or("loaded")),
        active,
        sub: text("SubState").unwrap_or_else(|| listed.sub.clone()),
        file_state: text("UnitFileState"),
        result: text("Result"),
        exit: exit(properties),
        main_pid: number("MainPID").and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
        restarts: number("NRestarts").and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
        start_limit: start_limit(number("StartLimitBurst"), number("StartLimitIntervalUSec")),
        conditions_failed: conditions(properties),
        since_ms: time("StateChangeTimestamp"),
        started_ms: time("ExecMainStartTimestamp").max(time("InactiveExitTimestamp")),
        invocation: get("InvocationID").and_then(hex),
        fragment: text("FragmentPath"),
        drop_ins: texts("DropInPaths"),
        kind: text("Type"),
        runs_as: text("User"),
        may_bind_low_ports: number("AmbientCapabilities").map(|set| set >> CAP_NET_BIND_SERVICE & 1 == 1),
        low_ports_bounded: number("CapabilityBoundingSet").is_some_and(|set| set >> CAP_NET_BIND_SERVICE & 1 == 0),
        private_users: get("PrivateUsers").and_then(Value::flag).unwrap_or(false),
        private_network: get("PrivateNetwork").and_then(Value::flag).unwrap_or(false),
        network_namespace: text("NetworkNamespacePath"),
        ip_deny: prefixes(get("IPAddressDeny")),
        ip_allow: prefixes(get("IPAddressAllow")),
        address_families: families(get("RestrictAddressFamilies")),
        bind_deny: bind_rules(get("SocketBindDeny")),
        bind_allow: bind_rules(get("SocketBindAllow")),
        exec_start: command(get("ExecStart")),
        requires,
        triggered_by: texts("TriggeredBy"),
        slice: text("Slice"),
        listens: get("Listen").map(Value::list).unwrap_or_default().iter().filter_map(listen).collect(),
        bind_ipv6_only: text("BindIPv6Only"),
        triggers: texts("Triggers"),
        ..UnitFacts::default()
    }
}

fn load(state: &str) -> LoadState {
    match state {
        "loaded" | "merged" => LoadState::Loaded,
        "masked" => LoadState::Masked,
        "not-found" => LoadState::NotFound,
        "bad-setting" => LoadState::BadSetting,
        _ => LoadState::Error,
    }
}

fn active(state: &str) -> ActiveState {
    match state {
        "active" => ActiveState::Active,
        "reloading" | "refreshing" => ActiveState::Reloading,
        "inactive" => ActiveState::Inactive,
        "failed" => ActiveState::Failed,
        "activating" => ActiveState::Activating,
        "deactivating" => ActiveState::Deactivating,
        _ => ActiveState::Unknown,
    }
}

fn start_limit(burst: Option<i128>, interval: Option<i128>) -> Option<(u32, u64)> {
    let (burst, interval) = (u32::try_from(burst?).ok()?, u64::try_from(interval?).ok()?);
    (burst > 0 && interval > 0).then_some((burst, interval))
}

/// How the main process ended; where it never ran, the command before it that failed.
fn exit(properties: &Properties) -> Option<UnitExit> {
    let number = |name: &str| properties.get(name).and_then(Value::number);
    // Struct: path, arguments, ignore failure, four times, pid, code, status.
    let before = ["ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost"].iter().find_map(|name| {
        let commands = properties.get(*name)?.list();
        commands.iter().find_map(|command| {
            let fields = command.list();
            let (code, status) = (fields.get(8)?.number()?, fields.get(9)?.number()?);
            let ignored = fields.get(2)?.flag()?;
            if code == 0 || status == 0 || ignored {
                return None;
            }
            let words = without_secrets(&fields.get(1)?.texts());
            Some(UnitExit {
                by_signal: BY_SIGNAL.contains(&code),
                status: i32::try_from(status).ok()?,
                command: Some(words.join(" ")).filter(|_| *name != "ExecStart"),
            })
        })
    });
    let (code, status) = (number("ExecMainCode")?, number("ExecMainStatus")?);
    let main = (code != 0 && status != 0).then(|| {
        let status = i32::try_from(status).unwrap_or(-1);
        UnitExit { by_signal: BY_SIGNAL.contains(&code), status, command: None }
    });
    main.or(before)
}

/// `Conditions` and `Asserts`: type, is a trigger, is negated, parameter, and below 0 where it did not hold.
fn conditions(properties: &Properties) -> Vec<String> {
    let all = ["Conditions", "Asserts"].iter().filter_map(|name| properties.get(*name)).flat_map(Value::list);
    let failed = |condition: &Value| {
        let fields = condition.list();
        let (kind, parameter) = (fields.first()?.text()?, fields.get(3)?.text()?);
        let negated = fields.get(2)?.flag()?;
        (fields.get(4)?.number()? < 0).then(|| format!("{kind}={}{parameter}", if negated { "!" } else { "" }))
    };
    all.filter_map(failed).collect()
}

fn hex(value: &Value) -> Option<String> {
    let bytes: Vec<String> = value.list().iter().filter_map(|b| Some(format!("{:02x}", b.number()?))).collect();
    let id = bytes.concat();
    (id.len() == 32 && id.bytes().any(|digit| digit != b'0')).then_some(id)
}

/// `a(iayu)`: family, address, bits.
fn prefixes(value: Option<&Value>) -> Vec<IpPrefix> {
    let prefix = |entry: &Value| {
        let fields = entry.list();
        let bytes: Vec<u8> = fields.get(1)?.list().iter().filter_map(|b| u8::try_from(b.number()?).ok()).collect();
        let address: IpAddr = match *bytes.as_slice() {
            [a, b, c, d] => Ipv4Addr::new(a, b, c, d).into(),
            _ => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into(),
        };
        Some(IpPrefix { address, length: u8::try_from(fields.get(2)?.number()?).ok()? })
    };
    value.map(Value::list).unwrap_or_default().iter().filter_map(prefix).collect()
}

/// `(bas)`: whether it is a list of what is allowed, and the families. An empty list of what is denied is no restriction.
fn families(value: Option<&Value>) -> Option<AddressFamilies> {
    let fields = value?.list();
    let list = AddressFamilies { allow: fields.first()?.flag()?, families: fields.get(1)?.texts() };
    (list.allow || !list.families.is_empty()).then_some(list)
}

/// `a(iiqq)`: family (0 is any), protocol (0 is any), how many ports (0 is all), the first of them.
fn bind_rules(value: Option<&Value>) -> Vec<String> {
    let rule = |entry: &Value| {
        let numbers: Vec<i128> = entry.list().iter().filter_map(Value::number).collect();
        let [family, protocol, count, first] = *numbers.as_slice() else { return None };
        let family = match family {
            2 => "ipv4:",
            10 => "ipv6:",
            _ => "",
        };
        let protocol = match protocol {
            6 => "tcp:",
            17 => "udp:",
            _ => "",
        };
        let ports = match count {
            0 => "any".to_owned(),
            1 => first.to_string(),
            count => format!("{first}-{}", first + count - 1),
        };
        Some(format!("{family}{protocol}{ports}"))
    };
    value.map(Value::list).unwrap_or_default().iter().filter_map(rule).collect()
}

fn command(value: Option<&Value>) -> Vec<String> {
    let first = value.map(Value::list).unwrap_or_default().last();
    first.and_then(|command| command.list().get(1)).map(|words| without_secrets(&words.texts())).unwrap_or_default()
}

fn listen(value: &Value) -> Option<UnitListen> {
    let fields = value.list();
    Some(UnitListen { kind: fields.first()?.text()?.to_owned(), address: fields.get(1)?.text()?.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }
    fn list(values: Vec<Value>) -> Value {
        Value::List(values)
    }
    fn numbers(values: &[i128]) -> Value {
        list(values.iter().map(|n| Value::Number(*n)).collect())
    }

    fn of(properties: &[(&str, Value)]) -> UnitFacts {
        let listed = Listed::test("nginx.service", "failed", "failed");
        unit(&listed, &properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    }

    #[test]
    fn a_failed_unit() {
        // nginx -t of ExecStartPre= ended with 1: the main process never ran.
        let command = list(vec![
            text("/usr/sbin/nginx"),
            list(vec![text("/usr/sbin/nginx"), text("-t"), text("--password=x")]),
            Value::Flag(false),
            Value::Number(1),
            Value::Number(1),
            Value::Number(1),
            Value::Number(1),
            Value::Number(812),
            Value::Number(1),
            Value::Number(1),
        ]);
        let unit = of(&[
            ("Result", text("exit-code")),
            ("ExecMainCode", Value::Number(0)),
            ("ExecMainStatus", Value::Number(0)),
            ("ExecStartPre", list(vec![command])),
            ("InvocationID", numbers(&[17; 16])),
            ("StateChangeTimestamp", Value::Number(1_763_836_125_123_456)),
        ]);
        assert_eq!(unit.active, ActiveState::Failed);
        let exit = unit.exit.unwrap();
        assert_eq!((exit.status, exit.command.as_deref()), (1, Some("/usr/sbin/nginx -t --password=***")));
        assert_eq!(unit.invocation.as_deref(), Some("11111111111111111111111111111111"));
        assert_eq!(unit.since_ms, Some(1_763_836_125_123));
    }

    #[test]
    fn lists_of_addresses_families_and_ports() {
        let any = list(vec![Value::Number(2), numbers(&[0, 0, 0, 0]), Value::Number(0)]);
        let six = list(vec![Value::Number(10), numbers(&[0; 16]), Value::Number(0)]);
        let unit = of(&[
            ("IPAddressDeny", list(vec![any, six])),
            ("RestrictAddressFamilies", list(vec![Value::Flag(false), list(vec![])])),
            ("SocketBindDeny", list(vec![numbers(&[2, 6, 1, 80]), numbers(&[0, 0, 0, 0])])),
            ("AmbientCapabilities", Value::Number(1 << 10)),
            ("CapabilityBoundingSet", Value::Number(1 << 13)),
        ]);
        assert!(unit.low_ports_bounded && !unit.private_users);
        assert!(unit.ip_deny.len() == 2 && unit.ip_deny[0].holds("10.0.0.1".parse().unwrap()));
        assert_eq!(unit.address_families, None);
        assert_eq!(unit.bind_deny, ["ipv4:tcp:80", "any"]);
        assert_eq!(unit.may_bind_low_ports, Some(true));
    }

    #[test]
    fn answers_of_another_shape_are_left_out() {
        let unit = of(&[
            ("IPAddressDeny", numbers(&[1, 2])),
            ("ExecStart", text("x")),
            ("InvocationID", numbers(&[0; 16])),
            ("Conditions", list(vec![list(vec![text("a")])])),
            ("MainPID", text("812")),
        ]);
        assert!(unit.ip_deny.is_empty() && unit.exec_start.is_empty() && unit.invocation.is_none());
        assert!(unit.conditions_failed.is_empty() && unit.main_pid.is_none());
    }
}
