//! The locks of a session.

use tokio::sync::watch;

use super::*;

impl Lab {
    /// A caller requests a lock. Returns the channel by which it gets the answer.
    fn lock(
        &mut self,
        name: &str,
        steal: bool,
    ) -> oneshot::Receiver<Result<watch::Receiver<bool>, Error>> {
        let (reply, answer) = oneshot::channel();
        let name = name.into();
        self.order(Order::Lock { name, steal, reply });
        answer
    }
}

#[test]
fn a_lock_is_requested_on_each_connection_and_released_with_its_last_handle() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    let mut answer = lab.lock("l", false);
    let request = lab.request();
    assert_eq!((&*request.method, &*request.params), ("lock", r#"["l"]"#));
    lab.reply(&request, r#"{"locked":false}"#);
    let held = answer.try_recv().expect("an answer").expect("a lock");
    assert!(!*held.borrow());
    for (method, holds) in [("locked", true), ("stolen", false), ("locked", true)] {
        lab.send(&format!(
            r#"{{"id":null,"method":"{method}","params":["l"]}}"#
        ));
        assert_eq!(*held.borrow(), holds, "{method}");
    }
    lab.send(r#"{"id":null,"method":"stolen","params":["other"]}"#);
    assert!(*held.borrow());
    // The second handle of a lock that is held needs no request.
    let mut second = lab.lock("l", false);
    assert!(matches!(second.try_recv(), Ok(Ok(_))));
    assert!(lab.try_request().is_none());

    lab.pass(milliseconds(3_000));
    lab.hang_up();
    assert!(!*held.borrow(), "it is lost with the connection");
    lab.pass(milliseconds(1_000));
    lab.connect();
    lab.greet();
    let request = lab.request();
    assert_eq!((&*request.method, &*request.params), ("lock", r#"["l"]"#));
    lab.reply(&request, r#"{"locked":true}"#);
    assert!(*held.borrow());

    lab.order(Order::Unlock { name: "l".into() });
    assert!(lab.try_request().is_none(), "another handle is left");
    lab.order(Order::Unlock { name: "l".into() });
    let request = lab.request();
    assert_eq!((&*request.method, &*request.params), ("unlock", r#"["l"]"#));
}

#[test]
fn a_steal_first_withdraws_the_waiting_request() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    let mut waits = lab.lock("l", false);
    let request = lab.request();
    lab.reply(&request, r#"{"locked":false}"#);
    let mut steals = lab.lock("l", true);
    let requests = [lab.request(), lab.request()];
    let methods = requests.each_ref().map(|request| &*request.method);
    assert_eq!(methods, ["unlock", "steal"]);
    lab.reply(&requests[0], "{}");
    assert!(steals.try_recv().is_err());
    lab.reply(&requests[1], r#"{"locked":true}"#);
    for answer in [&mut waits, &mut steals] {
        let held = answer.try_recv().expect("an answer").expect("a lock");
        assert!(*held.borrow());
    }
    // A caller that has gone before the server replied holds nothing.
    drop(lab.lock("other", false));
    let request = lab.request();
    lab.reply(&request, r#"{"locked":true}"#);
    let request = lab.request();
    assert_eq!(
        (&*request.method, &*request.params),
        ("unlock", r#"["other"]"#)
    );
}

/// Replaces the connection. Returns the first request that the server receives after the greeting.
fn on_next_connection(lab: &mut Lab) -> Received {
    lab.pass(milliseconds(3_000));
    lab.hang_up();
    lab.pass(milliseconds(1_000));
    lab.connect();
    lab.greet();
    lab.request()
}

#[test]
fn a_lock_is_stolen_once_as_soon_as_a_server_answers() {
    let mut lab = Lab::new(options("tcp:192.0.2.1:6641"));
    let mut answer = lab.lock("l", true);
    lab.connect();
    lab.greet();
    let request = lab.request();
    assert_eq!((&*request.method, &*request.params), ("steal", r#"["l"]"#));
    // The connection is lost before the reply.
    let request = on_next_connection(&mut lab);
    assert_eq!((&*request.method, &*request.params), ("steal", r#"["l"]"#));
    lab.reply(&request, r#"{"locked":true}"#);
    let held = answer.try_recv().expect("an answer").expect("a lock");
    assert!(*held.borrow());
    let request = on_next_connection(&mut lab);
    assert_eq!(request.method, "lock", "the steal was answered");
}

#[test]
fn a_lock_that_is_waited_for_is_stolen_on_the_next_connection() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    let mut waits = lab.lock("l", false);
    let request = lab.request();
    lab.reply(&request, r#"{"locked":false}"#);
    assert!(matches!(waits.try_recv(), Ok(Ok(_))));
    lab.pass(milliseconds(3_000));
    lab.hang_up();
    let mut steals = lab.lock("l", true);
    lab.pass(milliseconds(1_000));
    lab.connect();
    lab.greet();
    let request = lab.request();
    assert_eq!(request.method, "steal");
    assert!(steals.try_recv().is_err());
    lab.reply(&request, r#"{"locked":true}"#);
    let held = steals.try_recv().expect("an answer").expect("a lock");
    assert!(*held.borrow());
}

#[test]
fn no_lock_is_stolen_for_a_caller_that_has_gone() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    let mut waits = lab.lock("l", false);
    let request = lab.request();
    lab.reply(&request, r#"{"locked":false}"#);
    assert!(matches!(waits.try_recv(), Ok(Ok(_))));
    drop(lab.lock("l", true));
    assert_eq!(lab.request().method, "unlock");
    assert_eq!(lab.request().method, "steal");
    let request = on_next_connection(&mut lab);
    assert_eq!(request.method, "lock");
}

#[test]
fn the_reply_to_an_earlier_request_does_not_answer_a_steal() {
    let mut lab = Lab::serving(options("tcp:192.0.2.1:6641"));
    let mut waits = lab.lock("l", false);
    let locks = lab.request();
    let mut answer = lab.lock("l", true);
    assert_eq!(lab.request().method, "unlock");
    let steals = lab.request();
    lab.reply(&locks, r#"{"locked":false}"#);
    assert!(waits.try_recv().is_err() && answer.try_recv().is_err());
    lab.reply(&steals, r#"{"locked":true}"#);
    for answer in [&mut waits, &mut answer] {
        let held = answer.try_recv().expect("an answer").expect("a lock");
        assert!(*held.borrow());
    }
}
