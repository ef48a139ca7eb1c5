//! Numbers are read as the server reads them, and those that it writes can be read.

use std::path::Path;
use std::process::Command;

use ovsdb_schema::Number;
use serde_json::value::RawValue;

const SCHEMA: &str =
    r#"{"name":"D","tables":{"T":{"columns":{"i":{"type":"integer"},"r":{"type":"real"}}}}}"#;

/// The reply of ovsdb-tool to a transaction that aborts at its end; `None` if the tool cannot read it.
fn transact(database: &Path, operations: &str) -> Option<Vec<Box<RawValue>>> {
    let output = Command::new("ovsdb-tool")
        .args(["transact".as_ref(), database.as_os_str()])
        .arg(format!(r#"["D",{operations},{{"op":"abort"}}]"#))
        .output()
        .expect("ovsdb-tool");
    let reply = String::from_utf8(output.stdout).expect("text");
    output
        .status
        .success()
        .then(|| serde_json::from_str(&reply).expect("a reply"))
}

/// What the server stores for a number in a column: `None` if it cannot read the number, `Some(None)` if the column
/// refuses it.
fn stored(database: &Path, column: &str, number: &str, then: &str) -> Option<Option<String>> {
    let insert = format!(r#"{{"op":"insert","table":"T","row":{{"{column}":{number}}}}}"#);
    let select = format!(r#"{{"op":"select","table":"T","where":[],"columns":["{column}"]}}"#);
    let reply = transact(database, &format!("{insert},{then}{select}"))?;
    let rows = reply.get(reply.len() - 2)?.get().to_owned();
    let value = rows.strip_prefix(&format!(r#"{{"rows":[{{"{column}":"#));
    Some(
        value
            .and_then(|value| value.strip_suffix("}]}"))
            .map(str::to_owned),
    )
}

fn database() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let (schema, database) = (folder.path().join("schema"), folder.path().join("database"));
    std::fs::write(&schema, SCHEMA).expect("the schema is written");
    let created = Command::new("ovsdb-tool")
        .arg("create")
        .args([&database, &schema])
        .status()
        .expect("ovsdb-tool");
    assert!(created.success());
    (folder, database)
}

/// Whether this may be the text of a real that the server wrote: with 15 significant digits, as `%.15g` of C does.
fn close(written: &str, real: f64) -> bool {
    let read: f64 = written.parse().expect("a real");
    (read - real).abs() <= real.abs() * 1e-14
}

#[test]
fn numbers_are_classified_as_by_the_reference() {
    let (_folder, database) = database();
    for text in [
        "0",
        "-0",
        "-0.0e1",
        "1e3",
        "1.0",
        "0.1e1",
        "10.50e1",
        "1000e-3",
        "1e18",
        "1e19",
        "1.5",
        "01",
        "1.",
        "-",
        "1e",
        "1e+",
        "9223372036854775807",
        "9223372036854775807.0",
        "9223372036854775807.00000000000000000",
        "9.2233720368547758070000000000000e18",
        "92233720368547758070e-1",
        "9223372036854775.807e3",
        "9223372036854775808",
        "-9223372036854775808.0",
        "-9223372036854775809",
        "18446744073709551615",
        "1844674407370955161e1",
        "100000000000000000000e-2",
        "1000000000000000000000.0e-3",
        "123456789012345678901234567890",
        "1.99999999999999999999999999999999999999999999999999999999995",
        "1.00000000000000000000000000000000001",
        "9223372036854775000.5",
        "1e-5",
        "1e-400",
        "-1e-400",
        "1e400",
        "2.2250738585072014e-308",
        "0e2147483639",
        "0e2147483640",
        "1e-2147483639",
        "1e2147483639",
        "0.00000000000e-2147483639",
        "1e99999999999",
    ] {
        let in_integer = stored(&database, "i", text, "");
        let in_real = stored(&database, "r", text, "");
        match Number::parse(text) {
            Ok(Number::Integer(integer)) => {
                assert_eq!(in_integer, Some(Some(integer.to_string())), "{text}");
            }
            Ok(Number::Real(real)) => {
                assert_eq!(in_integer, Some(None), "{text}");
                let written = in_real.flatten().expect(text);
                assert!(close(&written, real), "{text}: {written} and {real}");
            }
            Err(error) => assert_eq!((in_integer, in_real), (None, None), "{text}: {error}"),
        }
    }
}

/// The server stores reals whose written form its own parser refuses.
#[test]
fn numbers_that_the_reference_writes_are_read() {
    let (_folder, database) = database();
    let divided = r#"{"op":"mutate","table":"T","where":[],"mutations":[["r","/=",1e10]]},"#;
    for (number, then, wanted) in [
        ("1.7976931348623157e308", "", f64::MAX),
        ("-1.7976931348623157e308", "", f64::MIN),
        ("3e-308", divided, 3e-318),
    ] {
        let written = stored(&database, "r", number, then)
            .flatten()
            .expect(number);
        assert_eq!(stored(&database, "r", &written, ""), None, "{written}");
        assert_eq!(
            Number::parse(&written),
            Ok(Number::Real(wanted)),
            "{written}"
        );
    }
}
