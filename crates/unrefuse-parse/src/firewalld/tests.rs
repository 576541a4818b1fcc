use super::*;
use proptest::prelude::*;

const SHOP: &[u8] = br#"<?xml version="1.0" encoding="utf-8"?>
<!-- <port port="1" protocol="tcp"/> -->
<zone target="%%REJECT%%">
  <short>Shop &amp; stock</short>
  <description>The <port port="2"/> of call.</description>
  <interface name="eth1"/>
  <source address="10.0.0.0/8"/>
  <source mac="00:11:22:33:44:55"/>
  <service name="ssh"/>
  <service name="http"></service>
  <port port="8000-8010" protocol="tcp"/>
  <port protocol="udp" port="53"/>
  <port protocol="udp" port="70000"/>
  <rule priority="-5" family="ipv4">
    <reject type="tcp-reset"><limit value="2/m"/></reject>
    <source invert="True" address="203.0.113.0/24"/>
    <port port="22" protocol="tcp"/>
    <log prefix="a &quot;b" level="info"><limit value="1/s"/></log>
  </rule>
  <rule><service name="ftp"/><accept/></rule>
</zone>
"#;

#[test]
fn a_zone_is_read() {
    let zone = zone(SHOP).unwrap();
    assert_eq!(zone.target.as_deref(), Some("%%REJECT%%"));
    assert_eq!(zone.interfaces, ["eth1"]);
    assert_eq!(zone.sources, ["10.0.0.0/8"]);
    assert_eq!(zone.services, ["ssh", "http"]);
    // A port of a description is none, and one that is no port neither.
    assert_eq!(zone.ports.iter().map(Ports::to_string).collect::<Vec<_>>(), ["8000-8010/tcp", "53/udp"]);
    assert_eq!(
        zone.rich_rules,
        [
            "rule priority=\"-5\" family=\"ipv4\" source NOT address=\"203.0.113.0/24\" port port=\"22\" \
             protocol=\"tcp\" log prefix=\"a \"b\" level=\"info\" limit value=\"1/s\" \
             reject type=\"tcp-reset\" limit value=\"2/m\"",
            "rule service name=\"ftp\" accept",
        ]
    );
    assert!(zone.ports[0].holds(8005, "tcp"));
    assert!(!zone.ports[0].holds(8005, "udp"));
    assert!(!zone.ports[0].holds(8011, "tcp"));
}

#[test]
fn a_service_is_read() {
    let plain = service(b"<service><short>x</short><port protocol=\"tcp\" port=\"443\"/></service>").unwrap();
    assert_eq!(plain.ports[0].to_string(), "443/tcp");
    assert!(!plain.more && plain.includes.is_empty());
    let more = service(b"<service><port protocol=\"gre\" port=\"\"/><include service=\"http\"/></service>").unwrap();
    assert!(more.more && more.ports.is_empty());
    assert_eq!(more.includes, ["http"]);
    assert!(service(b"<service><helper name=\"ftp\"/></service>").unwrap().more);
}

#[test]
fn what_firewalld_would_not_load_is_an_error() {
    for bad in
        [&b""[..], b"<zone>", b"<zone><port></zone>", b"<service/>", b"<zone/><zone/>", b"</zone>", b"zone", b"<zone"]
    {
        assert!(zone(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
    }
    let deep = "<zone>".repeat(MAX_ELEMENTS + 1);
    assert!(zone(deep.as_bytes()).unwrap_err().contains("more than"));
    assert_eq!(zone(b"<zone/>").unwrap(), Zone::default());
}

#[test]
fn the_default_zone_is_the_last_one() {
    assert_eq!(default_zone(b"#DefaultZone=a\nDefaultZone = b \r\nDefaultZone=c\n").unwrap(), "c");
    assert_eq!(default_zone(b"DefaultZone=\n"), None);
    assert_eq!(default_zone(b"DefaultZone\n"), None);
}

proptest! {
    #[test]
    fn any_elements(parts in proptest::collection::vec("[<>/a-z\"= &;]{0,12}|<rule>|</rule>|<port port=\"1\" protocol=\"tcp\"/>|<zone>", 0..20)) {
        let text = format!("<zone>{}</zone>", parts.concat());
        let _ = zone(text.as_bytes());
        let _ = service(text.as_bytes());
        let _ = default_zone(text.as_bytes());
    }
}
