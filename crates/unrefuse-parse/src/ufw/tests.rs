use super::*;
use proptest::prelude::*;

fn one(tuple: &str) -> UfwRule {
    let line = format!("### tuple ### {tuple}\n");
    let (v4, v6) = if tuple.contains("::/0") { (&b""[..], line.as_bytes()) } else { (line.as_bytes(), &b""[..]) };
    user_rules(v4, v6).pop().unwrap()
}

#[test]
fn rules_are_numbered_as_ufw_counts_them() {
    let v4 = b"*filter\n:ufw-user-input - [0:0]\n### RULES ###\n\
        \n### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n-A ufw-user-input -p tcp --dport 22 -j ACCEPT\n\
        \n### tuple ### allow tcp 137,138 0.0.0.0/0 any 0.0.0.0/0 Samba - in\n\
        \n### tuple ### allow udp 139,445 0.0.0.0/0 any 0.0.0.0/0 Samba - in\n\
        \n### tuple ### nonsense tcp 1 0.0.0.0/0 any 0.0.0.0/0 in\n\
        \n### tuple ### deny any 8080 0.0.0.0/0 any 0.0.0.0/0 in\nCOMMIT\n";
    let v6 = b"### tuple ### allow tcp 22 ::/0 any ::/0 in\n### tuple ### allow tcp 137,138 ::/0 any ::/0 Samba - in\n";
    let rules = user_rules(v4, v6);
    let shown: Vec<_> = rules.iter().map(|r| (r.number, r.to.as_str(), r.from.as_str(), r.v6)).collect();
    assert_eq!(
        shown,
        [
            (1, "22/tcp", "Anywhere", false),
            (2, "137,138/tcp (Samba)", "Anywhere", false),
            (2, "139,445/udp (Samba)", "Anywhere", false),
            (3, "8080", "Anywhere", false),
            (4, "22/tcp (v6)", "Anywhere (v6)", true),
            (5, "137,138/tcp (Samba) (v6)", "Anywhere (v6)", true),
        ]
    );
    assert_eq!(rules[3].action, UfwAction::Deny);
}

#[test]
fn comments_are_hexadecimal() {
    assert_eq!(one("allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in comment=68656c6c6f").comment.unwrap(), "hello");
    assert_eq!(one("allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in comment=ff").comment.unwrap(), "\\xff");
    for broken in ["6", "6x", ""] {
        assert_eq!(one(&format!("allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in comment={broken}")).comment, None);
    }
}

#[test]
fn ends_are_shown_as_ufw_shows_them() {
    let ends = |tuple: &str| {
        let rule = one(tuple);
        (rule.to, rule.from)
    };
    let are = |to: &str, from: &str| (to.to_owned(), from.to_owned());
    assert_eq!(ends("deny any any 0.0.0.0/0 any 203.0.113.0/24 in"), are("Anywhere", "203.0.113.0/24"));
    assert_eq!(ends("allow esp any 10.0.0.1 any 0.0.0.0/0 in"), are("10.0.0.1/esp", "Anywhere"));
    assert_eq!(ends("allow ah any 10.0.0.1 any 10.4.0.0/16 in"), are("10.0.0.1/ah", "10.4.0.0/16/ah"));
    assert_eq!(ends("allow tcp any 0.0.0.0/0 any 0.0.0.0/0 in"), are("Anywhere/tcp", "Anywhere/tcp"));
    assert_eq!(ends("allow tcp 443 10.0.0.5 any 0.0.0.0/0 in"), are("10.0.0.5 443/tcp", "Anywhere"));
    assert_eq!(ends("allow any 80 0.0.0.0/0 any 0.0.0.0/0 in_eth0"), are("80 on eth0", "Anywhere"));
    assert_eq!(ends("allow any 80 ::/0 any ::/0 in_eth0"), are("80 (v6) on eth0", "Anywhere (v6)"));
    assert_eq!(ends("reject tcp 25 0.0.0.0/0 any 0.0.0.0/0 out_eth0"), are("25/tcp", "Anywhere on eth0"));
    assert_eq!(ends("allow tcp 80 0.0.0.0/0 any 0.0.0.0/0 Nginx%20HTTP - in"), are("80/tcp (Nginx HTTP)", "Anywhere"));
}

#[test]
fn directions_and_actions() {
    assert!(one("deny tcp 25 0.0.0.0/0 any 0.0.0.0/0 out").out);
    let routed = b"### tuple ### route:allow tcp 25 10.1.0.9 any 0.0.0.0/0 in_eth0!out_eth1\n\
        ### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n";
    assert_eq!(user_rules(routed, b"").iter().map(|rule| rule.number).collect::<Vec<_>>(), [2]);
    // Written before there were outgoing rules.
    assert!(!one("limit tcp 22 0.0.0.0/0 any 0.0.0.0/0").out);
    assert_eq!(one("limit tcp 22 0.0.0.0/0 any 0.0.0.0/0").action, UfwAction::Limit);
    assert_eq!(one("reject_log-all tcp 22 0.0.0.0/0 any 0.0.0.0/0 in").action, UfwAction::Reject);
    for malformed in
        ["allow tcp 22", "allow tcp 22 a b c d e f g", "allow tcp 22 a any b x_eth0", "allow tcp 22 a any b in_e!x_f"]
    {
        assert!(user_rules(format!("### tuple ### {malformed}\n").as_bytes(), b"").is_empty(), "{malformed}");
    }
}

#[test]
fn settings_as_the_shell_reads_them() {
    assert_eq!(setting(b"ENABLED='yes' # since May\n", "ENABLED").unwrap(), "yes");
    assert_eq!(setting(b"#ENABLED=yes\nENABLEDX=no\n", "ENABLED"), None);
    assert_eq!(setting(b"ENABLED=\n", "ENABLED").unwrap(), "");
    assert_eq!(setting(b"ENABLED=\"yes\n", "ENABLED").unwrap(), "yes");
}

proptest! {
    #[test]
    fn any_tuple(words in proptest::collection::vec("[a-z0-9_!:./-]{0,9}", 0..11), bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let mut line = format!("### tuple ### {}", words.join(" ")).into_bytes();
        line.extend(&bytes);
        let rules = user_rules(&line, &line);
        prop_assert!(rules.windows(2).all(|pair| pair[0].number <= pair[1].number));
        let _ = setting(&bytes, "ENABLED");
    }
}
