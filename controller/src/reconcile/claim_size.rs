//! Sizes of claims: they can grow and never shrink.

use serde_json::Value;

/// Does `wanted` ask for less than `found` has? Then there is nothing to apply: a claim that outlived its EdgeDeployment, or that a
/// person made larger, stays as large as it is.
pub(super) fn would_shrink(wanted: &Value, found: &Value) -> bool {
    let size = |claim: &Value| claim.pointer("/spec/resources/requests/storage").and_then(Value::as_str).and_then(bytes);
    matches!((size(wanted), size(found)), (Some(wanted), Some(found)) if wanted < found)
}

/// Bytes of a quantity as claims have it: a whole number with one of the usual units.
pub(super) fn bytes(quantity: &str) -> Option<u128> {
    let digits = quantity.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = quantity.split_at(digits);
    let factor: u128 = match unit {
        "" => 1,
        "k" => 1000,
        "M" => 1000_u128.pow(2),
        "G" => 1000_u128.pow(3),
        "T" => 1000_u128.pow(4),
        "P" => 1000_u128.pow(5),
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        "Pi" => 1 << 50,
        _ => return None,
    };
    number.parse::<u128>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::would_shrink;

    #[test]
    fn sizes_are_compared_across_units() {
        let claim = |size: &str| json!({"spec": {"resources": {"requests": {"storage": size}}}});
        for (wanted, found, expected) in
            [("1Gi", "2Gi", true), ("1024Mi", "1Gi", false), ("1G", "1Gi", true), ("2Gi", "1Gi", false), ("1Gi", "odd", false)]
        {
            assert_eq!(would_shrink(&claim(wanted), &claim(found)), expected, "{wanted} {found}");
        }
    }
}
