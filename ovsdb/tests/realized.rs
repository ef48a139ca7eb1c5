//! Waiting until daemons have applied what a database says. The tests simulate the daemons. Time is
//! virtual: it passes only when nothing else happens.

use std::future::IntoFuture as _;
use std::pin::pin;
use std::time::Duration;

use ovsdb::model::AllOf;
use ovsdb::nb::{self, NbGlobal, Stage};
use ovsdb::progress::{Behind, Daemon, ProgressError};
use ovsdb::sb::{self, Chassis, ChassisPrivate};
use ovsdb::server::{Server, TransactionFault};
use ovsdb::vswitch::{self, OpenVSwitch};
use ovsdb::{CommitError, DisconnectReason, Error};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// A test that takes longer hangs.
const HANG: Duration = Duration::from_secs(60);
/// A time limit that will be exceeded.
const SHORT: Duration = Duration::from_millis(200);

fn serve(database: &str) -> Server {
    Server::memory(ovsdb::schema::bundled(database).expect("a schema")).expect("a server")
}

async fn connect(server: &Server) -> nb::Client {
    let builder = nb::Client::builder().server(server);
    let builder = builder.backoff(Duration::from_millis(1), Duration::from_millis(20));
    builder.connect().await.expect("a client")
}

/// A daemon that ends with the test.
struct SimulatedDaemon(AbortHandle);

impl Drop for SimulatedDaemon {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Confirms requests as ovn-northd does; if `chassis` is true, also as if all chassis had confirmed.
async fn northd(server: &Server, chassis: bool) -> SimulatedDaemon {
    let client = connect(server).await;
    let cache = client.cache().table::<NbGlobal>().start().await;
    let cache = cache.expect("a cache");
    let task = tokio::spawn(async move {
        loop {
            let open = cache.wait_until(None, |view| {
                let row = view.rows::<NbGlobal>().next()?;
                let done = row.sb_cfg == row.nb_cfg && (!chassis || row.hv_cfg == row.nb_cfg);
                (!done).then(|| NbGlobal::clone(row))
            });
            let Ok(row) = open.await else { return };
            let mut txn = client.transaction();
            let every = AllOf::<NbGlobal>::all();
            let update = txn.update(every).set(NbGlobal::SB_CFG, row.nb_cfg);
            let update = update
                .set(NbGlobal::NB_CFG_TIMESTAMP, 1_000)
                .set(NbGlobal::SB_CFG_TIMESTAMP, 2_000);
            if chassis {
                let update = update.set(NbGlobal::HV_CFG, row.nb_cfg);
                update.set(NbGlobal::HV_CFG_TIMESTAMP, 3_000);
            }
            // If this fails, the next round of the loop commits it again.
            let _ = txn.commit().await;
        }
    });
    SimulatedDaemon(task.abort_handle())
}

async fn set(client: &nb::Client, row: NbGlobal) {
    let mut txn = client.transaction();
    txn.delete(AllOf::<NbGlobal>::all());
    txn.insert(row);
    txn.commit().await.expect("a commit");
}

fn late(error: ProgressError) -> Behind {
    match error {
        ProgressError::TimedOut(behind) => *behind,
        other => panic!("{other:?}"),
    }
}

/// How many transactions increased `nb_cfg` or inserted the row.
fn requests(server: &Server) -> usize {
    let committed = server.transactions::<nb::Database>();
    let writes = committed.iter().filter(|txn| {
        let updated = txn.updated::<NbGlobal>();
        let increased = updated.iter().any(|(old, new)| new.nb_cfg > old.nb_cfg);
        increased || !txn.inserted::<NbGlobal>().is_empty()
    });
    writes.count()
}

#[tokio::test(start_paused = true)]
async fn realized_waits_for_northd_and_hypervisors_and_reports_their_times() {
    let server = serve("OVN_Northbound");
    let client = connect(&server).await;
    let played = northd(&server, false).await;
    let realized = timeout(HANG, nb::realized(&client, Stage::Northd).into_future()).await;
    let realized = realized.expect("no hang").expect("confirmed");
    let since = |time: Option<std::time::SystemTime>| {
        let since = time?.duration_since(std::time::UNIX_EPOCH);
        Some(since.expect("after the epoch").as_secs())
    };
    assert_eq!((realized.nb_cfg, realized.hypervisors), (1, None));
    assert_eq!(since(realized.northd_began), Some(1));
    assert_eq!(since(realized.northd_ended), Some(2));
    assert_eq!(realized.hypervisors_ended, None);

    // The confirmation of ovn-northd alone is not enough.
    let all = nb::realized(&client, Stage::Hypervisors).timeout(SHORT);
    let behind = late(all.await.expect_err("no chassis confirms"));
    assert_eq!((behind.requested, behind.confirmed), (Some(2), Some(0)));
    drop(played);
    let _played = northd(&server, true).await;
    let realized = nb::realized(&client, Stage::Hypervisors).timeout(HANG);
    let realized = realized.await.expect("confirmed");
    assert_eq!(realized.nb_cfg, 3);
    assert!(realized.hypervisors >= Some(realized.northd));
    assert_eq!(since(realized.hypervisors_ended), Some(3));
}

#[tokio::test(start_paused = true)]
async fn callers_that_wait_at_the_same_time_share_a_request() {
    let server = serve("OVN_Northbound");
    let client = connect(&server).await;
    let _played = northd(&server, true).await;
    let mut waiting = JoinSet::new();
    for number in 0..1000 {
        let stage = [Stage::Northd, Stage::Hypervisors][number % 2];
        waiting.spawn(
            nb::realized(&client.clone(), stage)
                .timeout(HANG)
                .into_future(),
        );
    }
    let all = waiting.join_all().await;
    let numbers = all.into_iter().map(|one| one.expect("confirmed").nb_cfg);
    assert!(numbers.into_iter().all(|number| number == 1));
    assert_eq!(requests(&server), 1);
    // No other caller waits: the monitor has ended, and there is nothing to share.
    let realized = nb::realized(&client, Stage::Northd).timeout(HANG);
    assert_eq!(realized.await.expect("confirmed").nb_cfg, 2);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_arrives_while_a_request_is_in_flight_gets_the_next_one() {
    let server = serve("OVN_Northbound");
    let client = connect(&server).await;
    let realized = || {
        nb::realized(&client, Stage::Northd)
            .timeout(HANG)
            .into_future()
    };
    let mut first = pin!(realized());
    let waits = timeout(SHORT, &mut first).await;
    assert!(waits.is_err() && requests(&server) == 1);

    let hang = server.faults().hang();
    let mut second = pin!(realized());
    assert!(timeout(SHORT, &mut second).await.is_err());
    let (mut third, mut fourth) = (pin!(realized()), pin!(realized()));
    assert!(timeout(SHORT, &mut third).await.is_err());
    assert!(timeout(SHORT, &mut fourth).await.is_err());
    drop(hang);
    let _played = northd(&server, false).await;
    let all = async { tokio::join!(first, second, third, fourth) };
    let (first, second, third, fourth) = timeout(HANG, all).await.expect("no hang");
    let numbers = [first, second, third, fourth].map(|one| one.expect("confirmed").nb_cfg);
    assert_eq!(numbers, [1, 2, 3, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_does_not_delay_the_others() {
    let server = serve("OVN_Northbound");
    let client = connect(&server).await;
    let hang = server.faults().hang();
    // This caller makes the request for both.
    let gives_up = nb::realized(&client, Stage::Northd).timeout(SHORT);
    let stays = nb::realized(&client, Stage::Northd).timeout(HANG);
    let stays = tokio::spawn(stays.into_future());
    let behind = late(gives_up.await.expect_err("the server hangs"));
    assert_eq!((behind.requested, behind.confirmed), (None, None));
    assert_eq!(
        behind.to_string(),
        "the server did not confirm within 200ms that nb_cfg was increased"
    );
    drop(hang);
    let _played = northd(&server, false).await;
    let realized = timeout(HANG, stays).await.expect("no hang");
    realized.expect("no panic").expect("confirmed");
}

#[tokio::test(start_paused = true)]
async fn errors_name_what_is_late() {
    let server = serve("OVN_Northbound");
    let client = connect(&server).await;
    let waits = || nb::realized(&client, Stage::Hypervisors).timeout(SHORT);
    let behind = late(waits().await.expect_err("no daemon confirms"));
    assert_eq!(behind.daemon, Daemon::Northd);
    assert_eq!(
        behind.to_string(),
        "ovn-northd did not confirm nb_cfg 1 within 200ms: sb_cfg is 0"
    );

    let _played = northd(&server, false).await;
    let southbound = serve("OVN_Southbound");
    let sb = sb::Client::builder().server(&southbound);
    let sb = sb.connect().await.expect("a client");
    let mut txn = sb.transaction();
    let chassis = [
        ("c0", "h0", false, 1),
        ("c1", "h1", false, 2),
        ("c2", "h2", true, 0),
    ];
    for (name, hostname, is_remote, nb_cfg) in chassis {
        let encap = txn.insert(sb::Encap {
            r#type: "geneve".into(),
            ip: name.into(),
            chassis_name: name.into(),
            ..Default::default()
        });
        let row = txn.insert(Chassis {
            name: name.into(),
            hostname: hostname.into(),
            encaps: [encap].into(),
            other_config: [("is-remote", if is_remote { "true" } else { "false" })].into(),
            ..Default::default()
        });
        txn.insert(ChassisPrivate {
            name: name.into(),
            chassis: Some(row),
            nb_cfg,
            nb_cfg_timestamp: 4_000,
            ..Default::default()
        });
    }
    txn.insert(ChassisPrivate {
        name: "a-left".into(),
        ..Default::default()
    });
    txn.commit().await.expect("a commit");
    let behind = late(
        waits()
            .southbound(&sb)
            .await
            .expect_err("no chassis confirms"),
    );
    assert_eq!(behind.daemon, Daemon::Controllers);
    assert_eq!(
        behind.to_string(),
        "ovn-controller did not confirm nb_cfg 2 within 200ms: hv_cfg is 0; behind: a-left, which has no row \
         in Chassis (at 0), c0 on h0 (at 1)"
    );
    let chassis = behind.chassis.expect("the chassis");
    assert_eq!(chassis[0].hostname, None);
    let time = chassis[1].confirmed_at.expect("a time");
    assert_eq!(time, std::time::UNIX_EPOCH + Duration::from_secs(4));
    assert_eq!(sb::lagging_chassis(&sb, 1).await.expect("chassis").len(), 1);

    // The southbound server does not answer: the error is the same as without a southbound client.
    let _hang = southbound.faults().hang();
    let behind = late(
        waits()
            .southbound(&sb)
            .await
            .expect_err("no chassis confirms"),
    );
    assert!(behind.chassis.is_none() && behind.requested == Some(3));
}

#[tokio::test(start_paused = true)]
async fn without_a_connection_the_error_says_so() {
    let server = serve("OVN_Northbound");
    let client = connect(&server).await;
    let _refuse = server.faults().refuse_connections();
    server.faults().disconnect();
    let mut state = client.state();
    let lost = state.wait_for(|state| !state.is_connected());
    timeout(HANG, lost)
        .await
        .expect("no hang")
        .expect("a state");
    let waits = nb::realized(&client, Stage::Northd).timeout(SHORT);
    let behind = late(waits.await.expect_err("no connection"));
    let text = behind.to_string();
    let start =
        "the server did not confirm within 200ms that nb_cfg was increased; the connection is ";
    assert!(
        behind.requested.is_none() && text.starts_with(start),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_and_a_lost_reply_do_not_end_the_wait() {
    let server = serve("OVN_Northbound");
    let client = connect(&server).await;
    set(&client, NbGlobal::default()).await;
    for fault in [
        TransactionFault::DisconnectBefore,
        TransactionFault::DisconnectAfter,
    ] {
        let fault = server.faults().next_transaction("OVN_Northbound", fault);
        fault.expect("a database");
    }
    let realized = nb::realized(&client, Stage::Northd).timeout(HANG);
    let mut realized = pin!(realized.into_future());
    while requests(&server) < 3 {
        // The row, a request without a reply, and one with a reply.
        assert!(
            timeout(Duration::from_millis(10), &mut realized)
                .await
                .is_err()
        );
    }
    server.faults().disconnect();
    let _played = northd(&server, false).await;
    assert_eq!(realized.await.expect("confirmed").nb_cfg, 2);
}

#[tokio::test(start_paused = true)]
async fn a_number_that_is_set_back_is_requested_again() {
    let server = serve("OVN_Northbound");
    let client = connect(&server).await;
    let row = |nb_cfg, sb_cfg| NbGlobal {
        nb_cfg,
        sb_cfg,
        ..Default::default()
    };
    set(&client, row(10, 10)).await;
    let realized = nb::realized(&client, Stage::Northd).timeout(HANG);
    let mut realized = pin!(realized.into_future());
    assert!(timeout(SHORT, &mut realized).await.is_err() && requests(&server) == 2);
    set(&client, row(3, 3)).await;
    let played = northd(&server, false).await;
    assert_eq!(realized.await.expect("confirmed").nb_cfg, 4);

    // `nb_cfg` has the greatest number, so the next request starts again with 1.
    drop(played);
    set(&client, row(i64::MAX, i64::MAX)).await;
    let waits = nb::realized(&client, Stage::Northd).timeout(SHORT);
    let behind = late(waits.await.expect_err("that is an old confirmation"));
    assert_eq!(behind.requested, Some(1));
}

#[tokio::test(start_paused = true)]
async fn clients_that_start_together_insert_one_row() {
    let server = serve("OVN_Northbound");
    let mut waiting = JoinSet::new();
    for _ in 0..20 {
        let client = connect(&server).await;
        waiting.spawn(
            nb::realized(&client, Stage::Northd)
                .timeout(HANG)
                .into_future(),
        );
    }
    let _played = northd(&server, false).await;
    let mut numbers: Vec<_> = waiting.join_all().await;
    let mut numbers: Vec<_> = numbers
        .drain(..)
        .map(|one| one.expect("confirmed").nb_cfg)
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn chassis_that_do_not_report_are_not_waited_for() {
    let server = serve("OVN_Northbound");
    let client = connect(&server).await;
    let options = [("enable_chassis_nb_cfg_update", "false")].into();
    set(
        &client,
        NbGlobal {
            options,
            ..Default::default()
        },
    )
    .await;
    let _played = northd(&server, false).await;
    let waits = nb::realized(&client, Stage::Hypervisors).timeout(None);
    let error = timeout(HANG, waits.into_future()).await.expect("no hang");
    let error = error.expect_err("they do not report");
    assert!(matches!(error, ProgressError::NotReported), "{error:?}");
    let realized = nb::realized(&client, Stage::Northd).timeout(HANG);
    realized.await.expect("confirmed");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_closed_ends_the_wait() {
    let server = serve("OVN_Northbound");
    let client = connect(&server).await;
    let mut waits = pin!(
        nb::realized(&client, Stage::Northd)
            .timeout(None)
            .into_future()
    );
    assert!(timeout(SHORT, &mut waits).await.is_err());
    client.clone().close().await;
    let error = timeout(HANG, waits).await.expect("no hang");
    let Err(ProgressError::Replica(Error::Disconnected(lost))) = error else {
        panic!("{error:?}");
    };
    assert!(matches!(lost.reason(), DisconnectReason::Closed));
    let error = nb::realized(&client, Stage::Northd)
        .await
        .expect_err("closed");
    let closed = matches!(
        error,
        ProgressError::Replica(Error::Disconnected(_))
            | ProgressError::Request(CommitError::NotSent(_))
    );
    assert!(closed, "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_switch_confirms_what_it_has_configured() {
    let server = serve("Open_vSwitch");
    let client = vswitch::Client::builder().server(&server);
    let client = client.connect().await.expect("a client");
    let behind = vswitch::configured(&client).timeout(SHORT).await;
    let behind = late(behind.expect_err("no daemon confirms"));
    assert_eq!(behind.daemon, Daemon::Vswitchd);
    assert_eq!(
        behind.to_string(),
        "ovs-vswitchd did not confirm next_cfg 1 within 200ms: cur_cfg is 0"
    );
    let mut waits = pin!(vswitch::configured(&client).timeout(HANG).into_future());
    assert!(timeout(SHORT, &mut waits).await.is_err());
    let mut txn = client.transaction();
    txn.update(AllOf::<OpenVSwitch>::all())
        .set(OpenVSwitch::CUR_CFG, 2);
    txn.commit().await.expect("a commit");
    assert_eq!(waits.await.expect("confirmed").next_cfg, 2);
}
