//! Whether a certificate names the host that is spoken to (RFC 9525).

use core::net::IpAddr;

use super::der::Elements;

/// A name of the domain name system, in a list of names.
const DNS_NAME: u8 = 0x82;
/// An address of four or sixteen bytes.
const IP_ADDRESS: u8 = 0x87;

/// Whether one of these names is the host's.
///
/// An address as the host is looked for among the addresses, and as a text among the names, as authorities of one's
/// own write it.
pub(super) fn is_named(mut names: Elements<'_>, host: &str) -> bool {
    let address = host.parse::<IpAddr>().ok();
    while let Some((tag, name)) = names.next() {
        let is_it = match (tag, address) {
            (DNS_NAME, None) => matches(name.0, host.as_bytes()),
            (DNS_NAME, Some(_)) => name.0.eq_ignore_ascii_case(host.as_bytes()),
            (IP_ADDRESS, Some(IpAddr::V4(address))) => name.0 == address.octets(),
            (IP_ADDRESS, Some(IpAddr::V6(address))) => name.0 == address.octets(),
            _ => false,
        };
        if is_it {
            return true;
        }
    }
    false
}

/// Whether a name, in which a `*` may stand for the whole first label, is this host's.
fn matches(name: &[u8], host: &[u8]) -> bool {
    // The root of all names may be written or left out.
    let host = host.strip_suffix(b".").unwrap_or(host);
    if host.contains(&b'*') {
        return false;
    }
    let Some(domain) = name.strip_prefix(b"*.") else {
        return !host.is_empty() && name.eq_ignore_ascii_case(host);
    };
    // A `*` for all names below a top-level domain is nobody's.
    let mut labels = host.splitn(2, |byte| *byte == b'.');
    labels.next().is_some_and(|label| !label.is_empty())
        && domain.contains(&b'.')
        && labels.next().is_some_and(|rest| rest.eq_ignore_ascii_case(domain))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn names(names: &[(u8, &[u8])]) -> Vec<u8> {
        names.iter().flat_map(|(tag, name)| [&[*tag, name.len() as u8], *name].concat()).collect()
    }

    #[test]
    fn a_name_is_the_hosts_or_not() {
        for (name, host, expected) in [
            ("events.example.com", "events.example.com", true),
            ("EVENTS.example.COM", "events.Example.com", true),
            ("events.example.com", "events.example.com.", true),
            ("events.example.com", "events.example.org", false),
            ("events.example.com", "example.com", false),
            ("example.com", "events.example.com", false),
            ("*.example.com", "events.example.com", true),
            ("*.EXAMPLE.com", "events.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "a.events.example.com", false),
            ("*.com", "example.com", false),
            ("*", "example", false),
            ("*.", "example.", false),
            ("*.*.com", "a.b.com", false),
            ("*.*.com", "a.*.com", false),
            ("e*.example.com", "events.example.com", false),
            ("*vents.example.com", "events.example.com", false),
            ("events.*.com", "events.example.com", false),
            ("*.example.com", "*.example.com", false),
            ("", "", false),
            ("", ".", false),
            ("events.example.com\0.evil.com", "events.example.com", false),
        ] {
            assert_eq!(matches(name.as_bytes(), host.as_bytes()), expected, "{name} for {host}");
        }
    }

    #[test]
    fn one_name_of_any_number_is_enough() {
        let mut many: Vec<(u8, &[u8])> = [(DNS_NAME, &b"other.example.com"[..]); 50].to_vec();
        assert!(!is_named(Elements(&names(&many)), "events.example.com"));
        many.push((DNS_NAME, b"events.example.com"));
        assert!(is_named(Elements(&names(&many)), "events.example.com"));
        assert!(!is_named(Elements(&[]), "events.example.com"));
        // A name of another kind: somebody's mail address.
        assert!(!is_named(Elements(&names(&[(0x81, b"events.example.com")])), "events.example.com"));
    }

    #[test]
    fn an_address_is_named_as_one_or_as_text_and_by_no_star() {
        let six = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        for (tag, name, host, expected) in [
            (IP_ADDRESS, &[10, 0, 2, 2][..], "10.0.2.2", true),
            (IP_ADDRESS, &[10, 0, 2, 3], "10.0.2.2", false),
            (IP_ADDRESS, &[10, 0, 2], "10.0.2.2", false),
            (IP_ADDRESS, &six, "2001:db8::1", true),
            (IP_ADDRESS, &six, "2001:db8::2", false),
            (IP_ADDRESS, b"10.0.2.2", "10.0.2.2", false),
            (DNS_NAME, b"10.0.2.2", "10.0.2.2", true),
            (DNS_NAME, b"*.0.2.2", "10.0.2.2", false),
            (IP_ADDRESS, &[10, 0, 2, 2], "events.example.com", false),
        ] {
            assert_eq!(is_named(Elements(&names(&[(tag, name)])), host), expected, "{name:?} for {host}");
        }
    }
}
