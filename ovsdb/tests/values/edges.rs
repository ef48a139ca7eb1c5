//! Texts at the edges of the rules, for ovsdb-server, the embedded server and a client.

use ovsdb::Remote;
use ovsdb::testing::Server;
use ovsdb::value::json::Reader;

use super::raw::Raw;

const SCHEMA: &str = r#"{"name":"Shapes","version":"1.0.0","tables":{"Shape":{"isRoot":true,"columns":{
    "one":{"type":"integer"},
    "few":{"type":{"key":{"type":"integer","maxInteger":7},"min":0,"max":2}},
    "map":{"type":{"key":{"type":"integer","maxInteger":7},"value":"string","min":0,"max":2}}}}}}"#;

/// JSON numbers and strings that are accepted, as values of a message.
const READ: [&str; 15] = [
    "-0",
    "-0.0",
    "1e+5",
    "0e999999999",
    "1E-400",
    "9223372036854775808",
    "123456789012345678901234567890",
    "1.7976931348623157e308",
    "2.2250738585072014e-308",
    r#""""#,
    r#""\ud83d\ude00""#,
    r#""\u00e9\/\b\f""#,
    "\"\u{e9}\u{1f600}\u{7f}\"",
    r#""\uFFFF""#,
    r#""\u0001""#,
];

/// JSON numbers and strings that are refused.
const REFUSED: [&str; 24] = [
    "01",
    "-01",
    "-",
    "+1",
    ".5",
    "1.",
    "1e",
    "1e+",
    "1e2147483648",
    "0e2147483648",
    "1e309",
    "NaN",
    "Infinity",
    "-Infinity",
    "nan",
    "0x1",
    "1_000",
    r#""\u0000""#,
    r#""\ud800""#,
    r#""\ud800\u0041""#,
    r#""\x""#,
    r#""\u12""#,
    "\"\t\"",
    "\"\n\"",
];

/// Numbers that ovsdb-server cannot read, although it writes the last two; this library reads them.
const READ_HERE: [&str; 3] = ["5e-324", "2.2250738585072e-308", "1.79769313486232e+308"];

async fn servers() -> (Server, ovsdb::server::Server) {
    let reference = Server::builder()
        .schema(SCHEMA)
        .start()
        .expect("ovsdb-server");
    (
        reference,
        ovsdb::server::Server::memory(SCHEMA).expect("a schema"),
    )
}

/// Whether a server replies to an echo of this text, instead of closing the connection.
async fn is_echoed(remote: &Remote, text: &str) -> bool {
    let mut connection = Raw::connect(remote).await;
    connection.send_text("echo", &format!("[{text}]")).await;
    connection.text().await.is_some()
}

fn is_read(text: &str) -> bool {
    let mut reader = Reader::new(text);
    reader.skip().is_ok() && reader.end().is_ok()
}

#[tokio::test]
async fn the_edges_of_numbers_and_strings_are_those_of_ovsdb_server() {
    let (reference, embedded) = servers().await;
    let reference = Remote::unix(reference.socket());
    let cases = READ.map(|text| (text, true)).into_iter();
    for (text, expected) in cases.chain(REFUSED.map(|text| (text, false))) {
        assert_eq!(is_read(text), expected, "{text}");
        assert_eq!(
            is_echoed(&embedded.remote(), text).await,
            expected,
            "{text}"
        );
        assert_eq!(is_echoed(&reference, text).await, expected, "{text}");
    }
    for text in READ_HERE {
        assert!(is_read(text), "{text}");
        assert!(is_echoed(&embedded.remote(), text).await, "{text}");
        assert!(!is_echoed(&reference, text).await, "{text}");
    }
}

#[tokio::test]
async fn of_two_faults_of_a_value_both_servers_report_the_same() {
    let (reference, embedded) = servers().await;
    for (column, value, error) in [
        // Too many elements are found before wrong ones.
        ("few", r#"["set",[8,1,2]]"#, "syntax error"),
        ("few", r#"["set",[1,8,1]]"#, "syntax error"),
        (
            "map",
            r#"["map",[[8,"a"],[1,"b"],[2,"c"]]]"#,
            "syntax error",
        ),
        // Then the elements are checked in order, before duplicates.
        ("few", r#"["set",[8,"a"]]"#, "constraint violation"),
        ("few", r#"["set",["a",8]]"#, "syntax error"),
        ("few", r#"["set",[8,8]]"#, "constraint violation"),
        ("few", r#"["set",[1,1]]"#, "ovsdb error"),
        // Of each pair, the form is checked first, then the key.
        ("map", r#"["map",[[8]]]"#, "syntax error"),
        ("map", r#"["map",[[8,"a",1]]]"#, "syntax error"),
        ("map", r#"["map",[[8,1]]]"#, "constraint violation"),
        (
            "map",
            r#"["map",[[1,"a"],[8,"b"]]]"#,
            "constraint violation",
        ),
        ("map", r#"["map",[[1,"a"],[1.0,"b"]]]"#, "ovsdb error"),
    ] {
        for remote in [Remote::unix(reference.socket()), embedded.remote()] {
            let mut connection = Raw::connect(&remote).await;
            let insert = format!(
                r#"["Shapes",{{"op":"insert","table":"Shape","row":{{"{column}":{value}}}}}]"#
            );
            let id = connection.send_text("transact", &insert).await;
            let reply = connection.reply(id).await;
            assert_eq!(
                reply["result"][0]["error"], error,
                "{value} on {remote}: {reply}"
            );
        }
    }
}

/// ovsdb-server (3.1) crashes with a division by zero on the first of these, and computes wrong results
/// for some of the others.
#[tokio::test]
async fn the_embedded_server_multiplies_negative_numbers_and_zero() {
    let (_, embedded) = servers().await;
    for (number, by, product) in [
        (-5, 0, Some(0)),
        (-1, -4_000_000_000, Some(4_000_000_000)),
        (-5_000_000_000_000_000_000, -2, None),
        (i64::MIN, -1, None),
        (i64::MIN, 1, Some(i64::MIN)),
        (0, i64::MIN, Some(0)),
        (-1, i64::MIN, None),
    ] {
        let mut connection = Raw::connect(&embedded.remote()).await;
        let params = format!(
            r#"["Shapes",{{"op":"insert","table":"Shape","row":{{"one":{number}}}}},
            {{"op":"mutate","table":"Shape","where":[],"mutations":[["one","*=",{by}]]}},
            {{"op":"select","table":"Shape","where":[]}},{{"op":"abort"}}]"#
        );
        let id = connection.send_text("transact", &params).await;
        let result = connection.reply(id).await["result"].take();
        match product {
            Some(product) => assert_eq!(result[2]["rows"][0]["one"], product, "{number} * {by}"),
            None => assert_eq!(result[1]["error"], "range error", "{number} * {by}"),
        }
    }
}
