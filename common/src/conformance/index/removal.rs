//! Points and collections that are gone.

use super::*;

pub async fn a_deleted_point_is_found_no_more_once_its_shard_is_sealed(make: &impl AsyncFn() -> Arc<dyn Index>) {
    let index = make().await;
    let id = made(&*index, "taken-down").await;
    let all = points("picture", 20, 31);
    index.put(&id, at(1, 1, 0), 1, &all[..10]).await.expect("points are put");
    index.put(&id, at(2, 1, 0), 1, &all[10..]).await.expect("points are put");
    seal(&*index, &id, &[1, 2]).await;
    let gone = &all[7];
    let query = Queries { dims: DIMS, values: gone.vector.clone() };
    let found = async || {
        let hits = index.search(&id, &query, 20, &Scope::All, &SearchFilter::default()).await;
        hits.expect("a search is answered").remove(0).into_iter().map(|hit| hit.key).collect::<Vec<_>>()
    };
    assert_eq!(found().await[0], gone.key);
    let doomed = Doomed::Keys { keys: vec![gone.key.clone()], up_to: Epoch::MAX };
    index.delete(&id, &doomed).await.expect("a point is deleted");
    seal(&*index, &id, &[1]).await;
    let left = found().await;
    assert!(left.len() == 19 && !left.contains(&gone.key), "{left:?}");
}

pub async fn a_removed_collection_is_gone_and_can_be_made_anew(make: &impl AsyncFn() -> Arc<dyn Index>) {
    let index = make().await;
    let (id, beside) = (made(&*index, "removed").await, made(&*index, "stays").await);
    let all = points("picture", 2_500, 32);
    for collection in [&id, &beside] {
        index.put(collection, at(1, 1, 0), 1, &all).await.expect("points are put");
        seal(&*index, collection, &[1]).await;
    }
    index.alias("removed-alias", &id).await.expect("an alias is set");
    index.alias("stays-alias", &beside).await.expect("an alias is set");
    for _ in 0..2 {
        index.remove(&id).await.expect("a collection is removed, again too");
    }
    assert_eq!(index.resolve("removed-alias").await.expect("an alias is resolved"), None);
    assert_eq!(index.resolve("stays-alias").await.expect("an alias is resolved"), Some(beside.clone()));
    let refused = index.put(&id, at(1, 1, 0), 2, &all[..1]).await;
    assert!(refused.is_err_and(|error| error.is_permanent()), "nobody made it again");
    let counted = index.counts(&beside, &Scope::All).await.expect("points are counted");
    assert_eq!(counted, [(at(1, 1, 0), 2_500)]);

    // Other settings are no change of it any more.
    let storage = IndexSection { kind: IndexKind::Hnsw, ..IndexSection::default() };
    index.ensure(&CollectionSpec { storage, ..collection("removed") }).await.expect("it is made anew");
    assert_eq!(index.counts(&id, &Scope::All).await.expect("points are counted"), []);
    index.put(&id, at(1, 1, 0), 1, &all[..3]).await.expect("points are put");
    seal(&*index, &id, &[1]).await;
    let hits = index.search(&id, &queries(1, 33), 10, &Scope::All, &SearchFilter::default()).await;
    assert_eq!(hits.expect("a search is answered")[0].len(), 3);
}
