//! Decides which base URLs a backend may have; it never resolves a name or opens a connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Names under which clouds serve credentials to whoever asks from inside.
const METADATA_HOSTS: &[&str] =
    &["metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"];
/// Metadata addresses outside the link-local ranges: Alibaba Cloud's, and AWS's for IPv6.
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
const URL_BYTES_MAX: usize = 2048;

/// Why a base URL is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlError {
    #[error("is not a URL such as https://api.example.com/v1")]
    NotAUrl,
    #[error("must begin with http:// or https://")]
    Scheme,
    #[error("must not hold a user or password; credentials go into api_key")]
    User,
    #[error("must not have a query or fragment; paths are appended to it")]
    Query,
    #[error("leads to a link-local or metadata address, which serves the host's own credentials")]
    LinkLocal,
}

/// Whether link-local and metadata addresses pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkLocal {
    Refused,
    Allowed,
}

/// Checks a base URL and returns it without a final slash.
pub(crate) fn base_url(text: &str, link_local: LinkLocal) -> Result<String, UrlError> {
    let text = text.trim();
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("http" | "https") => {}
        Some(_) => return Err(UrlError::Scheme),
        None => return Err(UrlError::NotAUrl),
    }
    if text.len() > URL_BYTES_MAX || text.contains('\\') {
        return Err(UrlError::NotAUrl);
    }
    if text.contains(['?', '#']) {
        return Err(UrlError::Query);
    }
    let uri: http::Uri = text.parse().map_err(|_| UrlError::NotAUrl)?;
    let authority = uri.authority().ok_or(UrlError::NotAUrl)?;
    if authority.as_str().contains('@') {
        return Err(UrlError::User);
    }
    let port_is_fine = match authority
        .as_str()
        .rsplit_once(']')
        .map_or(authority.as_str(), |(_, after)| after)
        .rsplit_once(':')
    {
        Some((_, port)) => port.parse::<u16>().is_ok_and(|port| port != 0),
        None => true,
    };
    if authority.host().is_empty() || !port_is_fine {
        return Err(UrlError::NotAUrl);
    }
    if link_local == LinkLocal::Refused && is_link_local(authority.host()) {
        return Err(UrlError::LinkLocal);
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn is_link_local(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    if METADATA_HOSTS.contains(&host.as_str()) {
        return true;
    }
    let address = host.split('%').next().and_then(|plain| plain.parse::<IpAddr>().ok());
    match address.or_else(|| odd_ipv4(&host).map(IpAddr::V4)) {
        Some(IpAddr::V4(v4)) => is_link_local_v4(v4),
        Some(IpAddr::V6(v6)) => {
            v6.is_unicast_link_local() || v6 == METADATA_V6 || embedded_v4(v6).is_some_and(is_link_local_v4)
        }
        None => false,
    }
}

fn is_link_local_v4(v4: Ipv4Addr) -> bool {
    v4.is_link_local() || v4 == METADATA_V4
}

/// The IPv4 address inside a mapped, compatible or NAT64 IPv6 address.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = v6.segments();
    let nat64 = segments.starts_with(&[0x64, 0xff9b, 0, 0, 0, 0]);
    if nat64 {
        let [.., a, b, c, d] = v6.octets();
        return Some(Ipv4Addr::new(a, b, c, d));
    }
    v6.to_ipv4()
}

/// IPv4 as old resolvers read it: one to four parts, each decimal, octal (`0..`) or hexadecimal (`0x..`).
fn odd_ipv4(host: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u64> = host.split('.').map(odd_number).collect::<Option<_>>()?;
    let (last, firsts) = parts.split_last()?;
    if firsts.len() > 3 || firsts.iter().any(|part| *part > 255) {
        return None;
    }
    let room = 8 * (4 - u32::try_from(firsts.len()).ok()?);
    if *last >= 1_u64.checked_shl(room)? {
        return None;
    }
    let high = firsts.iter().enumerate().map(|(index, part)| part << (24 - 8 * index)).sum::<u64>();
    u32::try_from(high + last).ok().map(Ipv4Addr::from)
}

fn odd_number(part: &str) -> Option<u64> {
    match part.strip_prefix("0x") {
        Some("") => Some(0),
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None if part.len() > 1 && part.starts_with('0') => u64::from_str_radix(part, 8).ok(),
        None => part.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_serve_the_hosts_credentials_are_refused_however_they_are_written() {
        for url in [
            "http://169.254.169.254/latest/meta-data",
            "http://169.254.0.1:8080",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://0xA9.0xFE.0xA9.0xFE/",
            "http://0251.0376.0251.0376/",
            "http://169.254.43518/",
            "http://169.16689662",
            "http://[::ffff:169.254.169.254]/v1",
            "http://[::ffff:a9fe:a9fe]/v1",
            "http://[64:ff9b::a9fe:a9fe]/v1",
            "http://[fe80::1]/v1",
            "http://[fd00:ec2::254]/v1",
            "http://100.100.100.200/v1",
            "http://metadata.google.internal/computeMetadata",
            "http://METADATA.google.internal./x",
        ] {
            assert_eq!(base_url(url, LinkLocal::Refused), Err(UrlError::LinkLocal), "{url}");
            assert!(base_url(url, LinkLocal::Allowed).is_ok(), "{url}");
        }
    }

    #[test]
    fn base_urls_are_checked_and_lose_their_final_slash() {
        for (url, expected) in [
            ("https://api.openai.com/v1/", Ok("https://api.openai.com/v1")),
            ("http://127.0.0.1:8080", Ok("http://127.0.0.1:8080")),
            ("http://[::1]:8080/v1", Ok("http://[::1]:8080/v1")),
            ("HTTPS://host", Ok("HTTPS://host")),
            ("ftp://host/v1", Err(UrlError::Scheme)),
            ("file:///etc/passwd", Err(UrlError::Scheme)),
            ("api.openai.com/v1", Err(UrlError::NotAUrl)),
            ("https://", Err(UrlError::NotAUrl)),
            ("https:///v1", Err(UrlError::NotAUrl)),
            ("https://host:0/v1", Err(UrlError::NotAUrl)),
            ("https://host:99999/v1", Err(UrlError::NotAUrl)),
            ("https://user:pass@host/v1", Err(UrlError::User)),
            ("https://host/v1?key=x", Err(UrlError::Query)),
            ("https://host/v1#x", Err(UrlError::Query)),
            ("https://ho st/v1", Err(UrlError::NotAUrl)),
            ("https://host\\@evil/v1", Err(UrlError::NotAUrl)),
        ] {
            assert_eq!(base_url(url, LinkLocal::Refused), expected.map(str::to_owned), "{url}");
        }
    }
}
