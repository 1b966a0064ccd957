//! The deployment's CA and the hub's certificate: how they are made, and when the latter is due.
//!
//! ECDSA P-256 throughout. The CA is made once and lives as long as the hub's volume: every module that was ever told to trust it
//! must go on doing so. The hub's certificate is renewed after two thirds of its life, and whenever it no longer fits: other
//! names, another CA, or bytes that are no certificate.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// How long the CA is valid. Longer than any device is in service, since nothing can replace it on the modules' side.
pub const CA_LIFE: SignedDuration = SignedDuration::from_hours(24 * 365 * 30);
/// How long the hub's certificate is valid. A device may be without its controller for months and still be trusted.
pub const HUB_LIFE: SignedDuration = SignedDuration::from_hours(24 * 365);
/// How far certificates reach into the past of [`FLOOR`]: clocks of edge devices lag.
const BACKDATED: SignedDuration = SignedDuration::from_hours(24);

/// A moment before which no clock of ours can truly stand: 1 January 2026.
const FLOOR: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Why a certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Making one failed.
    #[error("failed to make {what}")]
    Make {
        /// Which.
        what: &'static str,
        /// The reason.
        source: rcgen::Error,
    },
    /// The key's curve or encoding is unknown, or the certificate is none.
    #[error("the CA cannot be used: {reason}")]
    Authority {
        /// The reason; never the key.
        reason: String,
    },
}

/// A certificate and its key, in PEM. `Debug` hides the key.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate, or a chain with the leaf first.
    pub certificate: String,
    /// The private key, PKCS #8.
    pub key: String,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pair(hidden)")
    }
}

/// From when until when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// From.
    pub not_before: Timestamp,
    /// Until.
    pub not_after: Timestamp,
}

impl Validity {
    /// Is only the last third of its life left? Also true before its life began: then a clock jumped, and this certificate is of no
    /// use. A clock from before [`FLOOR`] is the one that is wrong, and no reason to give up a good certificate.
    pub fn renewal_due(&self, now: Timestamp) -> bool {
        (FLOOR <= now && now < self.not_before) || now >= self.renewal_at()
    }

    /// When two thirds of the hub's certificate's life are over. Counted from its end, since its beginning is backdated.
    pub fn renewal_at(&self) -> Timestamp {
        self.not_after.saturating_sub(HUB_LIFE / 3).unwrap_or(self.not_after)
    }
}

/// A new private key.
pub fn new_key() -> Result<KeyPair, CertificateError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|source| CertificateError::Make { what: "a private key", source })
}

/// The CA of the deployment called `name`, for `key`.
pub fn authority(name: &str, key: &KeyPair, now: Timestamp) -> Result<Pair, CertificateError> {
    let (begin, end) = span(now, CA_LIFE);
    let mut params = params(&format!("EdgeDeployment {name} CA"), begin, end);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(key).map_err(|source| CertificateError::Make { what: "the CA", source })?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// The hub's certificate for `hosts`, signed by `authority`; the chain ends with the CA, which some clients want to see.
pub fn hub(authority: &Pair, hosts: &[String], key: &KeyPair, now: Timestamp) -> Result<Pair, CertificateError> {
    let issuer_key =
        KeyPair::from_pem(&authority.key).map_err(|error| CertificateError::Authority { reason: error.to_string() })?;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, issuer_key)
        .map_err(|error| CertificateError::Authority { reason: error.to_string() })?;
    let make = |source| CertificateError::Make { what: "the hub's certificate", source };
    let (begin, end) = span(now, HUB_LIFE);
    let mut params = params(hosts.first().map_or("edgehub", String::as_str), begin, end);
    params.subject_alt_names = CertificateParams::new(hosts.to_vec()).map_err(make)?.subject_alt_names;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(key, &issuer).map_err(make)?;
    Ok(Pair { certificate: format!("{}{}", certificate.pem(), authority.certificate), key: key.serialize_pem() })
}

/// X.509 bounds a common name to 64 characters; it is for people, names are checked elsewhere.
const MAX_COMMON_NAME: usize = 64;

fn params(common_name: &str, begin: Timestamp, end: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name.chars().take(MAX_COMMON_NAME).collect::<String>());
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_epoch(begin);
    params.not_after = epoch + since_epoch(end);
    params
}

/// From when until when a certificate made `now` is valid. Made by a device whose clock stands at 1970, it must still be valid once
/// the clock is right; made while it is right, also on a device whose clock fell back.
fn span(now: Timestamp, life: SignedDuration) -> (Timestamp, Timestamp) {
    let begin = now.min(FLOOR).saturating_sub(BACKDATED).unwrap_or(now);
    (begin, now.max(FLOOR).saturating_add(life).unwrap_or(now))
}

fn since_epoch(at: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(at.as_second()).unwrap_or_default())
}

/// Why the hub's certificate must be made anew, or until when it can stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It can stay.
    Good(Validity),
    /// It must be made anew, because of this.
    Renew(&'static str),
}

/// Judges the hub's certificate: is it one of `authority`, for `hosts`, and still in its first two thirds?
pub fn judge(hub: &Pair, authority: &Pair, hosts: &[String], now: Timestamp) -> Verdict {
    let Some(validity) = validity(&hub.certificate) else { return Verdict::Renew("what stood there was no certificate") };
    if !hub.certificate.ends_with(&authority.certificate) {
        return Verdict::Renew("the CA is another");
    }
    if names(&hub.certificate).as_deref() != Some(hosts) {
        return Verdict::Renew("the hub's names changed");
    }
    if KeyPair::from_pem(&hub.key).is_err() {
        return Verdict::Renew("its key could not be read");
    }
    if validity.renewal_due(now) { Verdict::Renew("two thirds of its life are over") } else { Verdict::Good(validity) }
}

/// From when until when the first certificate of `pem` is valid.
pub fn validity(pem: &str) -> Option<Validity> {
    with_first(pem, |certificate| {
        let at = |time: &x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
        Some(Validity { not_before: at(&certificate.validity().not_before)?, not_after: at(&certificate.validity().not_after)? })
    })
}

/// The host names in the first certificate of `pem`.
fn names(pem: &str) -> Option<Vec<String>> {
    with_first(pem, |certificate| {
        let extension = certificate.subject_alternative_name().ok()??;
        let names = extension.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        });
        Some(names.collect())
    })
}

fn with_first<T>(pem: &str, look: impl FnOnce(&X509Certificate<'_>) -> Option<T>) -> Option<T> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    let (_, certificate) = X509Certificate::from_der(&pem.contents).ok()?;
    look(&certificate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn hosts() -> Vec<String> {
        vec!["line-7-edgehub".to_owned(), "edgehub".to_owned(), "edgeHub".to_owned()]
    }

    fn made(now: Timestamp) -> (Pair, Pair) {
        let ca = authority("line-7", &new_key().unwrap(), now).unwrap();
        let hub = hub(&ca, &hosts(), &new_key().unwrap(), now).unwrap();
        (ca, hub)
    }

    #[test]
    fn a_fresh_certificate_is_good_and_names_the_hub() {
        let now = at("2026-05-01T00:00:00Z");
        let (ca, hub) = made(now);
        let Verdict::Good(validity) = judge(&hub, &ca, &hosts(), now) else { panic!("not good") };
        assert_eq!(validity.not_before, at("2025-12-31T00:00:00Z"));
        assert_eq!(validity.not_after.duration_since(now), HUB_LIFE);
    }

    #[test]
    fn renewal_is_due_after_two_thirds_and_after_expiry() {
        for (made_at, not_yet, due) in [
            ("2026-01-01T00:00:00Z", "2026-08-30T00:00:00Z", "2026-09-02T00:00:00Z"),
            ("2031-01-01T00:00:00Z", "2031-08-30T00:00:00Z", "2031-09-02T00:00:00Z"),
        ] {
            let (ca, hub) = made(at(made_at));
            let verdict = |now| judge(&hub, &ca, &hosts(), at(now));
            assert!(matches!(verdict(made_at), Verdict::Good(_)), "{made_at}");
            assert!(matches!(verdict(not_yet), Verdict::Good(_)), "{made_at}");
            for now in [due, "2040-01-01T00:00:00Z"] {
                assert_eq!(verdict(now), Verdict::Renew("two thirds of its life are over"), "{now}");
            }
        }
    }

    #[test]
    fn a_hub_certificate_made_while_the_clock_stood_at_1970_is_valid_once_it_is_right() {
        let (ca, hub) = made(at("1970-01-01T00:05:00Z"));
        for then in ["1970-01-01T00:05:00Z", "2026-05-01T00:00:00Z"] {
            let Verdict::Good(validity) = judge(&hub, &ca, &hosts(), at(then)) else { panic!("not good at {then}") };
            assert!(validity.not_before <= at(then) && at(then) < validity.not_after, "{then}: {validity:?}");
        }
    }

    #[test]
    fn a_clock_that_stands_at_1970_costs_no_good_certificate() {
        let (ca, hub) = made(at("2026-05-01T00:00:00Z"));
        assert!(matches!(judge(&hub, &ca, &hosts(), at("1970-01-01T00:05:00Z")), Verdict::Good(_)));
    }

    #[test]
    fn a_ca_made_while_the_clock_stood_at_1970_is_valid_once_it_is_right() {
        for now in ["1970-01-01T00:05:00Z", "2026-05-01T00:00:00Z", "2040-01-01T00:00:00Z"] {
            let ca = authority("line-7", &new_key().unwrap(), at(now)).unwrap();
            let validity = validity(&ca.certificate).unwrap();
            for then in [now, "2026-05-01T00:00:00Z", "2055-01-01T00:00:00Z"] {
                assert!(
                    validity.not_before <= at(then) && at(then) < validity.not_after,
                    "made at {now}, looked at {then}: {validity:?}"
                );
            }
        }
    }

    #[test]
    fn a_certificate_that_no_longer_fits_is_made_anew() {
        let now = at("2026-01-01T00:00:00Z");
        let (ca, hub) = made(now);
        let (other_ca, _) = made(now);
        assert_eq!(judge(&hub, &other_ca, &hosts(), now), Verdict::Renew("the CA is another"));
        assert_eq!(judge(&hub, &ca, &hosts()[..1], now), Verdict::Renew("the hub's names changed"));
        let broken = Pair { certificate: "x".into(), key: hub.key.clone() };
        assert_eq!(judge(&broken, &ca, &hosts(), now), Verdict::Renew("what stood there was no certificate"));
        let keyless = Pair { certificate: hub.certificate, key: String::new() };
        assert_eq!(judge(&keyless, &ca, &hosts(), now), Verdict::Renew("its key could not be read"));
    }

    #[test]
    fn the_chain_verifies_against_the_ca_for_every_name() {
        let (ca, hub) = made(Timestamp::now());
        let config = edge_mqtt::client_config(ca.certificate.as_bytes()).unwrap();
        let chain: Vec<_> =
            rustls::pki_types::pem::PemObject::pem_slice_iter(hub.certificate.as_bytes()).map(Result::unwrap).collect();
        let key = rustls::pki_types::pem::PemObject::from_pem_slice(hub.key.as_bytes()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        for name in hosts() {
            let mut client = rustls::ClientConnection::new(config.clone(), name.clone().try_into().unwrap()).unwrap();
            let mut server = rustls::ServerConnection::new(std::sync::Arc::new(server.clone())).unwrap();
            let mut wire = Vec::new();
            while client.is_handshaking() {
                wire.clear();
                client.write_tls(&mut wire).unwrap();
                server.read_tls(&mut wire.as_slice()).unwrap();
                server.process_new_packets().unwrap();
                wire.clear();
                server.write_tls(&mut wire).unwrap();
                client.read_tls(&mut wire.as_slice()).unwrap();
                client.process_new_packets().unwrap_or_else(|error| panic!("{name}: {error}"));
            }
        }
    }
}
