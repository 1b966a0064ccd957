//! What a request line asks for. Pure: from a URI to a [`Target`], or to the refusal that IoT Edge would send.
//!
//! The order of the checks is IoT Edge's: first the version, then the path; method and body come after, in `api`.

use std::borrow::Cow;

use hyper::Uri;
use percent_encoding::percent_decode_str;

use super::answer::Refusal;

/// The versions of the API that IoT Edge knows. What we offer is the same in all of them.
const VERSIONS: [&str; 7] = ["2018-06-28", "2019-01-30", "2019-10-22", "2019-11-05", "2020-07-07", "2021-12-07", "2022-08-03"];
/// How much of a client's own text is quoted back to it.
const MAX_QUOTED_CHARS: usize = 64;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The certificates that vouch for the hub.
    TrustBundle,
    /// The certificates that vouch for signed manifests. There are none.
    ManifestTrustBundle,
    /// Something that takes one of the module's keys.
    Keyed { module: String, generation: String, operation: Operation },
}

/// What to do with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Sign,
    Encrypt,
    Decrypt,
}

/// Reads version and path of `uri`, which may be in absolute form.
pub(super) fn parse(uri: &Uri) -> Result<Target, Refusal> {
    check_version(uri.query().unwrap_or_default())?;
    let segments: Vec<&str> = uri.path().split('/').collect();
    match segments.as_slice() {
        ["", "trust-bundle"] => Ok(Target::TrustBundle),
        ["", "manifest-trust-bundle"] => Ok(Target::ManifestTrustBundle),
        ["", "modules", module, "genid", generation, "sign"] => keyed(module, generation, Operation::Sign),
        ["", "modules", module, "genid", generation, "encrypt"] => keyed(module, generation, Operation::Encrypt),
        ["", "modules", module, "genid", generation, "decrypt"] => keyed(module, generation, Operation::Decrypt),
        ["", "modules", _, "certificate", "identity"] | ["", "modules", _, "genid", _, "certificate", "server"] => {
            Err(Refusal::not_found("certificates are not issued by this version of edge-workload"))
        }
        ["", "modules"] => Err(Refusal::not_found("modules are listed by the Kubernetes API, not by edge-workload")),
        _ => Err(Refusal::not_found("not found")),
    }
}

fn check_version(query: &str) -> Result<(), Refusal> {
    let given = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "api-version").last();
    match given {
        None => Err(Refusal::bad_request("api-version not specified")),
        Some((_, version)) if VERSIONS.contains(&version.as_ref()) => Ok(()),
        Some((_, version)) => {
            let quoted: String = version.chars().take(MAX_QUOTED_CHARS).collect();
            Err(Refusal::bad_request(format!(
                "api-version {quoted:?} is not known; the newest is {}",
                VERSIONS[VERSIONS.len() - 1]
            )))
        }
    }
}

fn keyed(module: &str, generation: &str, operation: Operation) -> Result<Target, Refusal> {
    let decode = |segment| match percent_decode_str(segment).decode_utf8().map(Cow::into_owned) {
        Ok(text) if !text.is_empty() => Ok(text),
        _ => Err(Refusal::not_found("not found")),
    };
    Ok(Target::Keyed { module: decode(module)?, generation: decode(generation)?, operation })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(uri: &str) -> (u16, String) {
        let refusal = parse(&uri.parse().unwrap()).unwrap_err();
        (refusal.status.as_u16(), refusal.message)
    }

    #[test]
    fn ids_are_percent_decoded() {
        let target = parse(&"/modules/%24edgeHub/genid/a%2Fb/sign?api-version=2018-06-28".parse().unwrap()).unwrap();
        let expected = Target::Keyed { module: "$edgeHub".to_owned(), generation: "a/b".to_owned(), operation: Operation::Sign };
        assert_eq!(target, expected);
    }

    #[test]
    fn a_target_in_absolute_form_means_the_same() {
        let uri = "http://workload.sock:80/trust-bundle?api-version=2018-06-28".parse().unwrap();
        assert_eq!(parse(&uri).unwrap(), Target::TrustBundle);
    }

    #[test]
    fn every_version_of_iot_edge_is_taken_wherever_it_stands_in_the_query() {
        for version in VERSIONS {
            assert!(parse(&format!("/trust-bundle?x=1&api-version={version}").parse().unwrap()).is_ok(), "{version}");
        }
    }

    #[test]
    fn the_version_is_judged_before_the_path() {
        assert_eq!(refused("/nowhere"), (400, "api-version not specified".to_owned()));
        assert_eq!(refused("/nowhere?api-version=").0, 400);
        assert_eq!(refused("/nowhere?api-version=2018-06-28"), (404, "not found".to_owned()));
    }

    #[test]
    fn an_unknown_version_is_quoted_at_a_readable_length() {
        let (status, message) = refused(&format!("/trust-bundle?api-version={}", "9".repeat(10_000)));
        assert_eq!(status, 400);
        assert!(message.len() < 200, "{message}");
    }

    #[test]
    fn paths_that_only_look_alike_are_not_found() {
        for path in [
            "/trust-bundle/",
            "//trust-bundle",
            "/TRUST-BUNDLE",
            "/modules//genid/1/sign",
            "/modules/m/genid//sign",
            "/modules/m/genid/1/sign/",
            "/modules/m/genid/1/other",
            "/modules/%ff/genid/1/sign",
            "/",
        ] {
            assert_eq!(refused(&format!("{path}?api-version=2018-06-28")).0, 404, "{path}");
        }
    }

    #[test]
    fn what_is_not_offered_says_so() {
        assert!(refused("/modules?api-version=2018-06-28").1.contains("Kubernetes"));
        for path in ["/modules/m/certificate/identity", "/modules/m/genid/1/certificate/server"] {
            assert!(refused(&format!("{path}?api-version=2018-06-28")).1.contains("certificates"), "{path}");
        }
    }
}
