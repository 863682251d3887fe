//! Objects of S3 as sources and as destinations, against a store that does what it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::store::{ACCESS, SECRET, Store, query, refused};
use crate::support::*;

const PAYLOAD: Payload = Payload::mib(117, 40);
const SMALL: Payload = Payload::new(118, 5000);
const PART: u64 = 8 * MIB;

fn upload(store: &Store, sandbox: &Sandbox, server: &Server) -> Haul {
    let haul = store.haul(sandbox).most_memory_mib(128);
    haul.args([&server.url("/file.bin"), "-o", "s3://bucket/dir/a b"])
}

fn is_complete(request: &Request) -> bool {
    request.method == "POST" && query(&request.target, "uploadId").is_some()
}

fn is_part(request: &Request, number: &str) -> bool {
    request.method == "PUT" && query(&request.target, "partNumber") == Some(number)
}

#[track_caller]
fn assert_uploaded(store: &Store) {
    PAYLOAD.assert_is(&store.object("dir/a%20b").expect("the object is there"));
    assert!(store.content.lock().unwrap().uploads.is_empty(), "an upload is left");
}

/// Records of uploads that are not complete.
fn records(sandbox: &Sandbox) -> Vec<String> {
    let left = sandbox.outside();
    let names = left.iter().map(|(path, _)| path.to_string_lossy().into_owned());
    names.filter(|name| name.contains("/uploads/")).collect()
}

#[test]
fn an_object_is_fetched_in_signed_ranges_of_one_version() {
    let (store, sandbox) = (Store::start(), Sandbox::new());
    store.put("a%20b%2B", PAYLOAD.all());
    let args = ["s3://bucket/a b+", "--sha256", &PAYLOAD.sha256_hex(), "-x", "4", "--json"];
    store.haul(&sandbox).args(args).args(["-o", "file"]).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file");
    let gets = store.server.gets();
    assert!(gets.len() > 1);
    for get in &gets {
        let signed = get.header("authorization").unwrap();
        assert!(signed.starts_with(&format!("AWS4-HMAC-SHA256 Credential={ACCESS}/")), "{signed}");
        assert!(signed.contains("/us-east-1/s3/aws4_request") && signed.contains("range"), "{signed}");
        assert_eq!(get.header("x-amz-checksum-mode"), Some("ENABLED"));
        assert!(!get.has("if-range"));
    }
    assert!(gets[1..].iter().all(|get| get.has("if-match")), "each later range is of the same version");
}

#[test]
fn the_environment_decides_on_region_token_payer_and_signature() {
    let (store, sandbox) = (Store::start(), Sandbox::new());
    store.put("k", SMALL.all());
    let haul = |name: &str| store.haul(&sandbox).args(["s3://bucket/k?versionId=3/x", "-o", name]);
    haul("a")
        .env("AWS_REGION", "eu-north-1")
        .env("AWS_SESSION_TOKEN", "T0KEN")
        .arg("--s3-requester-pays")
        .run()
        .assert_ok();
    haul("b").arg("--s3-anonymous").run().assert_ok();
    let gets = store.server.gets();
    assert_eq!(query(&gets[0].target, "versionId"), Some("3%2Fx"));
    assert_eq!(gets[0].header("x-amz-security-token"), Some("T0KEN"));
    assert_eq!(gets[0].header("x-amz-request-payer"), Some("requester"));
    assert!(gets[0].header("authorization").unwrap().contains("/eu-north-1/s3/"));
    let last = gets.last().unwrap();
    assert!(!last.has("authorization") && !last.has("x-amz-request-payer"), "nothing is signed");
    sandbox.assert_ok_file(&SMALL, "a");
    sandbox.assert_ok_file(&SMALL, "b");
}

#[test]
fn a_refusal_is_told_with_its_exit_code() {
    for (status, code, exit, said) in [
        (404, "NoSuchBucket", 3, "the bucket does not exist"),
        (404, "NoSuchKey", 3, "the object does not exist"),
        (403, "AccessDenied", 4, "access denied"),
        (403, "InvalidAccessKeyId", 4, "does not know the access key"),
        (403, "SignatureDoesNotMatch", 4, "the signature is wrong"),
        (403, "RequestTimeTooSkewed", 4, "the clock of this machine"),
        (400, "ExpiredToken", 4, "the credentials have expired"),
        (403, "InvalidObjectState", 5, "archived"),
    ] {
        let store = Store::refusing(move |_, _| Some(refused(status, code)));
        let sandbox = Sandbox::new();
        let outcome = store.haul(&sandbox).args(["s3://bucket/k", "-o", "f"]).run();
        outcome.assert_code(exit);
        assert!(
            outcome.stderr.contains(said) && outcome.stderr.contains("next:"),
            "{code}: {}",
            outcome.stderr
        );
        assert!(store.server.gets().len() <= 2, "{code}: asked again and again");
        let server = Server::serve(PAYLOAD).start();
        let outcome = upload(&store, &sandbox, &server).run();
        // A look with HEAD has no document; a denial may mean that nothing is there.
        outcome.assert_code(if code == "InvalidObjectState" { 5 } else { exit });
    }
}

#[test]
fn a_bucket_of_another_region_is_asked_again_with_the_signature_for_that_region() {
    let store = Store::refusing(|request, _| {
        let wrong = !request.header("authorization")?.contains("/eu-central-1/");
        wrong.then(|| {
            let mut answer = refused(400, "AuthorizationHeaderMalformed");
            answer.set("x-amz-bucket-region", "eu-central-1");
            answer
        })
    });
    let sandbox = Sandbox::new();
    store.put("k", SMALL.all());
    store.haul(&sandbox).args(["s3://bucket/k", "-o", "f"]).run().assert_ok();
    sandbox.assert_ok_file(&SMALL, "f");
}

#[test]
fn a_redirect_to_another_origin_never_carries_the_signature() {
    let elsewhere = Server::serve(SMALL).start();
    let target = elsewhere.url("/k");
    let store = Store::refusing(move |_, _| {
        let mut answer = Answer::text(307, "");
        answer.set("Location", &target);
        Some(answer)
    });
    let sandbox = Sandbox::new();
    store
        .haul(&sandbox)
        .env("AWS_SESSION_TOKEN", "T0KEN")
        .args(["s3://bucket/k", "-o", "f"])
        .run()
        .assert_ok();
    sandbox.assert_ok_file(&SMALL, "f");
    for request in elsewhere.requests() {
        assert!(!request.has("authorization") && !request.contains("T0KEN") && !request.contains(ACCESS));
    }
}

#[test]
fn an_object_that_changes_while_it_is_fetched_is_never_joined() {
    let (store, sandbox) = (Store::start(), Sandbox::new());
    store.put("k", PAYLOAD.all());
    let haul = || store.haul(&sandbox).args(["s3://bucket/k", "-o", "f", "--json"]);
    let running = haul().args(["--limit-rate", "8M"]).spawn();
    running.wait_for_durable(4 * MIB);
    running.kill();
    let other = Payload::mib(119, 40);
    store.put("k", other.all());
    haul().run().assert_ok();
    sandbox.assert_ok_file(&other, "f");
}

#[test]
fn an_unfinished_object_is_resumed_by_name() {
    let (store, sandbox) = (Store::start(), Sandbox::new());
    store.put("k", PAYLOAD.all());
    let running =
        store.haul(&sandbox).args(["s3://bucket/k", "-o", "f", "--json", "--limit-rate", "8M"]).spawn();
    running.wait_for_durable(4 * MIB);
    running.kill();
    let manifest = String::from_utf8_lossy(&sandbox.read("f.haul")).into_owned();
    assert!(manifest.contains("s3://bucket/k") && !manifest.contains(SECRET) && !manifest.contains(ACCESS));
    store.haul(&sandbox).arg("resume").run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "f");
}

#[test]
fn a_large_file_becomes_an_object_of_parts_and_a_small_one_is_one_request() {
    let (store, sandbox, server) = (Store::start(), Sandbox::new(), Server::serve(PAYLOAD).start());
    upload(&store, &sandbox, &server).args(["--sha256", &PAYLOAD.sha256_hex()]).run().assert_ok();
    assert_uploaded(&store);
    let mut parts = store.parts_sent();
    parts.sort_unstable();
    assert_eq!(parts, [1, 2, 3, 4, 5]);
    let requests = store.server.requests();
    let sizes = requests
        .iter()
        .filter(|request| request.method == "PUT")
        .map(|request| request.request.body.len() as u64);
    assert!(sizes.into_iter().all(|size| size == PART));
    let complete = requests.iter().find(|request| is_complete(request)).unwrap();
    assert_eq!(complete.header("if-none-match"), Some("*"));
    assert!(complete.has("x-amz-checksum-crc64nvme"));
    let small = Server::serve(SMALL).start();
    store.haul(&sandbox).args([&small.url("/x/s.bin"), "-o", "s3://bucket/p/"]).run().assert_ok();
    SMALL.assert_is(&store.object("p/s.bin").unwrap());
    assert_eq!((store.commits(), records(&sandbox)), (2, vec![]));
    sandbox.assert_empty();
}

#[test]
fn a_list_goes_below_a_prefix_each_file_under_its_own_name() {
    let (store, sandbox, server) = (Store::start(), Sandbox::new(), Server::serve(SMALL).start());
    let list = format!("{}\n{{\"url\": \"{}\", \"output\": \"d/c\"}}\n", server.url("/a"), server.url("/b"));
    sandbox.write("list", list);
    store.haul(&sandbox).args(["-i", "list", "-d", "s3://bucket/q"]).run().assert_ok();
    SMALL.assert_is(&store.object("q/a").unwrap());
    SMALL.assert_is(&store.object("q/d/c").unwrap());
    assert_eq!(sandbox.entries(), ["list"]);
}

#[test]
fn a_file_of_unknown_length_becomes_an_object_as_well() {
    let server = Server::serve(PAYLOAD).ending_with_its_connection(PAYLOAD.len).start();
    let (store, sandbox) = (Store::start(), Sandbox::new());
    upload(&store, &sandbox, &server).args(["--sha256", &PAYLOAD.sha256_hex()]).run().assert_ok();
    assert_uploaded(&store);
}

#[test]
fn a_killed_upload_goes_on_with_the_parts_that_the_store_has() {
    let (store, sandbox) = (Store::start(), Sandbox::new());
    let gate = Gate::at_offset(4 * PART);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let running = upload(&store, &sandbox, &server).args(["-x", "2"]).spawn();
    wait_for_records(&sandbox, 2);
    running.kill();
    assert_eq!(store.commits(), 0);
    server.set_gate(None);
    server.forget();
    store.server.forget();
    let outcome = upload(&store, &sandbox, &server).args(["--sha256", &PAYLOAD.sha256_hex(), "--json"]).run();
    outcome.assert_ok();
    assert_uploaded(&store);
    let sent = store.parts_sent();
    assert!(!sent.contains(&1) && !sent.contains(&2), "{sent:?}");
    server.assert_cost(PAYLOAD.len - 2 * PART + MIB);
    assert!(records(&sandbox).is_empty());
}

/// Waits until so many parts are recorded.
fn wait_for_records(sandbox: &Sandbox, count: usize) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let text: Vec<u8> = sandbox.outside().into_iter().flat_map(|(_, bytes)| bytes).collect();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(!text.contains(SECRET), "a secret is recorded");
        if text.matches("{\"part\":").count() >= count {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "waited in vain for {count} records");
        std::thread::yield_now();
    }
}

#[test]
fn an_interrupted_upload_is_kept_and_a_changed_source_begins_anew() {
    let (store, sandbox) = (Store::start(), Sandbox::new());
    let gate = Gate::at_offset(4 * PART);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let running = upload(&store, &sandbox, &server).args(["-x", "2", "--json"]).spawn();
    store.server.wait_until("two parts were sent", |log| {
        log.requests.iter().filter(|record| record.method == "PUT" && record.ended.is_some()).count() >= 2
    });
    running.signal("TERM");
    let outcome = running.wait();
    outcome.assert_signalled(15);
    assert_eq!((store.aborted(), store.commits()), (0, 0));
    let other = Payload::mib(120, 40);
    server.set_gate(None);
    server.replace(Resource::of(other).etag("\"v2\""));
    let outcome = upload(&store, &sandbox, &server).arg("--json").run();
    outcome.assert_ok();
    assert!(outcome.said().contains("starting over"), "{outcome}");
    other.assert_is(&store.object("dir/a%20b").unwrap());
    assert!(store.aborted() >= 1 && store.content.lock().unwrap().uploads.is_empty());
}

#[test]
fn a_wrong_digest_makes_no_object_and_leaves_no_upload() {
    let (store, sandbox, server) = (Store::start(), Sandbox::new(), Server::serve(PAYLOAD).start());
    upload(&store, &sandbox, &server).args(["--sha256", &"0".repeat(64)]).run().assert_code(12);
    assert_eq!((store.commits(), store.aborted(), store.object("dir/a%20b")), (0, 1, None));
    assert!(store.content.lock().unwrap().uploads.is_empty() && records(&sandbox).is_empty());
}

#[test]
fn a_busy_store_is_asked_again_and_by_fewer_requests() {
    let store = Store::refusing(|request, nth| {
        let busy = (request.method == "PUT" || request.method == "POST") && nth < 2;
        busy.then(|| refused(503, "SlowDown"))
    });
    let (sandbox, server) = (Sandbox::new(), Server::serve(PAYLOAD).start());
    upload(&store, &sandbox, &server).run().assert_ok();
    assert_uploaded(&store);
    assert_eq!(store.commits(), 1);
}

#[test]
fn a_part_that_arrives_damaged_is_sent_again() {
    let store = Store::refusing(|request, nth| {
        (is_part(request, "2") && nth == 0).then(|| refused(400, "BadDigest"))
    });
    let (sandbox, server) = (Sandbox::new(), Server::serve(PAYLOAD).start());
    upload(&store, &sandbox, &server).run().assert_ok();
    assert_uploaded(&store);
    assert_eq!(store.parts_sent().iter().filter(|number| **number == 2).count(), 2);
}

#[test]
fn a_success_that_turns_out_an_error_is_no_success() {
    let store = Store::refusing(|request, nth| {
        (is_complete(request) && nth == 0).then(|| refused(200, "InternalError"))
    });
    let (sandbox, server) = (Sandbox::new(), Server::serve(PAYLOAD).start());
    upload(&store, &sandbox, &server).run().assert_ok();
    assert_uploaded(&store);
    let store = Store::refusing(|request, _| is_complete(request).then(|| refused(200, "AccessDenied")));
    upload(&store, &sandbox, &server).run().assert_code(4);
    assert_eq!(store.commits(), 0);
}

#[test]
fn a_conflict_is_tried_again() {
    let store = Store::refusing(|request, nth| {
        (is_complete(request) && nth < 2).then(|| refused(409, "ConditionalRequestConflict"))
    });
    let (sandbox, server) = (Sandbox::new(), Server::serve(PAYLOAD).start());
    upload(&store, &sandbox, &server).run().assert_ok();
    assert_uploaded(&store);
}

#[test]
fn an_object_that_appears_meanwhile_is_compared() {
    for (theirs, code) in [(PAYLOAD, 0), (Payload::mib(121, 40), 10)] {
        let put = Arc::new(AtomicUsize::new(0));
        let seen = put.clone();
        let store = Store::refusing(move |request, _| {
            // Nothing is there at the beginning.
            (request.is_head() && seen.fetch_add(1, Ordering::SeqCst) == 0).then(|| refused(404, "NoSuchKey"))
        });
        store.put("dir/a%20b", theirs.all());
        let (sandbox, server) = (Sandbox::new(), Server::serve(PAYLOAD).start());
        let outcome = upload(&store, &sandbox, &server).run();
        outcome.assert_code(code);
        assert_eq!(store.commits(), 0);
        theirs.assert_is(&store.object("dir/a%20b").unwrap());
        assert_eq!(store.aborted(), usize::from(code == 10), "what is given up is aborted");
    }
}

#[test]
fn an_object_that_is_there_is_dealt_with_as_the_policy_says() {
    let (sandbox, server) = (Sandbox::new(), Server::serve(PAYLOAD).start());
    let digest = PAYLOAD.sha256_hex();
    for (policy, more, code, fetched) in [
        ("auto", &["--sha256", &digest[..]][..], 10, false),
        ("auto", &[][..], 10, true),
        ("skip", &[][..], 0, false),
        ("error", &[][..], 10, false),
        ("overwrite", &[][..], 0, true),
    ] {
        let store = Store::start();
        store.put("dir/a%20b", Payload::mib(122, 40).all());
        server.forget();
        upload(&store, &sandbox, &server).args(["--if-exists", policy]).args(more).run().assert_code(code);
        assert_eq!(server.body_bytes() > 0, fetched, "{policy} {more:?}");
        assert_eq!(store.commits(), usize::from(policy == "overwrite"));
    }
    let store = Store::start();
    store.put("dir/a%20b", PAYLOAD.all());
    server.forget();
    upload(&store, &sandbox, &server).args(["--sha256", &digest]).run().assert_ok();
    assert_eq!((server.body_bytes(), store.commits()), (0, 0), "it is complete already");
    store.put("dir/a%20b", SMALL.all());
    upload(&store, &sandbox, &server).run().assert_code(10);
    assert!(server.body_bytes() < PAYLOAD.len, "another size is told before everything is fetched");
}

#[test]
fn two_at_once_make_one_object() {
    let (store, sandbox, other) = (Store::start(), Sandbox::new(), Sandbox::new());
    let gate = Gate::at_offset(PAYLOAD.len - 1);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let first = upload(&store, &sandbox, &server).spawn();
    wait_for_records(&sandbox, 1);
    // On one machine the second one waits its turn, on another one the store decides.
    upload(&store, &sandbox, &server).run().assert_code(11);
    let second = upload(&store, &other, &server).spawn();
    wait_for_records(&other, 1);
    gate.open();
    first.wait().assert_ok();
    second.wait().assert_ok();
    assert_eq!(store.commits(), 1);
    PAYLOAD.assert_is(&store.object("dir/a%20b").unwrap());
}

#[test]
fn lent_credentials_are_renewed_when_they_expire() {
    let lent = Arc::new(AtomicUsize::new(0));
    let count = lent.clone();
    let service = Server::serve(SMALL)
        .handler(move |_, exchange| {
            let nth = count.fetch_add(1, Ordering::SeqCst);
            let keys = format!(
                r#"{{"AccessKeyId": "LENT{nth}", "SecretAccessKey": "{SECRET}", "Token": "T", "Expiration": "2999-01-01T00:00:00Z"}}"#
            );
            exchange.send(&Answer::text(200, &keys));
        })
        .start();
    let store = Store::refusing(|request, _| {
        let expired = request.header("authorization").is_some_and(|text| text.contains("LENT0"));
        expired.then(|| refused(400, "ExpiredToken"))
    });
    store.put("k", SMALL.all());
    let sandbox = Sandbox::new();
    let haul = || {
        let haul = sandbox.haul().most_memory_mib(128).env("AWS_ENDPOINT_URL", store.server.origin());
        haul.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", service.url("/keys"))
            .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "tok")
    };
    haul().args(["s3://bucket/k", "-o", "f"]).run().assert_ok();
    sandbox.assert_ok_file(&SMALL, "f");
    assert_eq!(lent.load(Ordering::SeqCst), 2);
    assert!(service.requests().iter().all(|request| request.header("authorization") == Some("tok")));
    lent.store(0, Ordering::SeqCst);
    let server = Server::serve(PAYLOAD).start();
    haul().args([&server.url("/file.bin"), "-o", "s3://bucket/dir/a b"]).run().assert_ok();
    assert_uploaded(&store);
}

#[test]
fn a_web_identity_and_the_instance_metadata_lend_keys() {
    let services = Server::serve(SMALL)
        .handler(|request, exchange| {
            let keys = |name: &str| format!(r#"{{"AccessKeyId": "{name}", "SecretAccessKey": "{SECRET}", "Token": "T"}}"#);
            let sts = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>WEB</AccessKeyId>\
                <SecretAccessKey>S3CRETKEYS3CRETKEY</SecretAccessKey><SessionToken>T</SessionToken>\
                <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";
            let body = match (&request.method[..], request.path()) {
                ("PUT", "/latest/api/token") => "session".to_owned(),
                ("GET", "/latest/meta-data/iam/security-credentials/") => "role".to_owned(),
                ("GET", "/latest/meta-data/iam/security-credentials/role") => keys("INSTANCE"),
                ("POST", "/") => sts.to_owned(),
                _ => return exchange.status(404),
            };
            exchange.send(&Answer::text(200, &body));
        })
        .start();
    let store = Store::start();
    store.put("k", SMALL.all());
    let sandbox = Sandbox::new();
    sandbox.write("token", "T0KENOFWEB\n");
    let haul = |name: &str| {
        sandbox.haul().env("AWS_ENDPOINT_URL_S3", store.server.origin()).args(["s3://bucket/k", "-o", name])
    };
    haul("a").env("AWS_EC2_METADATA_SERVICE_ENDPOINT", services.origin()).run().assert_ok();
    let web =
        haul("b").env("AWS_ENDPOINT_URL_STS", services.origin()).env("AWS_ROLE_ARN", "arn:aws:iam::1:role/r");
    web.env("AWS_WEB_IDENTITY_TOKEN_FILE", sandbox.path("token")).run().assert_ok();
    let none = haul("c").env("AWS_EC2_METADATA_DISABLED", "true").run();
    none.assert_code(4);
    assert!(none.stderr.contains("no credentials"), "{}", none.stderr);
    let gets = store.server.gets();
    assert!(
        gets.iter().any(|get| get.header("authorization").is_some_and(|text| text.contains("=INSTANCE/")))
    );
    assert!(gets.iter().any(|get| get.header("authorization").is_some_and(|text| text.contains("=WEB/"))));
    let posted = services.requests().into_iter().find(|request| request.method == "POST").unwrap();
    let body = String::from_utf8_lossy(&posted.request.body).into_owned();
    assert!(body.contains("WebIdentityToken=T0KENOFWEB") && body.contains("RoleArn=arn%3Aaws"), "{body}");
}

#[test]
fn no_output_and_no_file_holds_a_secret() {
    let (store, sandbox, server) = (Store::start(), Sandbox::new(), Server::serve(SMALL).start());
    store.put("k", SMALL.all());
    for args in [
        ["s3://bucket/k", "-o", "f"],
        [&server.url("/f"), "-o", "s3://bucket/new"],
        ["s3://nowhere/k", "-o", "g"],
    ] {
        let outcome = store.haul(&sandbox).env("AWS_SESSION_TOKEN", "T0KEN").args(args).arg("-vv").run();
        let said = outcome.said();
        assert!(!said.contains(SECRET) && !said.contains("T0KEN") && !said.contains("Signature="), "{said}");
    }
    for (path, bytes) in sandbox.outside() {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(!text.contains(SECRET) && !text.contains("T0KEN"), "{}", path.display());
    }
}

#[test]
fn what_makes_no_sense_is_refused_before_any_traffic() {
    let (store, sandbox, server) = (Store::start(), Sandbox::new(), Server::serve(SMALL).start());
    let url = server.url("/f");
    for args in [
        vec!["s3://B/k"],
        vec!["s3://bucket/a/../k", "-o", "f"],
        vec!["s3://bucket/"],
        vec![&url, "-o", "s3://bucket/k", "--if-exists", "rename"],
        vec![&url, "-o", "s3://bucket/k", "--remote-time"],
        vec![&url, &url, "-o", "s3://bucket/k", "-d", "s3://x"],
        vec!["add", &url, "-d", "s3://bucket/k"],
        vec!["s3://bucket/k", "--s3-endpoint", "ftp://h"],
    ] {
        store.haul(&sandbox).args(args.clone()).run().assert_code(2);
    }
    store
        .haul(&sandbox)
        .env("AWS_PROFILE", "nowhere")
        .args(["s3://bucket/k", "-o", "f"])
        .run()
        .assert_code(2);
    assert!(store.server.requests().is_empty() && server.requests().is_empty());
}
