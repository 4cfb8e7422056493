//! `imagefleet workers`

use crate::{
    args::{Global, Output, WorkersCommand},
    exit::Exit,
    logging::{print, say},
    run::counted,
    site::Site,
    table::table,
    times::span,
};
use imagefleet_common::{
    Error, Result,
    ids::SessionId,
    ports::tasks::{SessionView, Tasks},
};
use serde_json::{Value, json};

pub(crate) async fn command(global: &Global, command: WorkersCommand) -> Result<Exit> {
    let site = Site::of(global)?;
    match command {
        WorkersCommand::Ls => ls(global, site.tasks().await?.as_ref()).await,
        WorkersCommand::Drain { .. } if matches!(site, Site::Here(_)) => Err(Error::permanent(
            "drain a worker: that of an embedded run is the run itself; interrupt it (SIGINT, SIGTERM), or `imagefleet jobs pause`",
        )),
        WorkersCommand::Drain { workers, all } => drain(global, site.tasks().await?.as_ref(), &workers, all).await,
    }
}

async fn ls(global: &Global, tasks: &dyn Tasks) -> Result<Exit> {
    let (sessions, now) = (tasks.sessions().await?, tasks.now().await?);
    if global.output == Output::Json {
        let all = sessions.iter().map(|session| {
            let SessionView { id, worker, slots, expires, running, drains } = session;
            json!({"worker": worker, "session": id, "slots": slots, "running": running, "expires": expires, "drains": drains})
        });
        print(format_args!("{:#}", Value::Array(all.collect())));
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = sessions
        .into_iter()
        .map(|session| {
            let state = match (session.expires < now, session.drains) {
                (true, _) => "silent",
                (false, true) => "draining",
                (false, false) => "working",
            };
            let lease = if session.expires < now { "-".to_owned() } else { span(session.expires - now) };
            let (slots, running) = (session.slots.to_string(), session.running.to_string());
            vec![session.worker, session.id.to_string(), slots, running, lease, state.to_owned()]
        })
        .collect();
    print(format_args!("{}", table(&["WORKER", "SESSION", "SLOTS", "RUNNING", "LEASE", "STATE"], &rows)));
    Ok(Exit::Done)
}

async fn drain(global: &Global, tasks: &dyn Tasks, wanted: &[String], all: bool) -> Result<Exit> {
    let sessions = tasks.sessions().await?;
    let mut chosen: Vec<&SessionView> = Vec::new();
    for name in wanted {
        let before = chosen.len();
        chosen.extend(sessions.iter().filter(|session| session.worker == *name || session.id.to_string() == *name));
        if chosen.len() == before {
            return Err(Error::permanent(format!(
                "drain worker {name}: none of this name or id lives; see `imagefleet workers ls`"
            )));
        }
    }
    if all {
        chosen = sessions.iter().collect();
    }
    let ids: Vec<SessionId> = chosen.iter().map(|session| session.id).collect();
    let asked = tasks.drain(&ids).await?;
    match global.output {
        Output::Json => print(format_args!("{:#}", json!({"asked": asked, "sessions": ids}))),
        Output::Table => {
            let asked = counted(usize::try_from(asked).unwrap_or(usize::MAX), "worker");
            say(format_args!(
                "{asked} asked to drain; each hears of it at its next beat, and leaves `imagefleet workers ls` when it has ended"
            ));
        }
    }
    Ok(Exit::Done)
}
