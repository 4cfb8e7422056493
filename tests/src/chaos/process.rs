//! A process of a fleet under attack: started, signalled, watched, and started again in the same place.

use super::proxy::{Mode, Proxy};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    os::unix::{fs::FileExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// Longer than any process takes to end, whatever its grace.
const END: Duration = Duration::from_secs(60);

/// What a process talks to, each through a proxy of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Store,
    Broker,
    Index,
    Objects,
}

impl Service {
    pub const ALL: [Self; 4] = [Self::Store, Self::Broker, Self::Index, Self::Objects];
}

/// Where each service is, in the order of [`Service::ALL`].
pub type Addresses = [SocketAddr; 4];

/// The ways of one process to the services.
pub struct Links([Proxy; 4]);

impl Links {
    pub async fn new([store, broker, index, objects]: Addresses) -> Self {
        let proxies = [Proxy::start(store), Proxy::start(broker), Proxy::start(index), Proxy::start(objects)];
        Self(futures::future::join_all(proxies).await.try_into().ok().unwrap())
    }

    /// Where the process finds the services.
    pub fn addresses(&self) -> Addresses {
        Service::ALL.map(|service| self.0[service as usize].address)
    }

    pub fn set(&self, service: Service, mode: Mode) {
        self.0[service as usize].set(mode);
    }

    /// Connections to each service that the process holds open.
    pub fn open(&self) -> [usize; 4] {
        Service::ALL.map(|service| self.0[service as usize].open())
    }
}

/// A place in a fleet that one process after the other holds.
pub struct Process {
    pub name: String,
    /// The program and its arguments, and what it finds in its environment.
    program: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    log: PathBuf,
    /// What the preloaded library reads: how many seconds its wall clock is ahead, and whether its disk is full.
    machine: Option<File>,
    child: Option<Child>,
}

impl Process {
    /// Not started yet. With `library`, its wall clock can jump and its disk be full.
    pub fn new(
        name: String,
        program: &Path,
        arguments: Vec<String>,
        mut variables: Vec<(String, String)>,
        folder: &Path,
        library: Option<&Path>,
    ) -> Self {
        let told = folder.join(format!("{name}.machine"));
        let machine = library.map(|library| {
            let file = File::options().read(true).write(true).create(true).truncate(true).open(&told).unwrap();
            file.write_at(&[0; 16], 0).unwrap();
            variables.push(("LD_PRELOAD".to_owned(), library.to_str().unwrap().to_owned()));
            variables.push(("CHAOS_MACHINE".to_owned(), told.to_str().unwrap().to_owned()));
            file
        });
        let log = folder.join(format!("{name}.log"));
        Self { name, program: program.to_owned(), arguments, variables, log, machine, child: None }
    }

    /// Starts it in the place of the last one.
    pub fn start(&mut self) {
        let mut log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("IMAGEFLEET_")) {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.log.parent().unwrap()).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        writeln!(log, "== process {}", child.id()).unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).split(b'\n');
        // Through a pipe: its log has room where its disk has none.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = log.write_all(&line).and_then(|()| log.write_all(b"\n"));
            }
        });
        self.child = Some(child);
    }

    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Sends it a signal, by name.
    pub fn signal(&self, signal: &str) {
        if let Some(id) = self.id() {
            // It may have ended by itself, which is found out elsewhere.
            let _ = Command::new("kill").args([&format!("-{signal}"), &id.to_string()]).stderr(Stdio::null()).status();
        }
    }

    /// Waits for its end.
    pub async fn ends(&mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.has_ended() {
                return status;
            }
            assert!(since.elapsed() < END, "{} does not end: see {}", self.name, self.log.display());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// How it ended, once, where it is no longer there.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().unwrap()?;
        self.child = None;
        Some(status)
    }

    /// Whether its disk is full. False where that cannot be.
    pub fn set_full_disk(&self, full: bool) -> bool {
        self.tell(i64::from(full), 8)
    }

    /// How far its wall clock is ahead. False where it cannot jump.
    pub fn set_clock(&self, seconds: i64) -> bool {
        self.tell(seconds, 0)
    }

    fn tell(&self, number: i64, at: u64) -> bool {
        let written = self.machine.as_ref().map(|file| file.write_at(&number.to_le_bytes(), at).unwrap());
        written.is_some()
    }

    /// MiB of memory that it occupies, and open files.
    pub fn occupies(&self) -> Option<(u64, usize)> {
        let folder = Path::new("/proc").join(self.id()?.to_string());
        let status = fs::read_to_string(folder.join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        Some((kib / 1024, fs::read_dir(folder.join("fd")).ok()?.count()))
    }

    /// What all processes in this place have said.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // A stopped process can be killed, too.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// For people.
pub fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown end".to_owned(),
    }
}
