//! Lines in, answers out.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::json;

use crate::support::{World, answers, lines, wait};

#[test]
fn every_line_is_answered_and_bad_ones_stop_nothing() {
    let world = World::new();
    let input: Vec<&[u8]> = vec![
        b"{\"track\":\"before\"}",
        b"nonsense",
        b"{\"identify\":\"u1\",\"traits\":{\"plan\":\"pro\"},\"phone\":\"+1\",\"channels\":[{\"type\":\"sms\",\"address\":\"+2\",\"opted_in\":false}]}",
        b"",
        b"{\"track\":\"Bad\"}",
        b"  \t\r",
        b"{\"track\":\"odd\",\"properties\":[\"secret\"]}",
        b"{\"track\":\"odd\",\"properties\":{\"a\":\"\xff\"}}",
        b"{\"track\":\"odd\",\"context\":{\"$message_id\":\"x\"}}",
        b"{\"track\":\"odd\",\"usr\":\"u\"}",
        b"{\"track\":\"odd\",\"user\":\" \"}",
        b"{\"track\":\"during\",\"properties\":{\"n\":1.50},\"context\":{\"firmware\":\"1.4\"}}\r",
        b"{\"track\":\"of_another\",\"user\":\"u2\"}",
    ];

    let done = world.pipe("", input.join(&b'\n'));

    assert_eq!((done.code, done.stderr.as_str()), (Some(1), ""));
    let answers = answers(&done);
    let errors: Vec<_> =
        answers.iter().map(|answer| (answer["line"].clone(), answer["error"].clone())).collect();
    let expected = [
        (1, json!(null)),
        (2, json!("the line is not valid JSON at byte 1")),
        (3, json!(null)),
        (5, json!("event_type is not snake_case at byte 0")),
        (7, json!("properties is not an object")),
        (8, json!("the line is not UTF-8 at byte 34")),
        (9, json!("context holds a key that is reserved for the client")),
        (10, json!("usr is no field of a track line")),
        (11, json!("external_user_id is empty")),
        (12, json!(null)),
        (13, json!(null)),
    ];
    assert_eq!(errors, expected.map(|(line, error)| (json!(line), error)));
    let events = world.collector.events();
    let types: Vec<_> = events.iter().map(|event| event["event_type"].clone()).collect();
    assert_eq!(types, ["before", "during", "of_another"]);
    for (event, answer) in events.iter().zip([0, 9, 10]) {
        assert_eq!(event["context"]["$message_id"], answers[answer]["message_id"]);
        assert_eq!(answers[answer]["ok"], true);
    }
    assert_eq!(answers[2], json!({"line": 3, "ok": true}));
    assert_eq!(events[1]["properties"], json!({"n": 1.5}));
    assert_eq!(events[1]["context"]["firmware"], "1.4");
    assert_eq!(events[1]["external_user_id"], "u1");
    assert_eq!(events[2]["external_user_id"], "u2");
    let identify = &world.collector.identifies()[0];
    assert_eq!(identify["anonymous_id"], events[0]["anonymous_id"]);
    assert_eq!(identify["channels"][1], json!({"channel": "sms", "address": "+2", "opted_in": false}));
}

#[test]
fn a_line_is_answered_before_the_next_one_comes() {
    let world = World::new();
    let mut command = world.command("pipe");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());

    for n in 1..=30_u64 {
        input.write_all(lines([n]).as_bytes()).unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&answer["line"], &answer["ok"]), (&json!(n), &json!(true)));
    }

    drop(input);
    assert_eq!(wait(child).code, Some(0));
    assert_eq!(world.numbers(), (1..=30).collect::<Vec<_>>());
}

#[test]
fn lines_and_operations_have_limits_and_what_fits_goes() {
    let world = World::new();
    let line = |bytes: usize| {
        let head = "{\"track\":\"long\",\"properties\":{\"n\":1}";
        format!("{head}{}}}\n", " ".repeat(bytes - head.len() - 1))
    };
    let mut input = line(1 << 20);
    input.push_str(&line((1 << 20) + 1));
    input.push_str(&line(9 << 20));
    input.push_str(&format!("{{\"track\":\"large\",\"properties\":{{\"a\":\"{}\"}}}}\n", "x".repeat(40_000)));
    input.push_str(&lines([2]));

    let done = world.pipe("", input);

    assert_eq!(done.code, Some(1));
    let errors: Vec<_> = answers(&done).iter().map(|answer| answer["error"].clone()).collect();
    let too_long = json!("the line exceeds the limit of 1048576 bytes");
    let too_large = json!("operation exceeds the record limit of 32768 bytes");
    assert_eq!(errors, [json!(null), too_long.clone(), too_long, too_large, json!(null)]);
    assert_eq!(world.numbers(), [1, 2]);
}

#[test]
fn nothing_in_is_nothing_out() {
    let world = World::new();
    for input in ["", "\n", "\n  \n"] {
        let done = world.pipe("", input);
        assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (Some(0), "", ""), "{input:?}");
    }
    assert_eq!(world.collector.requests(), []);
}

#[test]
fn reading_ends_when_nobody_reads_the_answers() {
    let world = World::new();
    let mut command = world.command("pipe --timeout 30");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines([1]).as_bytes()).unwrap();

    // Standard input stays open.
    let done = wait(child);

    assert_eq!(done.code, Some(1));
    assert!(done.stderr.starts_with("whisperr: standard output: "), "{}", done.stderr);
    // Its answer was lost, the event was not.
    assert_eq!(world.numbers(), [1]);
    drop(input);
}

#[test]
fn what_is_owed_from_before_goes_first() {
    let world = World::new();
    assert_eq!(world.pipe_offline("--timeout 0", lines(0..5)).code, Some(0));
    assert_eq!(world.owed(), 5);

    assert_eq!(world.pipe("", lines(5..10)).code, Some(0));

    assert_eq!(world.numbers(), (0..10).collect::<Vec<_>>());
}
