use super::*;

const JWT: &str =
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// In two parts, or the tools that look for leaked keys would find these.
const FAMILIES: &[(&str, &str)] = &[
    ("sk-", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKL"),
    ("sk-", "proj-T3BlbkFJ_abc-DEF_ghi-JKL0123456789abcdefghij"),
    ("sk-", "svcacct-9f8e7d6c5b4a39281706"),
    ("sk-", "test-1234567890"),
    ("sk-ant-", "api03-abcdefghijklmnopqrstuvwxyz-0123456789_ABCDEF-abcdefgAA"),
    ("sk-", "or-v1-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
    ("sk_live_", "4eC39HqLyjWDarjtT1zdp7dc"),
    ("rk_live_", "51H8abcDEFghiJKLmno"),
    ("sk_test_", "4eC39HqLyjWDarjtT1zdp7dc"),
    ("ghp_", "0123456789abcdefghijABCDEFGHIJ012345"),
    ("gho_", "0123456789abcdefghijABCDEFGHIJ012345"),
    ("ghs_", "0123456789abcdefghijABCDEFGHIJ012345"),
    (
        "github_pat_",
        "11ABCDEFG0abcdefghijkl_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVW",
    ),
    ("glpat-", "ABCdef123_456-ghiJKL"),
    ("glpat-", "abcdefghijklmnopqrstuvwxyz0.01.1a2b3c4d5"),
    ("xoxb-", "123456789012-1234567890123-abcdefABCDEF0123456789ab"),
    ("xoxp-", "123456789012-123456789012-123456789012-0123456789abcdef"),
    ("xoxa-", "2-0123456789abcdef"),
    ("xoxr-", "0123456789abcdef"),
    ("xoxs-", "0123456789abcdef"),
    ("AKIA", "IOSFODNN7EXAMPLE"),
    ("ASIA", "IOSFODNN7EXAMPLE"),
    ("AIza", "SyA1234567890abcdefghijklmnopqrstuv"),
];

#[test]
fn of_every_family_are_removed() {
    for (prefix, body) in FAMILIES {
        removes(&[&format!("{prefix}{body}")], "[key]");
    }
}

#[test]
fn that_are_tokens_of_the_web_are_removed() {
    removes(
        &[
            JWT,
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0",
            "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6ji.XFBoMYUZodetZdvTiFvSkQ",
            "Bearer abc123",
            "bearer 0123456789abcdef",
            "Bearer: tHisIsAnOpaqueToken",
            "BEARER abcdefghijklmnopqrstuvwxyz==",
        ],
        "[key]",
    );
}

#[test]
fn are_removed_next_to_other_text() {
    check("OPENAI_API_KEY=sk-proj-abc123def456ghi789", "OPENAI_API_KEY=[key]");
    check("sk-proj-abc123def456ghi789.", "[key].");
    check("use glpat-ABCdef123_456-ghiJKL.", "use [key].");
    check("Authorization: Bearer abc123def456.", "Authorization: [key].");
    check(&format!("Authorization: Bearer {JWT}\r\n"), "Authorization: [key]\r\n");
    check(&format!("Cookie: session={JWT}; theme=dark"), "Cookie: session=[key]; theme=dark");
    check(r"first\nsk-proj-abc123def456ghi789\tlast", r"first\n[key]\tlast");
    check(r"key\u003dsk-proj-abc123def456ghi789", r"key\u003d[key]");
    check("?key%3Dsk-proj-abc123def456ghi789&a=b", "?key%3D[key]&a=b");
    check("key_AKIAIOSFODNN7EXAMPLE_old", "key_[key]_old");
}

#[test]
fn of_pem_files_are_removed_whole() {
    for label in [
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "PGP PRIVATE KEY BLOCK",
    ] {
        let pem =
            format!("-----BEGIN {label}-----\nMIIEvQIBADANBg\nkqhkiG9w==\n-----END {label}-----");
        check(&format!("a\n{pem}\nb"), "a\n[key]\nb");
        check(&format!("{pem}{pem}\n"), "[key][key]\n");
        check(&pem.replace('\n', r"\n"), "[key]");
    }
}

#[test]
fn of_pem_files_that_were_cut_are_removed_to_the_end() {
    let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
    check(&format!("see -----BEGIN PRIVATE KEY-----\n{line}\n{line}\nMIIE"), "see [key]");
    let headers =
        "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,0123456789ABCDEF0123456789ABCDEF\n\n";
    check(&format!("-----BEGIN RSA PRIVATE KEY-----\n{headers}{line}\nab"), "[key]");
    let certificate = format!("-----BEGIN CERTIFICATE-----\n{line}\n-----END CERTIFICATE-----");
    check(&format!("-----BEGIN PRIVATE KEY-----\n{line}\n{certificate}"), "[key]");
}

#[test]
fn are_told_from_public_material_and_talk_about_keys() {
    keeps(&[
        "-----BEGIN CERTIFICATE-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj\n-----END PUBLIC KEY-----",
        "The file must begin with -----BEGIN PRIVATE KEY----- and nothing before it.",
        "------------------------------",
    ]);
}

#[test]
fn are_told_from_words() {
    keeps(&[
        "sk-SK",
        "disk-encryption-2024-release",
        "task-0123456789abcdef",
        "import sk-learn-contrib as sk",
        "class=\"sk-circle10 sk-estimator-id-3\"",
        "sk_live_",
        "ghp_token",
        "ASIAN markets and AKIAs",
        "AIzaShort",
        "xoxb-",
        "Bearer of bad news",
        "the bearer responsibilities are",
        "bearer authentication",
        "Bearer",
        "Bearer ",
        "forbearer abc123def",
        "cursor eyJpZCI6MTB9",
        "cursor eyJpZCI6MTB9. Then more",
        "file eyJpZCI6MTB9.json",
        "flight sk-1425",
    ]);
}
