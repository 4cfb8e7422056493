//! A hub of one model on this machine: the endpoints that a pull needs, and faults on demand.
//!
//! As the real one it sends large files from another address, says what they are on the way there, and moves
//! small files within itself.

use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

pub(crate) const MODEL: &str = "someone/clip-tiny";

/// What goes wrong with the next transfer of a file, or with the next listing.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The connection closes after so many bytes of the body.
    Cut(usize),
    /// The connection stays open after so many bytes, without more.
    Silence(usize),
    /// One byte is another.
    WrongByte,
    /// All of the file is sent, whatever part was asked for.
    NoRanges,
    /// Status, and more header lines.
    Refusal(u16, &'static str),
}

pub(crate) struct State {
    pub(crate) commit: String,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// By file name; `listing` is the listing.
    pub(crate) faults: BTreeMap<String, VecDeque<Fault>>,
    /// `METHOD address bytes=… Bearer …` of every request, where it had the last two.
    pub(crate) log: Vec<String>,
    /// Instead of the right one.
    pub(crate) etag: Option<String>,
}

pub(crate) struct Hub {
    /// Of the hub itself; large files are at another.
    pub(crate) address: String,
    store: String,
    state: Arc<Mutex<State>>,
}

impl Hub {
    /// Has the files of `folder`, but for the reference.
    pub(crate) fn of(folder: &Path) -> Self {
        let mut files = BTreeMap::new();
        for entry in folder.read_dir().unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if name != "reference.safetensors" {
                files.insert(name, std::fs::read(entry.path()).unwrap());
            }
        }
        files.insert("README.md".to_owned(), b"A model card, which nobody fetches.".to_vec());
        let state = State { commit: "a".repeat(40), files, faults: BTreeMap::new(), log: Vec::new(), etag: None };
        let state = Arc::new(Mutex::new(state));
        let [hub, store] = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = [&hub, &store].map(|socket| format!("http://{}", socket.local_addr().unwrap()));
        for listener in [hub, store] {
            let (state, store) = (Arc::clone(&state), addresses[1].clone());
            thread::spawn(move || {
                for connection in listener.incoming() {
                    let (state, store) = (Arc::clone(&state), store.clone());
                    thread::spawn(move || answer(connection.unwrap(), &state, &store));
                }
            });
        }
        let [address, store] = addresses;
        Self { address, store, state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn next_faults(&self, file: &str, faults: impl IntoIterator<Item = Fault>) {
        self.state().faults.entry(file.to_owned()).or_default().extend(faults);
    }

    /// The requests since the last call.
    pub(crate) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.state().log)
    }

    /// Those of `log` that fetch the bytes of a large file.
    pub(crate) fn transfers<'a>(&self, log: &'a [String]) -> Vec<&'a str> {
        let from_store = format!("GET {}", self.store);
        log.iter().filter_map(|line| Some(line.strip_prefix(&from_store)?.trim())).collect()
    }
}

/// What the hub calls a file of these contents.
pub(crate) fn etag(name: &str, contents: &[u8]) -> String {
    if is_large(name) {
        return format!("{:x}", Sha256::digest(contents));
    }
    let mut hash = sha1_smol::Sha1::from(format!("blob {}\0", contents.len()));
    hash.update(contents);
    hash.digest().to_string()
}

fn is_large(name: &str) -> bool {
    name.ends_with(".safetensors") || name.ends_with(".bin")
}

fn answer(connection: TcpStream, state: &Mutex<State>, store: &str) {
    let mut lines = BufReader::new(&connection).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let Some(request) = lines.next() else { return };
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())))
        .collect();
    let header = |name: &str| headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.as_str());

    let mut state = state.lock().unwrap();
    let line = format!("{method} http://{}{path} {} {}", header("host"), header("range"), header("authorization"));
    state.log.push(line);
    let file = path.rsplit('/').next().unwrap().to_owned();
    let is_listing = path.starts_with("/api/models/");
    let moves = !is_listing && path.contains("/resolve/");
    let key = if is_listing { "listing" } else { &file };
    let takes_fault = is_listing || method == "GET" && !moves;
    let fault = state.faults.get_mut(key).filter(|_| takes_fault).and_then(VecDeque::pop_front);
    let commit = state.commit.clone();

    let body = if is_listing {
        let files: Vec<_> = state.files.keys().map(|name| serde_json::json!({"rfilename": name})).collect();
        Some(serde_json::json!({"id": MODEL, "sha": commit, "siblings": files}).to_string().into_bytes())
    } else {
        state.files.get(&file).cloned()
    };
    let tag = body.as_ref().map(|body| state.etag.clone().unwrap_or_else(|| etag(&file, body))).unwrap_or_default();
    drop(state);

    let mut head = String::new();
    let mut start = 0;
    let mut sent: &[u8] = &[];
    match (&fault, &body) {
        (Some(Fault::Refusal(status, more)), _) => {
            write!(head, "HTTP/1.1 {status} No\r\n{more}Content-Length: 0\r\n").unwrap()
        }
        (_, None) => head += "HTTP/1.1 404 Not Found\r\nX-Error-Message: Entry not found\r\nContent-Length: 0\r\n",
        (_, Some(body)) if moves => {
            let target = if is_large(&file) { format!("{store}/{file}") } else { format!("/api/resolve-cache/{file}") };
            let status = if is_large(&file) { "302 Found" } else { "307 Temporary Redirect" };
            write!(head, "HTTP/1.1 {status}\r\nLocation: {target}\r\nX-Repo-Commit: {commit}\r\nContent-Length: 0\r\n")
                .unwrap();
            if is_large(&file) {
                write!(head, "X-Linked-Etag: \"{tag}\"\r\nX-Linked-Size: {}\r\n", body.len()).unwrap();
            }
        }
        (_, Some(body)) => {
            let asked = header("range").strip_prefix("bytes=").and_then(|range| range.strip_suffix('-'));
            if let (Some(asked), false) = (asked, matches!(fault, Some(Fault::NoRanges))) {
                start = asked.parse().unwrap();
                let (last, all) = (body.len() - 1, body.len());
                write!(head, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{last}/{all}\r\n").unwrap();
            } else {
                head += "HTTP/1.1 200 OK\r\n";
            }
            sent = &body[start..];
            write!(head, "ETag: \"{tag}\"\r\nX-Repo-Commit: {commit}\r\nContent-Length: {}\r\n", sent.len()).unwrap();
        }
    }
    head += "Connection: close\r\n\r\n";
    let mut connection = connection;
    let _ = connection.write_all(head.as_bytes());
    if method == "HEAD" {
        return;
    }
    // A client may go away at any time.
    let _ = match fault {
        Some(Fault::Cut(length)) => connection.write_all(&sent[..length.min(sent.len())]),
        Some(Fault::Silence(length)) => {
            let written = connection.write_all(&sent[..length.min(sent.len())]);
            let _ = connection.set_read_timeout(Some(Duration::from_secs(30)));
            let _ = connection.read(&mut [0]);
            written
        }
        Some(Fault::WrongByte) => {
            let mut wrong = sent.to_vec();
            wrong[sent.len() / 2] ^= 1;
            connection.write_all(&wrong)
        }
        _ => connection.write_all(sent),
    };
}
