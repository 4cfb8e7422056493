//! PostgreSQL and RabbitMQ of a campaign's own, which it may break.

use super::messages;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};
use tokio::time::Instant;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/services");
/// A server that takes longer to start does not start.
const START: Duration = Duration::from_secs(60);

pub struct Services {
    folder: PathBuf,
    pub database_url: String,
    pub broker_url: String,
}

impl Services {
    /// Starts them with their data below `folder`, which PostgreSQL's own user must be able to enter.
    pub fn start(folder: &Path) -> Self {
        let output = Command::new(SCRIPT).args(["up", "--bare"]).arg(folder).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
        let value = |name: &str| {
            let line = printed.lines().find_map(|line| line.strip_prefix(&format!("export {name}=")));
            line.unwrap().to_owned()
        };
        Self {
            folder: folder.to_owned(),
            database_url: value("IMAGEFLEET_DATABASE_URL"),
            broker_url: value("IMAGEFLEET_BROKER_URL"),
        }
    }

    /// A crash of PostgreSQL to whoever is connected, and its start. Returns when it takes connections.
    pub async fn restart_store(&self) {
        let mut command = as_postgres(postgres_bin().join("pg_ctl"));
        command.args(["--silent", "--wait", "--mode=immediate", "restart"]);
        command.arg("--pgdata").arg(self.folder.join("postgres")).arg("--log").arg(self.folder.join("postgres.log"));
        // The server inherits what is open here.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = tokio::task::spawn_blocking(move || command.status().unwrap()).await.unwrap();
        assert!(status.success(), "PostgreSQL does not start again: see {}", self.folder.display());
    }

    /// Kills RabbitMQ and starts it. Returns when it takes connections.
    pub async fn restart_broker(&self) {
        let pid = std::fs::read_to_string(self.folder.join("rabbitmq/pid")).unwrap();
        let pid = pid.trim().to_owned();
        assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        while Path::new("/proc").join(&pid).exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let start = r#". "$0" && exec setsid /usr/lib/rabbitmq/bin/rabbitmq-server >>"$1" 2>&1 </dev/null &"#;
        let mut command = Command::new("bash");
        command.args(["-c", start]).arg(self.folder.join("rabbitmq/environment")).arg(self.folder.join("rabbitmq.log"));
        assert!(command.status().unwrap().success());
        let since = Instant::now();
        while !matches!(
            tokio::time::timeout(Duration::from_secs(2), messages::answers(&self.broker_url)).await,
            Ok(true)
        ) {
            assert!(since.elapsed() < START, "RabbitMQ does not start again: see {}", self.folder.display());
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// What an operator's query prints, a line a row.
    pub async fn query(&self, sql: &str) -> Result<String, String> {
        let mut command = Command::new("psql");
        command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--command", sql, &self.database_url]);
        // Whatever the server's default is.
        command.env("PGOPTIONS", "-c default_transaction_read_only=off");
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let Output { status, stdout, stderr } = output;
        match status.success() {
            true => Ok(String::from_utf8_lossy(&stdout).trim().to_owned()),
            false => Err(String::from_utf8_lossy(&stderr).trim().to_owned()),
        }
    }

    /// Makes all transactions that begin from now on read-only, or lets them write again.
    pub async fn set_read_only(&self, on: bool) {
        let since = Instant::now();
        let value = if on { "on" } else { "off" };
        loop {
            // A statement of its own each: the first may stand in no transaction.
            let set = self.query(&format!("ALTER SYSTEM SET default_transaction_read_only = {value}")).await;
            match set.and(self.query("SELECT pg_reload_conf()").await) {
                Ok(_) => return,
                Err(error) => assert!(since.elapsed() < START, "PostgreSQL cannot be set: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends sessions of this fleet that are inside a transaction, a few within a second. Returns how many.
    pub async fn cut_transactions(&self, namespace: &str) -> u32 {
        let sql = format!(
            "DO $$ DECLARE found int; cut int := 0; BEGIN
                FOR look IN 1..300 LOOP
                    PERFORM pg_stat_clear_snapshot();
                    SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) INTO found FROM pg_stat_activity
                        WHERE application_name = 'imagefleet {namespace}' AND xact_start IS NOT NULL;
                    cut := cut + found;
                    EXIT WHEN cut >= 3;
                    PERFORM pg_sleep(0.003);
                END LOOP;
                PERFORM set_config('chaos.cut', cut::text, false);
            END $$; SELECT current_setting('chaos.cut')"
        );
        self.query(&sql).await.ok().and_then(|cut| cut.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        let down = Command::new(SCRIPT).arg("down").arg(&self.folder).status();
        assert!(down.is_ok_and(|down| down.success()) || std::thread::panicking());
    }
}

fn postgres_bin() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").unwrap().map(|entry| entry.unwrap().path());
    let number = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    versions.max_by_key(number).unwrap().join("bin")
}

/// The server refuses to run as root; scripts/services starts it as its own user there.
fn as_postgres(program: PathBuf) -> Command {
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout.trim_ascii() != b"0" {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}
