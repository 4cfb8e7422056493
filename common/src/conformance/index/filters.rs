//! What a search with a filter must do.

use super::*;

/// Points whose licences, dates, titles and tags differ, so that every rule lets some of them through.
fn varied(prefix: &str, count: usize, seed: u64) -> Vec<Point> {
    let mut points = points(prefix, count, seed);
    for (number, point) in points.iter_mut().enumerate() {
        let code = ["by", "by-nc", "by-nc-sa", "by-nd", ""][number % 5];
        point.payload.attribution = Attribution {
            licence_url: if code.is_empty() { String::new() } else { licence_url(code) },
            taken: if number % 7 == 0 { String::new() } else { format!("2012-{:02}-01 00:00:00.0", number % 12 + 1) },
            title: if number % 3 == 0 { "A+red+boat".into() } else { "a+redboat".into() },
            tags: if number % 2 == 0 { "sea,Caf%C3%A9".into() } else { "caf".into() },
            ..Attribution::default()
        };
    }
    points
}

fn licence_url(code: &str) -> String {
    format!("http://creativecommons.org/licenses/{code}/2.0/")
}

fn rules(rules: &[(&str, &str)]) -> SearchFilter {
    let mut filter = Filter::default();
    rules.iter().for_each(|(key, value)| filter.set(key, value).expect("it is a rule"));
    SearchFilter { filter, keys: None }
}

fn keyed<'a>(keys: impl IntoIterator<Item = &'a str>, filter: SearchFilter) -> SearchFilter {
    SearchFilter { keys: Some(keys.into_iter().map(String::from).collect()), ..filter }
}

fn passes(point: &Point, filter: &SearchFilter) -> bool {
    filter.filter.lets_through(&point.payload.attribution)
        && filter.keys.as_ref().is_none_or(|keys| keys.contains(&point.key))
}

pub async fn a_filtered_search_equals_brute_force_over_payloads(make: &impl AsyncFn() -> Arc<dyn Index>) {
    let index = make().await;
    let mut shards: BTreeMap<i64, Vec<Point>> = BTreeMap::new();
    for (shard, count) in [(1, 1_500), (2, 4_400), (3, 40)] {
        shards.insert(shard, varied(&format!("s{shard}-"), count, shard as u64));
    }
    let some = ["s1-00003", "s2-00000", "s2-04399", "s3-00010", "unknown"];
    let many: Vec<&str> = shards.values().flatten().map(|point| point.key.as_str()).step_by(2).collect();
    let filters = [
        rules(&[("licence", "by,by-nd")]),
        rules(&[("licence_without", "nc")]),
        rules(&[("taken_from", "2012-03-01"), ("taken_before", "2012-05-01")]),
        rules(&[("text", "red,CAFÉ")]),
        rules(&[("licence", "by"), ("text", "sea"), ("taken_from", "2012-06-01")]),
        rules(&[("licence", "us-gov")]),
        keyed(some, SearchFilter::default()),
        keyed(many.iter().copied(), SearchFilter::default()),
        keyed(many, rules(&[("licence_without", "nd,nc")])),
        keyed([], SearchFilter::default()),
        keyed([], rules(&[("text", "sea")])),
    ];
    // A graph only proposes: what a filter lets through is found by other means.
    let hnsw = IndexSection { kind: IndexKind::Hnsw, ..IndexSection::default() };
    for (name, storage) in [("filtered", IndexSection::default()), ("filtered-hnsw", hnsw)] {
        let spec = CollectionSpec { storage, ..collection(name) };
        let id = &spec.id;
        index.ensure(&spec).await.expect("a new collection is made");
        for (shard, points) in &shards {
            index.put(id, at(*shard, 1, 0), shard * 100, points).await.expect("points are put");
        }
        seal(&*index, id, &[1, 2, 3]).await;
        for filter in &filters {
            for (scope, k) in [(None, 20), (Some(vec![1, 3]), 10_000), (None, 10_000), (Some(vec![2, 8]), 1)] {
                let within = |shard: &i64| scope.as_ref().is_none_or(|scope| scope.contains(shard));
                let of_scope = shards.iter().filter(|(shard, _)| within(shard)).flat_map(|(_, points)| points);
                let expected: Vec<Point> = of_scope.filter(|point| passes(point, filter)).cloned().collect();
                let scope = scope.clone().map_or(Scope::All, Scope::Shards);
                let queries = queries(5, k as u64);
                let search = async || index.search(id, &queries, k, &scope, filter).await.expect("a search succeeds");
                let found = search().await;
                assert_eq!(found.len(), 5);
                for (hits, query) in found.iter().zip(queries.values.chunks(DIMS)) {
                    assert_same(hits, &brute_force(expected.iter(), query, k + 50), k);
                    assert!(hits.iter().all(|hit| hit.key[1..2].parse() == Ok(hit.epoch / 100)));
                }
                assert_eq!(search().await, found, "the same question has the same answer");
            }
        }
    }
}

pub async fn ties_among_what_passes_are_ordered_by_key(make: &impl AsyncFn() -> Arc<dyn Index>) {
    let index = make().await;
    let id = made(&*index, "filtered-ties").await;
    let vector = unit(&mut StdRng::seed_from_u64(11));
    let twin = |key: &str, code: &str| {
        let attribution = Attribution { licence_url: licence_url(code), ..Attribution::default() };
        Point { key: key.into(), vector: vector.clone(), payload: Payload { attribution, ..Payload::default() } }
    };
    index.put(&id, at(2, 1, 0), 1, &[twin("b", "by"), twin("é", "by"), twin("B", "by-nc")]).await.expect("put");
    index.put(&id, at(1, 1, 1), 1, &[twin("c", "by"), twin("a", "by-nc"), twin("a/b", "by")]).await.expect("put");
    index.put(&id, at(1, 1, 0), 1, &[twin("z", "by"), twin("0", "by-nc")]).await.expect("put");
    seal(&*index, &id, &[1, 2]).await;
    let queries = Queries { dims: DIMS, values: vector.clone() };
    let licence = rules(&[("licence", "by")]);
    for (filter, k, expected) in [
        (licence.clone(), 8, ["a/b", "b", "c", "z", "é"].as_slice()),
        (licence.clone(), 2, &["a/b", "b"]),
        (keyed(["z", "B", "0"], SearchFilter::default()), 8, &["0", "B", "z"]),
        (keyed(["z", "B", "0"], licence), 8, &["z"]),
    ] {
        let found = index.search(&id, &queries, k, &Scope::All, &filter).await.expect("a search succeeds");
        assert_eq!(keys_of(&found[0]), expected);
    }
}

/// Payloads that were put anew are what a filter goes by once they are sealed.
pub async fn a_filter_goes_by_the_payloads_that_were_sealed_last(make: &impl AsyncFn() -> Arc<dyn Index>) {
    let index = make().await;
    let id = made(&*index, "filtered-again").await;
    let mut points = points("p", 6, 1);
    let mut set = |numbers: &[usize], code: &str| -> Vec<Point> {
        for number in numbers {
            points[*number].payload.attribution =
                Attribution { licence_url: licence_url(code), ..Attribution::default() };
        }
        numbers.iter().map(|number| points[*number].clone()).collect()
    };
    let found = async |code: &str| {
        let filter = rules(&[("licence", code)]);
        let found = index.search(&id, &queries(1, 3), 100, &Scope::All, &filter).await.expect("a search succeeds");
        let mut keys: Vec<String> = found[0].iter().map(|hit| hit.key.clone()).collect();
        keys.sort();
        keys
    };
    index.put(&id, at(1, 1, 0), 1, &set(&[0, 1, 2, 3, 4, 5], "by")).await.expect("points are put");
    seal(&*index, &id, &[1]).await;
    assert_eq!((found("by").await.len(), found("by-nc").await.len()), (6, 0));
    index.put(&id, at(1, 1, 0), 2, &set(&[0, 1], "by-nc")).await.expect("points are put again");
    // What loses changes nothing.
    index.put(&id, at(1, 1, 0), 0, &set(&[2], "by-nd")).await.expect("an older put is no error");
    // To another shard.
    index.put(&id, at(2, 1, 0), 2, &set(&[3], "by-nc")).await.expect("a point moves");
    index.delete(&id, &Doomed::Keys { keys: vec!["p00005".into()], up_to: 2 }).await.expect("a point is deleted");
    seal(&*index, &id, &[1, 2]).await;
    assert_eq!(found("by").await, ["p00002", "p00004"]);
    assert_eq!(found("by-nc").await, ["p00000", "p00001", "p00003"]);
    assert_eq!(found("by-nd").await, Vec::<String>::new());
}
