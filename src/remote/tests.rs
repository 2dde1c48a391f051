//! Against real bare repositories over a path, and a small HTTP server that only ever asks who is
//! there.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Instant;

use proptest::prelude::*;

use super::url::{check, is_ref_name};
use super::*;

mod refs;

struct Bed {
    directory: tempfile::TempDir,
}

impl Bed {
    /// An empty remote, and a local repository with one commit.
    fn new() -> (Self, Oid) {
        let bed = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        for name in ["local.git", "remote.git"] {
            let path = bed.path(name);
            bed.git(
                "local.git",
                &["init", "-q", "--bare", path.to_str().unwrap()],
            );
        }
        let first = bed.commit("one", None);
        (bed, first)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn local(&self) -> PathBuf {
        self.path("local.git")
    }

    fn git(&self, repository: &str, args: &[&str]) -> String {
        let output = Command::new("git")
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs([
                ("GIT_CONFIG_GLOBAL", "/dev/null"),
                ("GIT_CONFIG_SYSTEM", "/dev/null"),
                ("GIT_AUTHOR_NAME", "a"),
                ("GIT_AUTHOR_EMAIL", "a@b"),
                ("GIT_COMMITTER_NAME", "a"),
                ("GIT_COMMITTER_EMAIL", "a@b"),
            ])
            .arg("--git-dir")
            .arg(self.path(repository))
            .args(args)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A commit of the empty tree in the local repository.
    fn commit(&self, message: &str, parent: Option<&Oid>) -> Oid {
        let tree = self.git(
            "local.git",
            &["hash-object", "-w", "-t", "tree", "/dev/null"],
        );
        let mut args = vec!["commit-tree", "-m", message, &tree];
        let parent = parent.map(Oid::to_string);
        if let Some(parent) = &parent {
            args.extend(["-p", parent]);
        }
        self.git("local.git", &args).parse().unwrap()
    }

    fn options(&self) -> RemoteOptions {
        RemoteOptions::new(self.path("remote.git").to_str().unwrap(), "main")
    }

    fn remote(&self) -> Remote {
        Remote::new(self.options()).unwrap()
    }

    fn hook(&self, script: &str) {
        let path = self.path("remote.git/hooks/pre-receive");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    async fn push(&self, commit: &Oid, expected: Option<&Oid>) -> Push {
        self.remote()
            .push(&self.local(), commit, expected, &[])
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn a_push_moves_the_branch_and_only_forward() {
    let (bed, one) = Bed::new();
    let two = bed.commit("two", Some(&one));
    let remote = bed.remote();
    assert_eq!(remote.head().await.unwrap(), None);
    assert_eq!(bed.push(&one, None).await, Push::Pushed);
    assert_eq!(remote.head().await.unwrap(), Some(one.clone()));
    assert_eq!(bed.push(&one, Some(&one)).await, Push::UpToDate);
    assert_eq!(bed.push(&two, Some(&one)).await, Push::Pushed);

    // A rewind with a matching lease, which the lease alone would let through.
    let push = bed.push(&one, Some(&two)).await;
    assert!(matches!(push, Push::Diverged { .. }), "{push:?}");
    // Something that we have never seen.
    let stranger: Oid = "1234567890123456789012345678901234567890".parse().unwrap();
    let push = bed.push(&two, Some(&stranger)).await;
    assert!(matches!(push, Push::Diverged { .. }), "{push:?}");
    // A stale expectation, and one of absence.
    let three = bed.commit("three", Some(&two));
    for expected in [Some(&one), None] {
        let push = bed.push(&three, expected).await;
        assert!(matches!(push, Push::StaleLease { .. }), "{push:?}");
    }
    assert_eq!(remote.head().await.unwrap(), Some(two.clone()));
    bed.git("remote.git", &["fsck", "--strict"]);
}

#[tokio::test]
async fn a_branch_that_others_moved_is_not_overwritten() {
    let (bed, one) = Bed::new();
    let two = bed.commit("two", Some(&one));
    let three = bed.commit("three", Some(&two));
    assert_eq!(bed.push(&two, None).await, Push::Pushed);

    // Rewound by others.
    let reference = "refs/heads/main";
    bed.git("remote.git", &["update-ref", reference, &one.0]);
    let push = bed.push(&three, Some(&two)).await;
    assert!(matches!(push, Push::StaleLease { .. }), "{push:?}");
    assert_eq!(bed.push(&three, Some(&one)).await, Push::Pushed);
    // Deleted by others.
    bed.git("remote.git", &["update-ref", "-d", reference]);
    let four = bed.commit("four", Some(&three));
    let push = bed.push(&four, Some(&three)).await;
    assert!(matches!(push, Push::StaleLease { .. }), "{push:?}");
    assert_eq!(bed.push(&four, None).await, Push::Pushed);
}

/// Two writers who saw the same remote: one wins, the other is told.
#[tokio::test]
async fn of_two_writers_one_wins() {
    let (bed, one) = Bed::new();
    assert_eq!(bed.push(&one, None).await, Push::Pushed);
    let mut base = one;
    for round in 0..5 {
        let left = bed.commit(&format!("left {round}"), Some(&base));
        let right = bed.commit(&format!("right {round}"), Some(&base));
        let (a, b) = tokio::join!(bed.push(&left, Some(&base)), bed.push(&right, Some(&base)));
        let winner = match (&a, &b) {
            (Push::Pushed, lost) if *lost != Push::Pushed => left,
            (lost, Push::Pushed) if *lost != Push::Pushed => right,
            other => panic!("{other:?}"),
        };
        for push in [a, b] {
            let told = matches!(
                push,
                Push::Pushed | Push::StaleLease { .. } | Push::Rejected { .. }
            );
            assert!(told, "{push:?}");
        }
        assert_eq!(bed.remote().head().await.unwrap(), Some(winner.clone()));
        base = winner;
    }
}

#[tokio::test]
async fn a_hook_that_refuses_is_quoted() {
    let (bed, one) = Bed::new();
    bed.hook("printf 'no pushes on \\033[31mFridays\\n' >&2; exit 1");
    match bed.push(&one, None).await {
        Push::Rejected { reason } => {
            assert!(reason.starts_with("no pushes on"), "{reason}");
            assert!(reason.contains("pre-receive hook declined"), "{reason}");
            assert!(!reason.contains('\u{1b}'), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bed.remote().head().await.unwrap(), None);
}

#[tokio::test]
async fn push_options_and_extra_refs_arrive() {
    let (bed, one) = Bed::new();
    let seen = bed.path("seen");
    bed.hook(&format!(
        r#"echo "$GIT_PUSH_OPTION_COUNT $GIT_PUSH_OPTION_0 $GIT_PUSH_OPTION_1" > {}"#,
        seen.display()
    ));
    bed.git(
        "remote.git",
        &["config", "receive.advertisePushOptions", "true"],
    );
    bed.git("remote.git", &["config", "receive.advertiseAtomic", "true"]);
    let mut options = bed.options();
    options.push_options = vec!["ci.skip".to_owned(), "a b".to_owned()];
    let remote = Remote::new(options).unwrap();
    let name = "refs/strandline/owners".to_owned();
    let extra = |expected: Option<&Oid>, object: &Oid| ExtraRef {
        name: name.clone(),
        object: object.clone(),
        expected: expected.cloned(),
    };
    let push = remote
        .push(&bed.local(), &one, None, &[extra(None, &one)])
        .await
        .unwrap();
    assert_eq!(push, Push::Pushed);
    assert_eq!(fs::read_to_string(&seen).unwrap(), "2 ci.skip a b\n");
    assert_eq!(remote.read_ref(&name).await.unwrap(), Some(one.clone()));

    // Together or not at all.
    let two = bed.commit("two", Some(&one));
    let push = remote
        .push(&bed.local(), &two, Some(&one), &[extra(None, &two)])
        .await
        .unwrap();
    assert!(matches!(push, Push::StaleLease { .. }), "{push:?}");
    assert_eq!(remote.head().await.unwrap(), Some(one.clone()));
    let push = remote
        .push(&bed.local(), &two, Some(&one), &[extra(Some(&one), &two)])
        .await
        .unwrap();
    assert_eq!(push, Push::Pushed);
}

#[tokio::test]
async fn a_remote_that_hangs_is_given_up() {
    let (bed, one) = Bed::new();
    let mut options = bed.options();
    options.timeout = Duration::from_secs(1);
    let remote = Remote::new(options).unwrap();
    bed.hook("exec sleep 1000");
    let start = Instant::now();
    let push = remote.push(&bed.local(), &one, None, &[]).await.unwrap();
    assert!(matches!(push, Push::TimedOut { .. }), "{push:?}");
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(remote.head().await.unwrap(), None);
    // The next one is as if nothing had been.
    bed.hook("exit 0");
    assert_eq!(bed.push(&one, None).await, Push::Pushed);
}

#[tokio::test]
async fn a_remote_that_is_not_there_is_unreachable() {
    let (bed, one) = Bed::new();
    for url in [
        bed.path("nowhere.git").to_str().unwrap().to_owned(),
        // Port 1 of this machine.
        "http://127.0.0.1:1/x.git".to_owned(),
    ] {
        let remote = Remote::new(RemoteOptions::new(url, "main")).unwrap();
        let push = remote.push(&bed.local(), &one, None, &[]).await.unwrap();
        assert!(matches!(push, Push::Unreachable { .. }), "{push:?}");
        let error = remote.head().await.unwrap_err();
        assert!(matches!(error, RemoteError::Unreachable { .. }), "{error}");
        assert!(error.is_transient());
    }
}

/// A start with an empty disk: the newest commit alone, a commit on top, and a push.
#[tokio::test]
async fn a_shallow_start_goes_on() {
    let (bed, one) = Bed::new();
    let two = bed.commit("two", Some(&one));
    assert_eq!(bed.push(&two, None).await, Push::Pushed);
    let remote = bed.remote();

    let fresh = bed.path("fresh.git");
    bed.git(
        "local.git",
        &["init", "-q", "--bare", fresh.to_str().unwrap()],
    );
    let mut elsewhere = bed.options();
    elsewhere.branch = "other".to_owned();
    let elsewhere = Remote::new(elsewhere).unwrap();
    assert_eq!(elsewhere.fetch(&fresh, Depth::Newest).await.unwrap(), None);
    let url = format!("file://{}", bed.path("remote.git").display());
    let by_url = Remote::new(RemoteOptions::new(url, "main")).unwrap();
    let fetched = by_url.fetch(&fresh, Depth::Newest).await.unwrap();
    assert_eq!(fetched, Some(two.clone()));
    assert_eq!(bed.git("fresh.git", &["rev-list", "--count", FETCHED]), "1");
    bed.git("fresh.git", &["fsck", "--strict"]);

    let same = format!("{two}^{{tree}}");
    let three = bed.git(
        "fresh.git",
        &["commit-tree", "-m", "three", "-p", &two.0, &same],
    );
    let three: Oid = three.parse().unwrap();
    assert!(is_ancestor(&fresh, &two, &three).await.unwrap());
    assert!(!is_ancestor(&fresh, &one, &three).await.unwrap());
    let push = remote.push(&fresh, &three, Some(&two), &[]).await.unwrap();
    assert_eq!(push, Push::Pushed);
    assert_eq!(bed.git("remote.git", &["rev-list", "--count", "main"]), "3");

    // Somebody else's commit comes to a repository with history, whole.
    let fetched = remote.fetch(&bed.local(), Depth::Missing).await.unwrap();
    assert_eq!(fetched, Some(three.clone()));
    assert!(is_ancestor(&bed.local(), &one, &three).await.unwrap());
    // A rewound remote is seen as it is.
    bed.git("remote.git", &["update-ref", "refs/heads/main", &one.0]);
    let fetched = remote.fetch(&bed.local(), Depth::Missing).await.unwrap();
    assert_eq!(fetched, Some(one));
}

/// Answers every request with 401, and keeps what was sent.
fn who_is_there(requests: usize) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x.git", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut seen = Vec::new();
        while seen.len() < requests {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut chunk = [0; 1024];
            while !request.ends_with(b"\r\n\r\n") {
                let read = stream.read(&mut chunk).unwrap();
                if read == 0 {
                    break;
                }
                request.extend_from_slice(&chunk[..read]);
            }
            seen.push(String::from_utf8(request).unwrap());
            let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\
                          Content-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).unwrap();
        }
        seen
    });
    (url, server)
}

#[tokio::test]
async fn a_token_goes_to_the_host_that_asks_and_nowhere_else() {
    use base64::Engine as _;
    let token = "s3cr3t-t0ken-value";
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    fs::write(&file, format!("{token}\n")).unwrap();
    let given = [
        Credentials::Token(Zeroizing::new(token.to_owned())),
        Credentials::TokenFile(file),
    ];
    for credentials in given {
        // Asked without, then with credentials.
        let (url, server) = who_is_there(2);
        let mut options = RemoteOptions::new(url, "main");
        options.credentials = credentials;
        assert!(!format!("{options:?}").contains(token));
        let error = Remote::new(options).unwrap().head().await.unwrap_err();
        assert!(matches!(error, RemoteError::Auth { .. }), "{error}");
        assert!(!error.to_string().contains(token), "{error}");
        let seen = server.join().unwrap();
        assert!(!seen[0].contains("Authorization"), "{}", seen[0]);
        let expected =
            base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{token}"));
        assert!(seen[1].contains(&format!("Authorization: Basic {expected}")));
    }
    // Nobody is asked at a terminal.
    let (url, server) = who_is_there(1);
    let remote = Remote::new(RemoteOptions::new(url, "main")).unwrap();
    let error = remote.head().await.unwrap_err();
    assert!(matches!(error, RemoteError::Auth { .. }), "{error}");
    server.join().unwrap();
    let mut options = RemoteOptions::new("https://host/x.git", "main");
    options.credentials = Credentials::TokenFile(directory.path().join("gone"));
    let error = Remote::new(options).unwrap().head().await.unwrap_err();
    assert!(matches!(error, RemoteError::Token { .. }), "{error}");
}

/// A hook of a local remote sees what `git` sees: it dumps arguments and environment of everything
/// above it.
#[tokio::test]
async fn the_token_is_in_one_variable_alone() {
    let (bed, one) = Bed::new();
    let dump = bed.path("dump");
    bed.hook(&format!(
        r#"p=$$; while [ "$p" != {} ]; do
             tr '\0' ' ' < /proc/$p/cmdline >> {dump}; echo >> {dump}
             tr '\0' '\n' < /proc/$p/environ >> {dump}
             p=$(sed -n 's/^PPid:\t//p' /proc/$p/status)
           done"#,
        std::process::id(),
        dump = dump.display()
    ));
    let token = "s3cr3t-t0ken-value";
    let mut options = bed.options();
    options.credentials = Credentials::Token(Zeroizing::new(token.to_owned()));
    let push = Remote::new(options)
        .unwrap()
        .push(&bed.local(), &one, None, &[])
        .await
        .unwrap();
    assert_eq!(push, Push::Pushed);
    let dump = fs::read_to_string(dump).unwrap();
    let lines: Vec<_> = dump.lines().filter(|line| line.contains(token)).collect();
    assert!(!lines.is_empty());
    for line in lines {
        assert_eq!(line, format!("STRANDLINE_GIT_TOKEN={token}"));
    }
    assert!(dump.contains("git --git-dir"), "it saw the git above it");
    assert!(!dump.contains("CARGO_MANIFEST_DIR"));
}

/// What lies in the repository runs no program: hooks, a monitor, helpers.
#[tokio::test]
async fn the_repository_runs_nothing() {
    let (bed, one) = Bed::new();
    let ran = bed.path("ran");
    let script = bed.path("script");
    fs::write(&script, format!("#!/bin/sh\ntouch {}\n", ran.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let script = script.to_str().unwrap();
    for name in ["pre-push", "reference-transaction", "post-update"] {
        let hook = bed.local().join("hooks").join(name);
        fs::create_dir_all(hook.parent().unwrap()).unwrap();
        fs::copy(script, hook).unwrap();
    }
    let (url, server) = who_is_there(1);
    for setting in [
        "core.fsmonitor",
        "core.askPass",
        "credential.helper",
        "core.sshCommand",
    ] {
        bed.git("local.git", &["config", setting, script]);
    }
    assert_eq!(bed.push(&one, None).await, Push::Pushed);
    bed.remote()
        .fetch(&bed.local(), Depth::Missing)
        .await
        .unwrap();
    maintenance(&bed.local(), Duration::from_secs(60))
        .await
        .unwrap();
    let remote = Remote::new(RemoteOptions::new(url, "main")).unwrap();
    let push = remote.push(&bed.local(), &one, None, &[]).await.unwrap();
    assert!(matches!(push, Push::Auth { .. }), "{push:?}");
    server.join().unwrap();
    assert!(!ran.exists());
}

#[tokio::test]
async fn maintenance_puts_packs_together() {
    let (bed, mut tip) = Bed::new();
    let mut packs = 0;
    for n in 0..12 {
        tip = bed.commit(&n.to_string(), Some(&tip));
        bed.git("local.git", &["update-ref", "refs/heads/main", &tip.0]);
        bed.git("local.git", &["repack", "-d", "-q"]);
        packs += 1;
    }
    let count = || {
        fs::read_dir(bed.local().join("objects/pack"))
            .unwrap()
            .filter(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                name.to_string_lossy().ends_with(".pack")
            })
            .count()
    };
    assert_eq!(count(), packs);
    maintenance(&bed.local(), Duration::from_secs(60))
        .await
        .unwrap();
    assert!(count() <= 4, "{}", count());
    bed.git("local.git", &["fsck", "--strict"]);
    assert!(
        maintenance(&bed.path("nowhere"), Duration::from_secs(60))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn git_is_new_enough() {
    let version = git_version().await.unwrap();
    assert!(git::number(&version) >= git::number(OLDEST_GIT));
    assert!(git::number("2.9.1") < git::number("2.34"));
    assert!(git::number("2.39.5.windows.1") > git::number("2.34"));
}

#[test]
fn urls_are_checked() {
    let ok = [
        ("https://host/x.git", Scheme::Https),
        ("https://user@host:8443/x.git", Scheme::Https),
        ("http://localhost:3000/x", Scheme::Http),
        ("http://[::1]:3000/x", Scheme::Http),
        ("http://127.0.0.2/x", Scheme::Http),
        ("ssh://git@host:22/x.git", Scheme::Ssh),
        ("git@host:x.git", Scheme::Ssh),
        ("host:x.git", Scheme::Ssh),
        ("file:///srv/x.git", Scheme::File),
        ("/srv/x.git", Scheme::File),
        ("../x:y.git", Scheme::File),
    ];
    for (url, scheme) in ok {
        assert_eq!(check(url, false), Ok(scheme), "{url}");
    }
    assert_eq!(check("http://host/x", false), Err(UrlError::PlainHttp));
    assert_eq!(check("http://host/x", true), Ok(Scheme::Http));
    assert_eq!(
        check("http://127.0.0.1.evil/x", false),
        Err(UrlError::PlainHttp)
    );
    for url in [
        "https://u:p@host/",
        "ssh://u:p@host/",
        "u:p@host/x",
        "u:p@host:x",
    ] {
        let error = check(url, false).unwrap_err();
        assert_eq!(error, UrlError::Password, "{url}");
        assert!(!error.to_string().contains('p') || !error.to_string().contains(url));
    }
    for url in ["ext::sh -c id", "git://host/x", "ftp://host/x", "fd::7"] {
        let error = check(url, false).unwrap_err();
        assert!(matches!(error, UrlError::Protocol(_)), "{url}");
    }
    for url in [
        "",
        "-x",
        "--upload-pack=id",
        "ssh://-oProxyCommand=id/x",
        "ssh://-o@host/x",
        "git@-oProxyCommand=id:x",
        "https:///x",
        "a\nb",
    ] {
        let error = check(url, false).unwrap_err();
        assert!(matches!(error, UrlError::Malformed(_)), "{url}");
    }
}

/// Git itself takes what we take.
#[test]
fn ref_names_are_gits() {
    let pieces = [
        "a", "-", ".", "..", "@{", "@", "~", ":", " ", "/", ".lock", "*", "\\", "é",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    let mut taken = 0;
    for _ in 0..300 {
        let length = random.usize(1..5);
        let pick = |_| pieces[random.usize(..pieces.len())];
        let name = format!("refs/heads/{}", (0..length).map(pick).collect::<String>());
        if is_ref_name(&name) {
            taken += 1;
            let status = Command::new("git")
                .args(["check-ref-format", &name])
                .status()
                .unwrap();
            assert!(status.success(), "{name}");
        }
    }
    assert!(taken > 10, "{taken}");
}

#[test]
fn push_output_is_read() {
    let line = |flag: char, summary: &str| format!("{flag}\tabc:refs/heads/main\t{summary}\n");
    let stale = |summary: &str| Some(Verdict::Stale(summary.to_owned()));
    let rejected = |summary: &str| Some(Verdict::Rejected(summary.to_owned()));
    let atomic = "[rejected] (atomic push failed)";
    let cases = [
        (String::new(), None),
        ("To /x\nDone\n".to_owned(), None),
        ("everything is well\n!\n!\t\t\n".to_owned(), None),
        (
            format!("To /x\n{}Done\n", line(' ', "1..2")),
            Some(Verdict::Pushed),
        ),
        (line('*', "[new branch]"), Some(Verdict::Pushed)),
        (line('=', "[up to date]"), Some(Verdict::UpToDate)),
        (
            line('=', "[up to date]") + &line(' ', "1..2"),
            Some(Verdict::Pushed),
        ),
        (
            line('!', "[rejected] (stale info)"),
            stale("[rejected] (stale info)"),
        ),
        (
            line('!', "[rejected] (fetch first)"),
            stale("[rejected] (fetch first)"),
        ),
        (
            line(
                '!',
                "[remote rejected] (cannot lock ref 'x': is at 1 but expected 2)",
            ),
            stale("[remote rejected] (cannot lock ref 'x': is at 1 but expected 2)"),
        ),
        (
            line('!', atomic) + &line('!', "[rejected] (stale info)"),
            stale("[rejected] (stale info)"),
        ),
        (
            line(' ', "1..2") + &line('!', "[remote rejected] (protected branch)"),
            rejected("[remote rejected] (protected branch)"),
        ),
        (line('!', atomic), rejected(atomic)),
    ];
    for (text, expected) in cases {
        assert_eq!(porcelain::verdict(&text), expected, "{text}");
    }
    let stderr = "remote: \nremote: GitLab: not today\nTo x\nremote: bye\nerror: failed\n";
    assert_eq!(porcelain::said_by_remote(stderr), "GitLab: not today bye");
}

proptest! {
    #[test]
    fn any_output_is_read(text in "[ *!=+\\-\ta:(x)\n]{0,60}") {
        let _ = porcelain::verdict(&text);
    }
}
