//! Workers that are asked to drain.
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    conformance::seed::{HOUR, Lab, open_session},
    ids::SessionId,
    ports::tasks::{Beat, NewSession},
};

pub async fn a_session_hears_at_its_next_beat_that_it_is_to_drain(lab: &Lab) {
    let other = open_session(&lab.store, HOUR).await;
    assert_eq!(lab.store.drain(&[other]).await.unwrap(), 1);
    assert_eq!(lab.store.drain(&[other]).await.unwrap(), 1, "again changes nothing");
    let drains = Beat { alive: true, drain: true, ..Beat::default() };
    assert_eq!(lab.store.beat(other).await.unwrap(), drains);
    assert_eq!(lab.store.beat(lab.session).await.unwrap(), Beat { drain: false, ..drains });
    let seen = lab.store.sessions().await.unwrap();
    let drains = |id| seen.iter().find(|session| session.id == id).unwrap().drains;
    assert_eq!((drains(other), drains(lab.session)), (true, false));
}

pub async fn a_session_in_place_of_a_draining_one_drains_too(lab: &Lab) {
    let old = open_session(&lab.store, HOUR).await;
    lab.store.drain(&[old]).await.unwrap();
    for (replaces, drain) in [(Some(old), true), (Some(lab.session), false), (None, false)] {
        let session =
            NewSession { id: SessionId::random(), worker: "the same".into(), slots: 1, lease: HOUR, replaces };
        lab.store.open_session(&session).await.unwrap();
        assert_eq!(lab.store.beat(session.id).await.unwrap().drain, drain, "in place of {replaces:?}");
    }
}

pub async fn only_sessions_that_have_not_ended_are_counted(lab: &Lab) {
    let ended = open_session(&lab.store, HOUR).await;
    lab.store.close_session(ended).await.unwrap();
    assert_eq!(lab.store.drain(&[ended, SessionId::random(), lab.session]).await.unwrap(), 1);
    assert_eq!(lab.store.drain(&[]).await.unwrap(), 0);
}
