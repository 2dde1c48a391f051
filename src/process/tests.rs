use std::time::Instant;

use proptest::prelude::*;

use super::*;

fn sh(script: &str) -> Program {
    Program::new("sh").args(["-c", script])
}

#[tokio::test]
async fn a_child_sees_what_it_is_given_and_no_more() {
    let output = sh("env").env("GIVEN", "1").run().await.unwrap();
    assert!(output.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for line in text.lines() {
        let name = line.split('=').next().unwrap();
        let known = ["GIVEN", "LC_ALL", "PWD", "OLDPWD", "SHLVL", "_"].contains(&name);
        assert!(known || INHERITED.contains(&name), "{line}");
    }
    assert!(text.contains("GIVEN=1"));
    // Cargo set this one for us.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    // Nothing to read.
    let output = sh("wc -c").run().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "0");
}

#[tokio::test]
async fn ends_are_told_apart() {
    let output = sh("echo out; echo err >&2; exit 3").run().await.unwrap();
    assert_eq!(output.code, Some(3));
    assert_eq!(output.stdout, b"out\n");
    assert_eq!(output.stderr, "err\n");
    let output = sh("kill -9 $$").run().await.unwrap();
    assert_eq!(output.code, None);
    let error = Program::new("strandline-no-such-program")
        .run()
        .await
        .unwrap_err();
    assert!(matches!(error, ProcessError::Start { .. }), "{error}");
}

#[tokio::test]
async fn output_is_capped() {
    let error = sh("yes").output_cap(1000).run().await.unwrap_err();
    assert!(matches!(
        error,
        ProcessError::TooMuchOutput { cap: 1000, .. }
    ));
    // Standard error is for people: cut, not refused.
    let output = sh("yes | head -c 100000 >&2; echo fine")
        .output_cap(1000)
        .run()
        .await
        .unwrap();
    assert_eq!(output.stderr.len(), 1000);
    assert_eq!(output.stdout, b"fine\n");
    let exact = sh("yes | head -c 1000").output_cap(1000);
    assert_eq!(exact.run().await.unwrap().stdout.len(), 1000);
}

/// Whether a process of this number is alive; a zombie is not.
fn alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .starts_with(" Z")
    })
}

/// Waits until a condition holds, for as long as a slow machine may take.
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_time_out_ends_the_whole_group() {
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pids");
    // A child and a grandchild that do not listen to SIGTERM.
    let script = format!(
        "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ >> {0}; while :; do sleep 1; done' & echo $$ >> {0}; wait",
        pids.display()
    );
    let error = sh(&script)
        .timeout(Duration::from_millis(500))
        .run()
        .await
        .unwrap_err();
    assert!(matches!(error, ProcessError::TimedOut { .. }), "{error}");
    let pids = std::fs::read_to_string(pids).unwrap();
    assert_eq!(pids.lines().count(), 2);
    for pid in pids.lines() {
        eventually("the group is gone", || !alive(pid));
    }
}

#[tokio::test]
async fn dropping_the_future_ends_the_group() {
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pids");
    let script = format!(
        "echo $$ > {0}; sleep 1000 & echo $! >> {0}; wait",
        pids.display()
    );
    let running = tokio::spawn(sh(&script).run());
    let read = || std::fs::read_to_string(&pids).unwrap_or_default();
    while read().lines().count() < 2 {
        tokio::task::yield_now().await;
    }
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    for pid in read().lines() {
        eventually("the group is gone", || !alive(pid));
    }
}

#[tokio::test]
async fn secrets_do_not_leave() {
    let output = sh(r#"echo "token is $TOKEN, https://me:$TOKEN@host/x" >&2"#)
        .secret_env("TOKEN", Zeroizing::new("s3cr3t-value\n".to_owned()))
        .run()
        .await
        .unwrap();
    assert!(!output.stderr.contains("s3cr3t"), "{}", output.stderr);
}

#[test]
fn urls_are_redacted() {
    let cases = [
        (
            "fatal: 'https://u:p@host/x': no",
            "fatal: 'https://***@host/x': no",
        ),
        (
            "https://u:p@a/ https://v:q@b/",
            "https://***@a/ https://***@b/",
        ),
        ("https://u:p@ss@host/", "https://***@host/"),
        ("ssh://git@host/x", "ssh://git@host/x"),
        ("https://host:443/a@b:c", "https://host:443/a@b:c"),
        ("https://:token@host", "https://***@host"),
        ("//", "//"),
        ("a // b:c@d", "a // b:c@d"),
    ];
    for (text, expected) in cases {
        assert_eq!(redact(text, []), expected);
    }
    assert_eq!(redact("abc and token1", ["token1\n", "abc"]), "abc and ***");
}

#[test]
fn one_line_is_one_line() {
    assert_eq!(one_line(" a\r\n\tb\u{1b}[31mc \n", 80), "a b [31mc");
    assert_eq!(one_line("abcdef", 4), "abc…");
    assert_eq!(one_line("", 4), "");
}

proptest! {
    #[test]
    fn no_secret_survives(before in ".{0,20}", secret in "[a-zA-Z0-9_-]{8,40}", after in ".{0,20}") {
        let text = format!("{before}{secret}{after} https://user:{secret}@host/{secret}");
        prop_assert!(!redact(&text, [secret.as_str()]).contains(&secret));
        let url = format!("https://user:{secret}@host/path");
        prop_assert_eq!(redact(&url, []), "https://***@host/path");
        let line = one_line(&text, 30);
        prop_assert!(line.chars().count() <= 30 && !line.chars().any(char::is_control));
    }
}
