//! Tokens accepted and refused.

use super::*;
use proptest::prelude::*;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const LATER: UnixSeconds = UnixSeconds(NOW.0 + 3_600);

fn key(text: &str) -> SymmetricKey {
    SymmetricKey::from_base64(STANDARD.encode(text))
}

fn sensor() -> Identity {
    "line-7/tempSensor".parse().unwrap()
}

fn hosts() -> Vec<String> {
    vec!["line-7-edgehub".into(), "plant.azure-devices.net".into()]
}

fn verify(token: &str) -> Result<Expiry, Refusal> {
    SharedAccessSignature::parse(token).unwrap().verify(&[&key("secret")], &hosts(), &sensor(), NOW)
}

fn signed_raw(raw_audience: &str, expiry: u64) -> String {
    let tag = hmac_sha256(&key("secret"), format!("{raw_audience}\n{expiry}").as_bytes()).unwrap();
    let signature = STANDARD.encode(tag.as_ref());
    format!("SharedAccessSignature sig={}&se={expiry}&skn=&sr={raw_audience}", utf8_percent_encode(&signature, NON_ALPHANUMERIC))
}

#[test]
fn a_token_of_our_own_is_accepted_under_either_key() {
    let token = sign(&key("secret"), &audience("line-7-edgehub", &sensor()), LATER).unwrap();
    let token = SharedAccessSignature::parse(&token).unwrap();
    let (old, new) = (key("secret"), key("new"));
    assert_eq!(token.verify(&[&new, &old], &hosts(), &sensor(), NOW), Ok(Expiry { at: LATER }));
    assert_eq!(token.verify(&[&new], &hosts(), &sensor(), NOW), Err(Refusal::Signature { identity: sensor() }));
    assert_eq!(token.verify(&[], &hosts(), &sensor(), NOW), Err(Refusal::NoKey { identity: sensor() }));
    let broken = SymmetricKey::from_base64("no base64!");
    assert_eq!(
        token.verify(&[&broken, &SymmetricKey::from_base64("")], &hosts(), &sensor(), NOW),
        Err(Refusal::NoKey { identity: sensor() })
    );
}

#[test]
fn the_signature_is_the_published_algorithm() {
    // openssl: printf 'h%%2Fdevices%%2Fd\n1800003600' | openssl dgst -sha256 -mac hmac -macopt key:secret -binary | base64
    let token = sign(&key("secret"), "h/devices/d", LATER).unwrap();
    assert_eq!(
        token,
        "SharedAccessSignature sr=h%2Fdevices%2Fd&sig=MvzpKXEZXJxCrlGO58bdY82NlZpTE4qlHvxDdfSuS0M%3D&se=1800003600"
    );
}

#[test]
fn audiences_are_taken_however_sdks_encode_them() {
    for raw in [
        "line-7-edgehub%2Fdevices%2Fline-7%2Fmodules%2FtempSensor",
        "line-7-edgehub%2fdevices%2fline-7%2fmodules%2ftempSensor",
        "line-7-edgehub/devices/line-7/modules/tempSensor",
        "PLANT.azure-devices.net%2Fdevices%2FLINE-7%2Fmodules%2Ftempsensor",
        "line-7-edgehub%2Fdevices%2Fline%252D7%2Fmodules%2Ftemp%2553ensor",
    ] {
        assert!(verify(&signed_raw(raw, LATER.0)).is_ok(), "{raw}");
    }
    let agent: Identity = "n@m.et:st%/$edgeAgent".parse().unwrap();
    for raw in [
        "h%2Fdevices%2Fn%2540m.et%253Ast%2525%2Fmodules%2F%2524edgeAgent",
        "h%2Fdevices%2Fn%40m.et%3Ast%25%2Fmodules%2F%24edgeAgent",
    ] {
        let token = SharedAccessSignature::parse(&signed_raw(raw, LATER.0)).unwrap();
        assert!(token.verify(&[&key("secret")], &["h".into()], &agent, NOW).is_ok(), "{raw}");
    }
}

#[test]
fn a_token_for_another_audience_is_refused_whoever_signed_it() {
    for raw in [
        "other%2Fdevices%2Fline-7%2Fmodules%2FtempSensor",
        "line-7-edgehub%2Fdevices%2Fline-8%2Fmodules%2FtempSensor",
        "line-7-edgehub%2Fdevices%2Fline-7%2Fmodules%2Ffilter",
        "line-7-edgehub%2Fdevices%2Fline-7",
        "line-7-edgehub%2Fdevices%2Fline-7%2Fmodules%2FtempSensor%2Fmore",
        "line-7-edgehub%2Fdevices%2Fline-7%2Fother%2FtempSensor",
        "line-7-edgehub",
        "%ff",
    ] {
        assert_eq!(verify(&signed_raw(raw, LATER.0)), Err(Refusal::Audience { identity: sensor() }), "{raw}");
    }
}

#[test]
fn expiry_allows_for_five_minutes_between_the_clocks() {
    let raw = "line-7-edgehub%2Fdevices%2Fline-7%2Fmodules%2FtempSensor";
    let last = NOW.0 - CLOCK_SKEW_SECONDS;
    assert_eq!(verify(&signed_raw(raw, last)).unwrap().remaining(NOW), 0);
    assert_eq!(verify(&signed_raw(raw, last - 1)), Err(Refusal::Expired { identity: sensor(), expired: UnixSeconds(last - 1) }));
    assert!(verify(&signed_raw(raw, u64::MAX)).is_ok());
}

#[test]
fn a_token_changed_anywhere_is_refused() {
    let token = sign(&key("secret"), &audience("line-7-edgehub", &sensor()), LATER).unwrap();
    for (from, to) in [("se=1800003600", "se=1900003600"), ("sr=line", "sr=LINE"), ("se=1800003600", "se=01800003600")] {
        let changed = token.replace(from, to);
        assert_ne!(changed, token);
        assert_eq!(verify(&changed), Err(Refusal::Signature { identity: sensor() }), "{to}");
    }
    let cut = token.replace("&sig=", "&sig=AAAA&was=");
    assert_eq!(verify(&cut), Err(Refusal::Signature { identity: sensor() }));
}

#[test]
fn malformed_tokens_are_refused_with_the_field() {
    use TokenError as E;
    for (token, expected) in [
        ("", E::Scheme),
        ("sr=a&sig=b&se=1", E::Scheme),
        ("sharedaccesssignature sr=a&sig=b&se=1", E::Scheme),
        ("SharedAccessSignaturesr=a&sig=b&se=1", E::Scheme),
        ("SharedAccessSignature sig=AA==&se=1", E::Missing { field: "sr" }),
        ("SharedAccessSignature sr=a&sig=AA==", E::Missing { field: "se" }),
        ("SharedAccessSignature sr=a&se=1", E::Missing { field: "sig" }),
        ("SharedAccessSignature sr=a&sig=AA==&se=", E::Missing { field: "se" }),
        ("SharedAccessSignature sr=a&sr=b&sig=AA==&se=1", E::Twice { field: "sr" }),
        ("SharedAccessSignature sr=a&sig=AA==&se=+1", E::Field { field: "se", expected: "a number of seconds" }),
        (
            "SharedAccessSignature sr=a&sig=AA==&se=99999999999999999999",
            E::Field { field: "se", expected: "a number of seconds" },
        ),
        ("SharedAccessSignature sr=a&sig=%ff&se=1", E::Field { field: "sig", expected: "percent-encoded base64" }),
        ("SharedAccessSignature sr=a&sig=A&se=1", E::Field { field: "sig", expected: "percent-encoded base64" }),
    ] {
        assert_eq!(SharedAccessSignature::parse(token), Err(expected), "{token}");
    }
    assert_eq!(SharedAccessSignature::parse("SharedAccessSignature\nsr=a&sig=AA%3D%3D&se=1").unwrap().expiry, UnixSeconds(1));
    assert_eq!(SharedAccessSignature::parse(&"x".repeat(4_097)), Err(E::TooLong { size: 4_097 }));
}

#[test]
fn debug_output_hides_the_signature() {
    let token = SharedAccessSignature::parse("SharedAccessSignature sr=a&sig=c2VjcmV0&se=1").unwrap();
    let shown = format!("{token:?}");
    assert!(!shown.contains("c2VjcmV0") && !shown.contains("115, 101"), "{shown}");
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>(), fields in "[a-z&=%0-9]{0,60}") {
        for token in [text, format!("SharedAccessSignature {fields}"), format!("SharedAccessSignature sr={fields}&sig=AA%3D%3D&se=9")] {
            if let Ok(token) = SharedAccessSignature::parse(&token) {
                prop_assert!(token.verify(&[&key("k")], &["h".to_owned()], &sensor(), UnixSeconds(0)).is_err());
            }
        }
    }

    #[test]
    fn every_identity_can_prove_itself(device in "[A-Za-z0-9._%*?!(),:=@$'-]{1,128}", module in prop::option::of("[A-Za-z0-9_-]{1,128}")) {
        let identity = Identity { device: device.parse().unwrap(), module: module.map(|name| name.parse().unwrap()) };
        let token = sign(&key("k"), &audience("h", &identity), LATER).unwrap();
        let token = SharedAccessSignature::parse(&token).unwrap();
        prop_assert!(token.verify(&[&key("k")], &["H".to_owned()], &identity, NOW).is_ok());
    }
}
