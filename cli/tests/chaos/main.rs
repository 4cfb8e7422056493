//! The short form of the fault campaign (docs/reliability.md): two fleets, a run of 25 faults each. `scripts/chaos` is the
//! long one. It starts a PostgreSQL and a RabbitMQ of its own, since it breaks them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod proxy;
mod table;

use imagefleet_tests::chaos::campaign::Campaign;
use std::{path::Path, sync::atomic::AtomicBool};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_breaks_nothing_is_lost_or_doubled_and_the_results_are_those_of_an_undisturbed_run() {
    let campaign = Campaign {
        binary: env!("CARGO_BIN_EXE_imagefleet").into(),
        seed: 1,
        faults: 30,
        per_fleet: 15,
        keep: Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos"),
        replay: None,
    };
    let report = campaign.run(&AtomicBool::new(false)).await;
    eprintln!("{report}");
    assert_eq!(report.wrong(), Vec::<String>::new(), "journals and logs: {}", campaign.keep.display());
}
