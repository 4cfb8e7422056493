//! SIGKILL at 40 moments: each run is started again and ends as if nothing had happened.
//!
//! The moments are drawn by a seed (`IMAGEFLEET_TEST_SEED`, 40 without it) from the places that an undisturbed run
//! reports. At 33 of them the process kills itself, exactly before or after a call; at 7, one for each stage, its parent
//! does so from outside, some time after it saw the event begin.

use imagefleet_adapters::faults::Moment;
use imagefleet_retrieval::results::{INFERENCE_RESULTS, SUMMARY};
use imagefleet_tests::{
    child::{self, Child, Death},
    compare::differences,
    corpus::{Photo, photos, write_yfcc_shard},
    events::{Place, STAGES},
    project::Project,
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use std::{
    collections::BTreeMap,
    env, fs,
    io::{Write, stderr},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

const SEED: &str = "IMAGEFLEET_TEST_SEED";
/// Processes that kill themselves in each stage, half of them before an event, and some more in any.
const EACH: usize = 4;
const MORE: usize = 5;
/// The longest time between an event's beginning and a kill from outside.
const OUTSIDE: Duration = Duration::from_millis(10);
/// Runs at a time.
const ABREAST: usize = 3;

/// What stands in result files before a run.
const OLD: &str = "old";

#[test]
#[ignore = "the process that other tests start, and kill"]
fn child() {
    child::run_for_parent();
}

pub(super) const CHILD: &str = "sigkill::child";

/// Four shards. Two pictures of the first are broken; the last has two chunks, the first of them put in four parts.
fn corpus() -> Vec<(&'static str, Vec<Photo>)> {
    let shards = [("0a1", 24), ("0a2", 24), ("0a3", 24), ("b", 1_040)];
    let mut shards: Vec<_> = shards.map(|(shard, count)| (shard, photos(shard, count))).into();
    let broken = &mut shards[0].1;
    broken[3].bytes.truncate(300);
    broken[7].bytes.clear();
    shards
}

fn project(corpus: &[(&str, Vec<Photo>)]) -> Project {
    let project = Project::new("yfcc", 12);
    for (shard, photos) in corpus {
        write_yfcc_shard(&project.corpus(), shard, photos);
    }
    fs::create_dir(project.out()).unwrap();
    for file in [SUMMARY, INFERENCE_RESULTS] {
        fs::write(project.out().join(file), OLD).unwrap();
    }
    project
}

#[derive(Debug, Clone)]
enum Kill {
    Own(Place),
    /// So long after this place was reported.
    Outside(Place, Duration),
}

impl Kill {
    fn place(&self) -> &Place {
        match self {
            Self::Own(place) | Self::Outside(place, _) => place,
        }
    }
}

fn draw(places: &[Place], random: &mut StdRng) -> Vec<Kill> {
    let mut kills = Vec::new();
    let mut others = Vec::new();
    for stage in STAGES {
        let mut of_stage: Vec<&Place> =
            places.iter().filter(|place| place.event.stage == stage && comes_in_every_run(place)).collect();
        if stage == "results" {
            // What lies between result files: the run before the first and after the last has all of them or none.
            of_stage = of_stage[1..of_stage.len() - 1].to_vec();
        }
        of_stage.shuffle(random);
        let begun = of_stage.iter().find(|place| place.moment == Moment::Before).unwrap();
        kills.push(Kill::Outside((*begun).clone(), OUTSIDE.mul_f64(random.random())));
        let (before, after): (Vec<_>, Vec<_>) = of_stage.into_iter().partition(|place| place.moment == Moment::Before);
        for mut of_moment in [before, after] {
            others.extend(of_moment.split_off(EACH / 2));
            kills.extend(of_moment.into_iter().cloned().map(Kill::Own));
        }
    }
    others.shuffle(random);
    kills.extend(others.into_iter().take(MORE).cloned().map(Kill::Own));
    kills
}

/// The coordinator may see what there is to publish before it is told which stage began: only its first time is sure.
fn comes_in_every_run(place: &Place) -> bool {
    let publishes = matches!(place.event.call.as_str(), "tasks.mark" | "tasks.published");
    !publishes || (place.event.stage == "list" && place.event.number == 1)
}

fn killed(corpus: &[(&str, Vec<Photo>)], kill: &Kill) -> (Project, Death) {
    let start = |place| {
        let project = project(corpus);
        let child = Child::start(CHILD, &project, place);
        (project, child)
    };
    match kill {
        Kill::Own(place) => {
            let (project, child) = start(Some(place));
            (project, child.end())
        }
        Kill::Outside(place, delay) => {
            let mut delay = *delay;
            loop {
                let (project, mut child) = start(None);
                child.places_until(Some(place));
                thread::sleep(delay);
                child.kill();
                let died = child.end();
                // A process that was faster than its killer is killed anew, and sooner.
                if died.by_kill() || delay.is_zero() {
                    return (project, died);
                }
                delay = (delay / 2).saturating_sub(Duration::from_micros(100));
            }
        }
    }
}

/// Kills a run of its own at `kill` and starts it again. Returns the stage in which it died.
fn killed_and_run_again(corpus: &[(&str, Vec<Photo>)], undisturbed: &Project, kill: &Kill) -> String {
    let (project, died) = killed(corpus, kill);
    assert!(died.by_kill(), "{kill:?}: it ended by itself, {:?}\n{}", died.state, died.log);
    let last = died.last.unwrap_or_else(|| kill.place().clone());
    if let Kill::Own(place) = kill {
        assert_eq!(&last, place);
    }
    assert_complete_where_there_is_a_summary(undisturbed, &project, kill);
    let again = Child::start(CHILD, &project, None).end();
    assert_eq!(again.state.as_deref(), Some("succeeded"), "{kill:?}\n{}", again.log);
    assert_eq!(differences(&undisturbed.out(), &project.out()), Vec::<String>::new(), "{kill:?}");
    assert_eq!(files(undisturbed), files(&project), "{kill:?}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert_eq!(runtime.block_on(project.verify()).unwrap().wrong, Vec::<String>::new(), "{kill:?}");
    last.event.stage
}

/// The results that stood there before, or the new ones, and never some of both.
fn assert_complete_where_there_is_a_summary(undisturbed: &Project, project: &Project, kill: &Kill) {
    match fs::read_to_string(project.out().join(SUMMARY)) {
        Err(_) => {}
        Ok(old) if old == OLD => {
            let results = fs::read_to_string(project.out().join(INFERENCE_RESULTS)).unwrap();
            assert_eq!(results, OLD, "{kill:?}: an old summary stands beside new results");
        }
        Ok(_) => assert_eq!(differences(&undisturbed.out(), &project.out()), Vec::<String>::new(), "{kill:?}"),
    }
}

fn files(project: &Project) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(project.out()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_run_killed_at_any_moment_is_started_again_and_ends_with_the_same_results_and_ledger() {
    let seed = env::var(SEED).map_or(40, |seed| seed.parse().unwrap());
    let (corpus, start) = (corpus(), Instant::now());
    let undisturbed = project(&corpus);
    let mut first = Child::start(CHILD, &undisturbed, None);
    let places = first.places_until(None);
    let ended = first.end();
    let ledger = fs::read_to_string(undisturbed.out().join("ledger.jsonl")).expect(&ended.log);
    assert!(ledger.contains("truncated") && ledger.contains("empty"), "{ledger}");

    let kills = draw(&places, &mut StdRng::seed_from_u64(seed));
    let waiting = Mutex::new(kills.iter());
    // Stage → before, after, from outside.
    let table = Mutex::new(BTreeMap::from(STAGES.map(|stage| (stage, [0; 3]))));
    thread::scope(|scope| {
        for _ in 0..ABREAST {
            scope.spawn(|| {
                loop {
                    let Some(kill) = waiting.lock().unwrap().next() else { break };
                    let stage = killed_and_run_again(&corpus, &undisturbed, kill);
                    let column = match kill {
                        Kill::Own(Place { moment: Moment::Before, .. }) => 0,
                        Kill::Own(_) => 1,
                        Kill::Outside(..) => 2,
                    };
                    table.lock().unwrap().get_mut(stage.as_str()).unwrap()[column] += 1;
                }
            });
        }
    });

    let table = table.into_inner().unwrap();
    let mut shown = format!("{:<10}{:>8}{:>8}{:>9}\n", "SIGKILL", "before", "after", "outside");
    for stage in STAGES {
        let [before, after, outside] = table[stage];
        shown += &format!("{stage:<10}{before:>8}{after:>8}{outside:>9}\n");
        assert!(before + after >= 3, "{stage}: {table:?}");
    }
    let (kills, seconds) = (kills.len(), start.elapsed().as_secs_f64());
    // Past the test harness, which keeps what a passing test prints.
    let mut out = stderr();
    writeln!(out, "{shown}{kills} kills by seed {seed} in {seconds:.0} s").unwrap();
    assert!(kills >= 40);
}
