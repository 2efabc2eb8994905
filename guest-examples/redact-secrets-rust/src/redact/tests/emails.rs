use super::*;

#[test]
fn are_removed() {
    removes(
        &[
            "bob@example.com",
            "Bob.Smith+flights@mail.example.co.uk",
            "b@x.io",
            "user_1%x@sub-domain.example.travel",
            "12345@163.com",
            "BOB@EXAMPLE.COM",
            "bob%40example.com",
            "jörg@müller.de",
            "иван@почта.рф",
            "nguyễn@example.vn",
            "bob@xn--mller-kva.xn--p1ai",
            "4111111111111111@example.com",
        ],
        "[email]",
    );
}

#[test]
fn are_removed_next_to_other_text() {
    check("Write to bob@example.com.", "Write to [email].");
    check("bob@example.com, ann@example.org; eve@example.net", "[email], [email]; [email]");
    check("Bob <bob@example.com>", "Bob <[email]>");
    check("mailto:bob@example.com?subject=hi", "mailto:[email]?subject=hi");
    check("'bob@example.com'", "'[email]'");
    check("...bob@example.com...", "...[email]...");
    check("?a=1&to=bob%40example.com&b=2", "?a=1&to=[email]&b=2");
    check("https://user:secret@db.example.com/x", "https://user:[email]/x");
    check(r"first\nbob@example.com\nlast", r"first\n[email]\nlast");
    check(r"Bob \u003cbob@example.com\u003e", r"Bob \u003c[email]\u003e");
    check(r"HOME\bob@example.com", r"HOME\[email]");
    check("user:bob@example.com", "user:[email]");
    check("bob@example.com.5 is odd", "[email].5 is odd");
    check("bob@example.com-", "[email]-");
    check("请联系bob@example.com谢谢", "请联系[email]谢谢");
    check("用户@例子.广告", "[email]");
    check("a@b@example.com", "a@[email]");
    check("bob@example.comann@example.com", "[email]@example.com");
}

#[test]
fn are_told_from_what_else_has_an_at_sign() {
    keeps(&[
        "@bob and @ann",
        "bob@localhost",
        "root@192.168.0.1",
        "react@18.2.0",
        "@types/node@20.1.0",
        "lodash@4.17.21.tgz",
        "icon@2x.png",
        "git@github.com:owner/name.git",
        "3 apples @ 2.50",
        "a@b.c",
        "@",
        "@.com",
        "bob@.com",
        "bob@example..com",
        "bob@",
        "100%40",
    ]);
}
