//! The main job from end to end, and what a second run finds to do.

use imagefleet_common::ports::jobs::JobState;
use imagefleet_tests::{
    compare::{differences, rows},
    corpus::{photos, write_yfcc_shard},
    project::Project,
};
use std::fs;

fn yfcc(shards: &[&str], photos_each: usize) -> Project {
    let project = Project::new("yfcc", 12);
    for shard in shards {
        write_yfcc_shard(&project.corpus(), shard, &photos(shard, photos_each));
    }
    project
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_embeds_every_picture_and_answers_every_title() {
    let project = yfcc(&["0a1", "0a2"], 20);
    let ended = project.run().await.unwrap();
    assert_eq!((ended.state, ended.written), (JobState::Succeeded, Some(6)));
    assert_eq!(ended.stats.encode.items(), 40);
    let rows = rows(&project.out());
    assert_eq!(rows.len(), 12);
    assert!(rows.iter().all(|row| row["indices"].as_array().unwrap().len() == 5));
    let verified = project.verify().await.unwrap();
    assert_eq!((verified.wrong, verified.counts.embedded), (vec![], 40));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_job_run_again_embeds_nothing_and_writes_only_what_is_gone() {
    let project = yfcc(&["0a1"], 20);
    project.run().await.unwrap();
    let again = project.run().await.unwrap();
    assert_eq!((again.stats.encode.items(), again.written), (0, Some(0)));
    let before = fs::read(project.out().join("inference_results.json")).unwrap();
    fs::remove_file(project.out().join("inference_results.json")).unwrap();
    let mended = project.run().await.unwrap();
    assert_eq!((mended.stats.encode.items(), mended.written), (0, Some(1)));
    assert_eq!(fs::read(project.out().join("inference_results.json")).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_in_two_folders_are_equal() {
    let (one, two) = (yfcc(&["0a1", "0a2"], 15), yfcc(&["0a1", "0a2"], 15));
    one.run().await.unwrap();
    two.run().await.unwrap();
    assert_eq!(differences(&one.out(), &two.out()), Vec::<String>::new());
}
