//! What each operation does and refuses (RFC 7047 section 5.2).

use super::*;

#[test]
fn numbers_are_mutated() {
    let mut database = database(
        r#""T":{"columns":{"i":{"type":"integer"},"x":{"type":"real"},
            "all":{"type":{"key":"integer","min":0,"max":"unlimited"}}}}"#,
    );
    for (column, before, mutator, argument, after) in [
        ("i", "7", "+=", "2", "9"),
        ("i", "7", "-=", "2", "5"),
        ("i", "7", "*=", "2", "14"),
        ("i", "7", "/=", "2", "3"),
        ("i", "-7", "/=", "2", "-3"),
        ("i", "-7", "%=", "2", "-1"),
        ("x", "7.5", "+=", "2.5", "10.0"),
        ("x", "7.5", "-=", "2.5", "5.0"),
        ("x", "7.5", "*=", "2.5", "18.75"),
        ("x", "7.5", "/=", "2.5", "3.0"),
        ("all", r#"["set",[1,2,3]]"#, "*=", "2", r#"["set",[2,4,6]]"#),
    ] {
        let operations = format!(
            r#"{{"op":"delete","table":"T","where":[]}},
               {{"op":"insert","table":"T","row":{{"{column}":{before}}}}},
               {{"op":"mutate","table":"T","where":[],"mutations":[["{column}","{mutator}",{argument}]]}},
               {{"op":"select","table":"T","where":[],"columns":["{column}"]}}"#
        );
        let results = commit(&mut database, &operations);
        let row = format!(r#"{{"rows":[{{"{column}":{after}}}]}}]"#);
        assert!(
            results.ends_with(&row),
            "{before} {mutator} {argument}: {results}"
        );
    }
}

#[test]
fn pairs_are_inserted_into_maps_and_deleted_by_their_keys() {
    let mut database = database(
        r#""T":{"columns":{"m":{"type":{"key":"integer","value":"integer","min":0,"max":"unlimited"}}}}"#,
    );
    commit(
        &mut database,
        &insert("T", 1, r#""m":["map",[[1,1],[2,2]]]"#),
    );
    for (mutation, left) in [
        (r#""insert",["map",[[1,9],[3,3]]]"#, "[1,1],[2,2],[3,3]"),
        (r#""delete",["set",[1,7]]"#, "[2,2],[3,3]"),
        (r#""delete",["map",[[2,2],[3,9]]]"#, "[3,3]"),
        (r#""delete",3"#, ""),
    ] {
        let operations = format!(
            r#"{{"op":"mutate","table":"T","where":[],"mutations":[["m",{mutation}]]}},
               {{"op":"select","table":"T","where":[],"columns":["m"]}}"#
        );
        let results = commit(&mut database, &operations);
        let row = format!(r#"{{"rows":[{{"m":["map",[{left}]]}}]}}]"#);
        assert!(results.ends_with(&row), "{mutation}: {results}");
    }
}

#[test]
fn a_mutator_is_refused_on_a_column_of_another_type() {
    let mut database = database(
        r#""T":{"columns":{"s":{"type":"string"},"x":{"type":"real"},
            "m":{"type":{"key":"integer","value":"integer","min":0}}}}"#,
    );
    for mutation in [
        r#"["s","+=","a"]"#,
        r#"["x","%=",2.0]"#,
        r#"["m","+=",1]"#,
        r#"["s","insert","a"]"#,
    ] {
        let mutate =
            format!(r#"{{"op":"mutate","table":"T","where":[],"mutations":[{mutation}]}}"#);
        let refused = fail(&mut database, &mutate);
        assert!(refused.contains("Type mismatch"), "{mutation}: {refused}");
    }
}

#[test]
fn conditions_select_rows() {
    let mut database = database(
        r#""T":{"columns":{"i":{"type":"integer"},"x":{"type":"real"},"o":{"type":{"key":"integer","min":0}},
            "s":{"type":{"key":"integer","min":0,"max":"unlimited"}}}}"#,
    );
    commit(
        &mut database,
        &insert("T", 1, r#""i":5,"x":2.5,"s":["set",[1,2]]"#),
    );
    for (holds, fails) in [
        (r#"["i","==",5]"#, r#"["i","==",6]"#),
        (r#"["i","!=",6]"#, r#"["i","!=",5]"#),
        (r#"["i","<",6]"#, r#"["i","<",5]"#),
        (r#"["i","<=",5]"#, r#"["i","<=",4]"#),
        (r#"["i",">",4]"#, r#"["i",">",5]"#),
        (r#"["i",">=",5]"#, r#"["i",">=",6]"#),
        (r#"["x","<",2.75]"#, r#"["x",">",2.75]"#),
        (r#"["s","includes",1]"#, r#"["s","includes",["set",[1,3]]]"#),
        (r#"["s","excludes",3]"#, r#"["s","excludes",["set",[1,3]]]"#),
        // An empty optional value is neither less nor greater than a number.
        (r#"["o","==",["set",[]]]"#, r#"["o","<=",5]"#),
        ("true", "false"),
    ] {
        for (clause, count) in [(holds, 1), (fails, 0)] {
            let select =
                format!(r#"{{"op":"select","table":"T","where":[{clause}],"columns":["i"]}}"#);
            let results = commit(&mut database, &select);
            assert_eq!(results.matches(r#"{"i":5}"#).count(), count, "{clause}");
        }
    }
    for (clause, details) in [
        (r#"["s","<",1]"#, "Type mismatch"),
        (r#"["i","===",1]"#, "No function named"),
    ] {
        let select = format!(r#"{{"op":"select","table":"T","where":[{clause}]}}"#);
        let refused = fail(&mut database, &select);
        assert!(refused.contains(details), "{clause}: {refused}");
    }
}

#[test]
fn a_transaction_sees_its_own_changes() {
    let mut database = database(
        r#""T":{"columns":{"name":{"type":"string"},"n":{"type":"integer"}},"indexes":[["name"]]}"#,
    );
    let rows = [
        insert("T", 1, r#""name":"a""#),
        insert("T", 2, r#""name":"b""#),
    ];
    commit(&mut database, &rows.join(","));
    let select = |name: &str| {
        format!(
            r#"{{"op":"select","table":"T","where":[["name","==","{name}"]],"columns":["name"]}}"#
        )
    };
    let rename = |number: u128, name: &str| {
        let row = reference(number);
        format!(
            r#"{{"op":"update","table":"T","where":[["_uuid","==",{row}]],"row":{{"name":"{name}"}}}}"#
        )
    };
    let operations = [rename(1, "c"), select("a"), select("b"), select("c")];
    assert_eq!(
        commit(&mut database, &operations.join(",")),
        r#"[{"count":1},{"rows":[]},{"rows":[{"name":"b"}]},{"rows":[{"name":"c"}]}]"#
    );
    assert_eq!(commit(&mut database, &select("a")), r#"[{"rows":[]}]"#);
    // Two rows exchange their values in the index.
    commit(&mut database, &[rename(1, "b"), rename(2, "c")].join(","));
    let refused = fail(&mut database, &rename(1, "c"));
    assert!(refused.contains("constraint violation"), "{refused}");
    assert_eq!(
        commit(&mut database, &[select("b"), select("c")].join(",")),
        r#"[{"rows":[{"name":"b"}]},{"rows":[{"name":"c"}]}]"#
    );
    // Rows that are equal in the selected columns are one row of the result.
    let select = |columns: &str| {
        format!(r#"{{"op":"select","table":"T","where":[],"columns":[{columns}]}}"#)
    };
    let rows = commit(&mut database, &select(r#""n""#));
    assert_eq!(rows, r#"[{"rows":[{"n":0}]}]"#);
    let rows = commit(&mut database, &select(r#""n","_uuid""#));
    assert_eq!(rows.matches(r#""n":0"#).count(), 2);
    assert!(rows.contains("},{"), "{rows}");
    // A uuid is used once, also when its row was deleted in the same transaction.
    for operations in [
        vec![insert("T", 1, "")],
        vec![insert("T", 3, r#""name":"d""#), insert("T", 3, "")],
        vec![delete("T", 1), insert("T", 1, "")],
    ] {
        let refused = fail(&mut database, &operations.join(","));
        assert!(refused.contains("duplicate uuid"), "{refused}");
    }
}

#[test]
fn a_commit_has_the_comments_of_its_transaction() {
    let mut database = database(r#""T":{"columns":{"n":{"type":"integer"}}}"#);
    for (comments, expected) in [
        (vec![], None),
        (vec!["a"], Some("a")),
        (vec!["a", "b"], Some("a\nb")),
    ] {
        let comments = comments.iter();
        let comments = comments.map(|text| format!(r#"{{"op":"comment","comment":"{text}"}}"#));
        let mut operations: Vec<_> = comments.collect();
        operations.push(r#"{"op":"insert","table":"T","row":{}}"#.into());
        let proposal = propose(&mut database, &operations.join(","));
        let commit = proposal.commit().expect("a change");
        assert_eq!(commit.comment.as_deref(), expected);
    }
}

#[test]
fn a_transaction_that_asserts_a_lock_fails_unless_the_client_holds_it() {
    let mut database = database(r#""T":{"columns":{"n":{"type":"integer"}}}"#);
    let assert = |lock: &str| format!(r#"{{"op":"assert","lock":"{lock}"}}"#);
    assert_eq!(commit(&mut database, &assert("held")), "[{}]");
    let refused = fail(&mut database, &assert("other"));
    assert!(
        refused.contains("not owner") && refused.contains("Asserted lock other not held."),
        "{refused}"
    );
}

#[test]
fn a_reply_waits_for_the_disk_if_any_commit_operation_demands_it() {
    let mut database = database(r#""T":{"columns":{"n":{"type":"integer"}}}"#);
    for (demands, durable) in [
        (vec![], false),
        (vec![false], false),
        (vec![true], true),
        (vec![true, true], true),
        (vec![true, false], true),
    ] {
        let commits = demands
            .iter()
            .map(|durable| format!(r#"{{"op":"commit","durable":{durable}}}"#));
        let commits: Vec<_> = commits.collect();
        assert_eq!(
            propose(&mut database, &commits.join(",")).durable,
            durable,
            "{demands:?}"
        );
    }
}

#[test]
fn values_that_are_malformed_are_refused() {
    let mut database = database(
        r#""T":{"columns":{"s":{"type":{"key":"integer","min":0,"max":"unlimited"}},
            "x":{"type":{"key":{"type":"real","minReal":1.5,"maxReal":2.5},"min":0}},
            "u":{"type":{"key":"uuid","min":0}},
            "m":{"type":{"key":"integer","value":"integer","min":0,"max":2}}}}"#,
    );
    for (row, details) in [
        (r#""s":["set",[1,2,1]]"#, "set contains duplicate"),
        (r#""s":["set",[2,1,1]]"#, "set contains duplicate"),
        (r#""m":["map",[[1,2],[1,3]]]"#, "map contains duplicate key"),
        (r#""m":["map",[[1,2],[3,"x"]]]"#, "expected integer"),
        (r#""m":["map",[[1,2],[3]]]"#, "expected 2-element array"),
        (r#""m":["map",[[1,2],[3,4,5]]]"#, "expected 2-element array"),
        (r#""m":["map",[[1,2],5]]"#, "expected 2-element array"),
        (r#""m":["map",[[1,2],["x"]]]"#, "expected 2-element array"),
        (r#""m":["map",[[1,2],[2,3],[3,4]]]"#, "but 3 are present"),
        (r#""x":1.25"#, "is not in the valid range 1.5 to 2.5"),
        (r#""x":2.75"#, "is not in the valid range 1.5 to 2.5"),
        (
            r#""u":["named-uuid","1x"]"#,
            "named-uuid string is not a valid <id>",
        ),
    ] {
        let refused = fail(&mut database, &insert("T", 1, row));
        assert!(refused.contains(details), "{row}: {refused}");
    }
    for (operation, details) in [
        ("5", "Object expected."),
        (r#"{"op":5}"#, "Type mismatch for member 'op'."),
        (
            r#"{"op":"insert","table":"T","row":[]}"#,
            "Type mismatch for member 'row'.",
        ),
        (
            r#"{"op":"select","table":"T","where":{}}"#,
            "Type mismatch for member 'where'.",
        ),
        (
            r#"{"op":"select","table":"1T","where":[]}"#,
            "Type mismatch for member 'table'.",
        ),
        (
            r#"{"op":"commit","durable":1}"#,
            "Type mismatch for member 'durable'.",
        ),
    ] {
        let refused = fail(&mut database, operation);
        assert!(refused.contains(details), "{operation}: {refused}");
    }
}
