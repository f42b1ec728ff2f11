//! Rows whose time has passed go, at their time and not before, and are not missed.

use std::sync::Arc;
use std::time::Duration;

use auth_server::grants::GrantId;
use auth_server::pruning::{Pruning, PruningMetrics, Retention};
use auth_server::store::grants::GrantRow;
use auth_server::store::pruning::Table;
use auth_server::store::refusals::RefusalRow;
use auth_server::store::registration_tokens::RegistrationTokenRow;
use auth_server::store::revocations::RevocationRow;
use auth_server::store::sessions::SessionRow;
use auth_server::store::{
    changes, clients, grants, refusals, registration_tokens, revocations, schema, sessions,
    sign_in_locks,
};
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryDsl as _, QueryableByName};
use diesel_async::RunQueryDsl;
use prometheus::Registry;
use serde_json::json;
use shared_protocol::time::{Clock as _, Instant};
use shared_server::db::{Backend, Store};
use shared_server::on;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::introspection::eventually;
use crate::person::{Scene, pair};
use crate::server::{TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    each_row_goes_at_its_time_and_not_before,
    of_too_many_refusals_the_oldest_go,
    a_session_that_is_pruned_takes_along_what_does_not_outlive_it,
    rfc6749_4_1_2_a_code_stays_used_when_its_grant_is_forgotten,
    a_token_whose_revocation_is_forgotten_has_expired,
    writers_do_not_wait_for_pruning,
    every_condition_has_its_index,
    a_server_prunes_by_itself,
);

const END: Instant = Instant::from_secs(1_700_000_000);
const DAY: Duration = Duration::from_hours(24);
const LATE: Instant = Instant::from_secs(1_700_000_000 + 1000 * 24 * 3600);
const HOUR: Duration = Duration::from_hours(1);
const IDLE: Duration = Duration::from_hours(2);

const RETENTION: Retention = Retention {
    sessions: Duration::from_hours(24 * 7),
    grants: Duration::from_hours(24 * 3),
    revocations: HOUR,
    changes: Duration::from_hours(2),
    unused_clients: HOUR,
    logout_notices: Duration::from_hours(3),
    refusals: Duration::from_hours(24),
    most_refusals: 3,
};

pub(crate) fn pruning(store: &Store) -> Pruning {
    Pruning {
        store: store.clone(),
        retention: RETENTION,
        session_idle: IDLE,
        metrics: PruningMetrics::register(&Registry::new()).unwrap(),
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

pub(crate) async fn count(store: &Store, table: &str) -> i64 {
    let query = format!("SELECT count(*) AS count FROM {table}");
    let mut conn = store.read().await.unwrap();
    let found: Count = on!(&mut conn, |c| diesel::sql_query(query).get_result(c)).unwrap();
    found.count
}

pub(crate) async fn run(store: &Store, statement: &str) {
    let mut conn = store.write().await.unwrap();
    on!(&mut conn, |c| diesel::sql_query(statement).execute(c)).unwrap();
}

fn session(
    scene: &Scene,
    name: &str,
    expires_at: Instant,
    ended_at: Option<Instant>,
) -> SessionRow {
    let seen_at = if name == "idle" { END - IDLE } else { LATE };
    SessionRow {
        id: name.to_owned(),
        cookie_digest: name.as_bytes().to_vec(),
        account_id: scene.account_id.to_string(),
        auth_time: END,
        amr: json!([]),
        user_agent: None,
        created_at: END,
        seen_at,
        expires_at,
        ended_at,
    }
}

fn grant(scene: &Scene, id: &str, expires_at: Instant, revoked_at: Option<Instant>) -> GrantRow {
    GrantRow {
        id: id.to_owned(),
        code_digest: Some(id.as_bytes().to_vec()),
        client_id: scene.app.id.clone(),
        account_id: scene.account_id.to_string(),
        session_id: Some("gone".to_owned()),
        offline: true,
        scope: String::new(),
        resources: json!({}),
        auth_time: Some(END),
        amr: json!([]),
        family_salt: None,
        generation: 0,
        rotated_at: None,
        rotation_digest: None,
        used_at: END,
        created_at: END,
        expires_at,
        revoked_at,
        access_until: expires_at,
        requested_claims: None,
        acr: None,
        authorization_details: None,
        issuer: None,
        parent_id: None,
        chain: None,
        confirmation: None,
    }
}

fn refusal(id: &str, refused_at: Instant) -> RefusalRow {
    RefusalRow {
        request_id: "chosen-by-a-client".into(),
        id: id.into(),
        refused_at,
        method: "POST".into(),
        route: "/oauth/token".into(),
        status: 400,
        error: None,
        causes: json!([]),
        mend: None,
        client_id: None,
        grant_type: None,
        trace_id: None,
    }
}

/// One row of each kind that ended at [`END`], and one of each that goes on.
async fn fill(scene: &Scene, store: &Store) {
    let late = LATE;
    let mut conn = store.write().await.unwrap();
    let conn = &mut conn;
    // Grants begin within a session; this one is gone by the time that they are looked at.
    let gone = session(scene, "gone", late, None);
    sessions::insert(conn, &gone).await.unwrap();
    for (name, expires_at, ended_at) in [
        ("expired", END, None),
        ("ended", late, Some(END)),
        ("live", late, None),
        ("idle", late, None),
    ] {
        let row = session(scene, name, expires_at, ended_at);
        sessions::insert(conn, &row).await.unwrap();
        if name == "idle" {
            continue;
        }
        let row = grant(scene, name, expires_at, ended_at);
        assert!(grants::insert(conn, &row, row.created_at).await.unwrap());
    }
    let gone = diesel::delete(schema::sessions::table.find("gone"));
    on!(conn, |c| gone.execute(c)).unwrap();
    for (subject, matters_until) in [("over", END), ("live", late)] {
        let row = RevocationRow {
            kind: "jti".into(),
            subject: subject.into(),
            matters_until,
            cutoff: None,
        };
        revocations::put(conn, &row, END).await.unwrap();
        changes::record(conn, "client", subject, matters_until)
            .await
            .unwrap();
        sign_in_locks::lock(conn, subject.as_bytes(), matters_until)
            .await
            .unwrap();
    }
    for (name, expires_at) in [("over", END), ("live", late)] {
        let row = RegistrationTokenRow {
            id: name.to_owned(),
            digest: name.as_bytes().to_vec(),
            name: None,
            uses_left: 1,
            created_at: END,
            expires_at,
        };
        registration_tokens::insert(conn, &row).await.unwrap();
    }
    for (ended, created_at) in [("over", END), ("live", late)] {
        let notice = diesel::sql_query(format!(
            "INSERT INTO logout_notices (ended, client_id, account_id, created_at, due_at, tries) \
             VALUES ('{ended}', 'a', 'b', {}, 0, 0)",
            created_at.as_millis()
        ));
        on!(conn, |c| notice.execute(c)).unwrap();
    }
    for (id, refused_at) in [("over", END), ("live", late)] {
        refusals::insert(conn, &refusal(id, refused_at))
            .await
            .unwrap();
    }
    let client = TestServer::client_id(&scene.app);
    for digest in [b"ended", b"still"] {
        clients::add_secret(conn, &client, digest, None, END)
            .await
            .unwrap();
        if digest == b"ended" {
            clients::end_secrets(conn, &client, END).await.unwrap();
        }
    }
}

async fn each_row_goes_at_its_time_and_not_before(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let store = scene.server.records.store.clone();
    for table in ["sessions", "grants", "changes"] {
        run(&store, &format!("DELETE FROM {table}")).await;
    }
    fill(&scene, &store).await;
    // That of the scene's API stays.
    let kept = count(&store, "client_secrets").await - 1;
    let pruning = pruning(&store);
    let counts = async || {
        let mut counts = Vec::new();
        for table in [
            "sessions",
            "grants",
            "revocations",
            "changes",
            "sign_in_locks",
            "client_secrets",
            "registration_tokens",
            "logout_notices",
            "refusals",
        ] {
            counts.push(count(&store, table).await);
        }
        counts
    };
    let millisecond = Duration::from_millis(1);
    // Of sessions three have ended, of grants two, of the others one; locks, secrets and tokens are not kept past their end.
    let mut left = [4, 3, 2, 2, 2, kept + 1, 2, 2, 2];
    assert_eq!(counts().await, left);
    for (after, index, rows) in [
        (Duration::ZERO, 4, 1),
        (RETENTION.revocations, 2, 1),
        (RETENTION.changes, 3, 1),
        (RETENTION.logout_notices, 7, 1),
        (RETENTION.refusals, 8, 1),
        (RETENTION.grants, 1, 2),
        (RETENTION.sessions, 0, 3),
    ] {
        pruning.run(END + after - millisecond).await.unwrap();
        assert_eq!(counts().await, left, "{index}: too early");
        pruning.run(END + after).await.unwrap();
        left[index] -= rows;
        if after.is_zero() {
            left[5] -= 1;
            left[6] -= 1;
        }
        assert_eq!(counts().await, left, "{index}");
    }
    pruning.run(END + DAY * 999).await.unwrap();
    assert_eq!(counts().await, left, "what goes on stays");
}

async fn of_too_many_refusals_the_oldest_go(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let store = scene.server.records.store.clone();
    let most = RETENTION.most_refusals;
    for index in 0..most + 2 {
        let at = END + Duration::from_secs(index.into());
        let mut conn = store.write().await.unwrap();
        let row = refusal(&index.to_string(), at);
        refusals::insert(&mut conn, &row).await.unwrap();
    }
    pruning(&store).run(END).await.unwrap();
    let mut conn = store.read().await.unwrap();
    let left = refusals::find(&mut conn, "chosen-by-a-client", 100).await;
    let left: Vec<_> = left.unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(left, ["4", "3", "2"], "the newest stay, and are told first");
}

async fn a_session_that_is_pruned_takes_along_what_does_not_outlive_it(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let store = scene.server.records.store.clone();
    let (within, beyond) = (
        scene.tokens(&scene.app, "openid read").await,
        scene.tokens(&scene.app, "openid read offline_access").await,
    );
    let sessions = &scene.server.records.sessions;
    let ends = scene.server.clock.now() + sessions.lifetimes.absolute;
    let mut beyond = pair(&beyond).1.to_owned();
    while scene.server.clock.now() < ends + RETENTION.sessions {
        scene.server.clock.advance(DAY * 7);
        let answer = scene.refresh(&scene.app, &beyond).await;
        beyond = answer.text("refresh_token").to_owned();
    }
    let now = scene.server.clock.now();
    pruning(&store).run(now).await.unwrap();
    assert_eq!(count(&store, "sessions").await, 0);
    assert_eq!(count(&store, "grants").await, 2, "each has its own time");
    let dead = scene.refresh(&scene.app, pair(&within).1).await;
    assert_eq!(dead.error(), (400, "invalid_grant"));
    let late = now + RETENTION.grants;
    pruning(&store).run(late).await.unwrap();
    assert_eq!(count(&store, "grants").await, 1);
    let answer = scene.refresh(&scene.app, &beyond).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

async fn rfc6749_4_1_2_a_code_stays_used_when_its_grant_is_forgotten(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let records = &scene.server.records;
    let code = scene.code(&scene.app, "openid read offline_access").await;
    let tokens = scene.redeem(&scene.app, &code).await.body;
    let (access, refresh) = pair(&tokens);
    let id: GrantId = crate::person::claims(access)["grant_id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let expires = scene.server.clock.now() + records.grants.lifetimes.absolute;
    while scene.server.clock.now() < expires + RETENTION.grants {
        let now = scene.server.clock.now();
        pruning(&records.store).run(now.min(expires)).await.unwrap();
        assert!(records.grants.find(&id, now).await.unwrap().is_some());
        scene.server.clock.advance(DAY * 10);
    }
    let now = scene.server.clock.now();
    pruning(&records.store).run(now).await.unwrap();
    assert!(records.grants.find(&id, now).await.unwrap().is_none());
    for _ in 0..2 {
        let replay = scene.redeem(&scene.app, &code).await;
        assert_eq!(replay.error(), (400, "invalid_grant"));
    }
    let answer = scene.refresh(&scene.app, refresh).await;
    assert_eq!(answer.error(), (400, "invalid_grant"));
    assert!(!scene.is_active(access).await);
    assert_eq!(scene.userinfo(access).await.status, 401);
}

async fn a_token_whose_revocation_is_forgotten_has_expired(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let store = scene.server.records.store.clone();
    let tokens = scene.tokens(&scene.app, "openid read").await;
    let access = pair(&tokens).0;
    let form = [("token", access), ("client_id", &scene.app.id)];
    let answer = scene.server.form("/oauth/revoke", &form).send().await;
    assert_eq!(answer.unwrap().status(), 200);
    let revoked = count(&store, "revocations").await;
    assert!(revoked > 0);
    for _ in 0..30 {
        assert!(!scene.is_active(access).await);
        scene.server.clock.advance(HOUR);
        let now = scene.server.clock.now();
        pruning(&store).run(now).await.unwrap();
    }
    assert_eq!(count(&store, "revocations").await, 0);
    assert!(!scene.is_active(access).await);
}

/// Twenty thousand rows go while fifty write.
async fn writers_do_not_wait_for_pruning(stores: &Stores) {
    let store = Store::connect(&stores.database()).await.unwrap();
    let rows = match store.backend() {
        Backend::Sqlite => {
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
        }
        Backend::Postgres => "WITH n AS (SELECT generate_series(1, 20000) AS i)",
    };
    run(
        &store,
        &format!("{rows} INSERT INTO revocations (kind, subject, recorded_at, matters_until) SELECT 'jti', CAST(i AS TEXT), 0, i FROM n"),
    )
    .await;
    let removing = {
        let pruning = pruning(&store);
        tokio::spawn(async move { pruning.run(END).await })
    };
    let start = Arc::new(tokio::sync::Barrier::new(50));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..50 {
        let (store, start) = (store.clone(), start.clone());
        writers.spawn(async move {
            start.wait().await;
            let mut longest = Duration::ZERO;
            for n in 0..20 {
                let row = RevocationRow {
                    kind: "jti".into(),
                    subject: format!("writer {writer}, row {n}"),
                    matters_until: END + DAY,
                    cutoff: None,
                };
                let began = tokio::time::Instant::now();
                let mut conn = store.write().await.unwrap();
                revocations::put(&mut conn, &row, END).await.unwrap();
                drop(conn);
                longest = longest.max(began.elapsed());
            }
            longest
        });
    }
    let longest = writers.join_all().await.into_iter().max().unwrap();
    println!("{:?}: the longest write took {longest:?}", store.backend());
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    removing.await.unwrap().unwrap();
    assert_eq!(count(&store, "revocations").await, 1000);
}

#[derive(QueryableByName)]
struct SqliteStep {
    #[diesel(sql_type = Text)]
    detail: String,
}

#[derive(QueryableByName)]
struct PostgresStep {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    step: String,
}

/// Nothing is read from end to end to find what has ended.
async fn every_condition_has_its_index(stores: &Stores) {
    let store = Store::connect(&stores.database()).await.unwrap();
    let mut conn = store.read().await.unwrap();
    let tables = [
        Table::ClientSecrets,
        Table::Changes,
        Table::Revocations,
        Table::SignInLocks,
        Table::Grants,
        Table::RevokedGrants,
        Table::RegistrationTokens,
        Table::LogoutNotices,
        Table::AccessTokens,
        Table::Refusals,
    ];
    let statements = tables.map(|table| table.statement(store.backend()));
    let sessions = ["expires_at", "seen_at", "ended_at"]
        .map(|at| format!("SELECT id FROM sessions WHERE {at} <= $1 ORDER BY {at} LIMIT 500"));
    let unused = "SELECT id FROM clients WHERE unused_since <= $1 AND NOT EXISTS (SELECT 1 FROM grants WHERE client_id = clients.id) \
         ORDER BY unused_since LIMIT 500";
    let others = sessions.into_iter().chain([unused.to_owned()]);
    for statement in statements.into_iter().chain(others) {
        let statement = statement.replace("$1", "5");
        let plan: Vec<String> = match store.backend() {
            Backend::Sqlite => {
                let query = diesel::sql_query(format!("EXPLAIN QUERY PLAN {statement}"));
                let steps: Vec<SqliteStep> = on!(&mut conn, |c| query.load(c)).unwrap();
                steps.into_iter().map(|step| step.detail).collect()
            }
            Backend::Postgres => {
                // On an empty table a scan would be as good; whether it could do without is the question.
                let off = diesel::sql_query("SET enable_seqscan = off");
                on!(&mut conn, |c| off.execute(c)).unwrap();
                let off = diesel::sql_query("SET enable_sort = off");
                on!(&mut conn, |c| off.execute(c)).unwrap();
                let query = diesel::sql_query(format!("EXPLAIN {statement}"));
                let steps: Vec<PostgresStep> = on!(&mut conn, |c| query.load(c)).unwrap();
                steps.into_iter().map(|step| step.step).collect()
            }
        };
        let plan = plan.join("\n");
        println!("{statement}\n{plan}\n");
        assert!(
            ["_at ", "_until ", "_at (", "_since "]
                .iter()
                .any(|index| plan.contains(index)),
            "{plan}"
        );
        for scan in ["SCAN", "Seq Scan", "TEMP B-TREE FOR ORDER BY"] {
            assert!(!plan.contains(scan), "{statement}\n{plan}");
        }
    }
}

async fn a_server_prunes_by_itself(stores: &Stores) {
    let mut config = config(stores);
    config.retention.every = Duration::from_secs(1);
    let server = TestServer::start_with(config, Arc::default()).await;
    let store = server.records.store.clone();
    let now = server.clock.now();
    sign_in_locks::lock(&mut store.write().await.unwrap(), b"x", now)
        .await
        .unwrap();
    assert!(
        eventually(async || { count(&store, "sign_in_locks").await == 0 }).await,
        "the lock goes"
    );
    let told = async |path: &str| {
        let url = format!("{}{path}", server.operations);
        server.http.get(url).send().await.unwrap()
    };
    assert_eq!(told("/api/v1/health/jobs").await.status(), 200);
    assert!(
        eventually(async || {
            let metrics = told("/metrics").await.text().await.unwrap();
            metrics.contains("pruned_rows_total{table=\"sign_in_locks\"} 1")
                && metrics.contains("job_runs_total{outcome=\"succeeded\",task=\"pruning\"}")
                && metrics.contains("signing_keys{phase=\"current\"} 1")
                && metrics.contains("signing_key_signs_from_timestamp_seconds{alg=\"ES256\"}")
        })
        .await,
        "the run is counted"
    );
    server.stop().await;
    assert_eq!(
        count(&store, "schedules WHERE leased_by IS NOT NULL").await,
        0
    );
}
