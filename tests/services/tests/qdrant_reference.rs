//! The server of Qdrant's protocol answers as Qdrant's own client does in its local mode, which is an implementation of
//! its own: `scripts/fixtures/qdrant.py` recorded the calls and the answers.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use imagefleet_test_services::qdrant::{Running, Settings, Store};
use qdrant_client::{
    Qdrant,
    qdrant::{
        Condition, CountPoints, CreateCollection, CreateFieldIndexCollection, DeletePoints, DenseVector, Distance,
        FacetCounts, FieldType, Filter, GetPoints, MinShould, PayloadExcludeSelector, PayloadIncludeSelector, PointId,
        PointStruct, PointsIdsList, PointsSelector, Query, QueryBatchPoints, QueryPoints, Range, RetrievedPoint,
        ScrollPoints, SearchParams, UpsertPoints, Value as Stored, VectorInput, VectorParams, VectorsConfig,
        WithPayloadSelector, WithVectorsSelector, condition::ConditionOneOf, facet_value, r#match::MatchValue,
        point_id::PointIdOptions, points_selector::PointsSelectorOneOf, query, value::Kind, vector_input,
        vector_output, vectors_config, with_payload_selector, with_vectors_selector,
    },
};
use serde_json::{Value, json};
use std::collections::HashMap;

const NAME: &str = "reference";
/// Both compute in f32, in another order.
const TOLERANCE: f64 = 1e-5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_answers_as_qdrants_client_does() {
    let running = Running::start(Store::in_memory(), Settings::default()).await;
    let client = Qdrant::from_url(&running.url()).skip_compatibility_check().build().unwrap();
    let mut lines = include_str!("qdrant_reference.json").lines();
    let head: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    make(&client, &head).await;
    let mut asked: HashMap<String, usize> = HashMap::new();
    for (number, line) in lines.enumerate() {
        let call: Value = serde_json::from_str(line).unwrap();
        let place = format!("call {number}: {line}");
        *asked.entry(call["call"].as_str().unwrap().to_owned()).or_default() += 1;
        let answer = answer(&client, &call).await;
        match answer {
            Err(error) => assert_eq!(call["error"], json!(true), "{error}\n{place}"),
            Ok(found) => assert_same(&found, &call["answer"], &place),
        }
    }
    assert!(asked.len() == 7 && asked.values().all(|times| *times >= 10), "{asked:?}");
}

async fn make(client: &Qdrant, head: &Value) {
    let (size, distance) = (head["dims"].as_u64().unwrap(), Distance::Dot as i32);
    let params = VectorParams { size, distance, ..VectorParams::default() };
    let made = CreateCollection {
        collection_name: NAME.to_owned(),
        vectors_config: Some(VectorsConfig { config: Some(vectors_config::Config::Params(params)) }),
        ..CreateCollection::default()
    };
    client.create_collection(made).await.unwrap();
    for (field, kind) in head["indexed"].as_object().unwrap() {
        let field_type = match kind.as_str().unwrap() {
            "integer" => FieldType::Integer,
            "bool" => FieldType::Bool,
            _ => FieldType::Keyword,
        };
        let index = CreateFieldIndexCollection {
            collection_name: NAME.to_owned(),
            wait: Some(true),
            field_name: field.clone(),
            field_type: Some(field_type as i32),
            ..CreateFieldIndexCollection::default()
        };
        client.create_field_index(index).await.unwrap();
    }
}

async fn answer(client: &Qdrant, call: &Value) -> Result<Value, qdrant_client::QdrantError> {
    let collection_name = NAME.to_owned();
    let filter = || filter(&call["filter"]);
    Ok(match call["call"].as_str().unwrap() {
        "upsert" => {
            let points = call["points"].as_array().unwrap().iter().map(point).collect();
            let update_filter = self::filter(&call["condition"]);
            let request =
                UpsertPoints { collection_name, wait: Some(true), points, update_filter, ..UpsertPoints::default() };
            client.upsert_points(request).await?;
            Value::Null
        }
        "delete" => {
            let chosen = match call.get("ids") {
                Some(ids) => PointsSelectorOneOf::Points(PointsIdsList { ids: self::ids(ids) }),
                None => PointsSelectorOneOf::Filter(filter().unwrap()),
            };
            let points = Some(PointsSelector { points_selector_one_of: Some(chosen) });
            let request = DeletePoints { collection_name, wait: Some(true), points, ..DeletePoints::default() };
            client.delete_points(request).await?;
            Value::Null
        }
        "count" => {
            let request =
                CountPoints { collection_name, filter: filter(), exact: Some(true), ..CountPoints::default() };
            json!(client.count(request).await?.result.unwrap().count)
        }
        "scroll" => {
            let request = ScrollPoints {
                collection_name,
                filter: filter(),
                limit: Some(call["limit"].as_u64().unwrap() as u32),
                offset: Some(&call["offset"]).filter(|offset| !offset.is_null()).map(id),
                with_payload: Some(selector(&call["payload"])),
                with_vectors: Some(vectors(call["vectors"].as_bool().unwrap())),
                ..ScrollPoints::default()
            };
            let found = client.scroll(request).await?;
            let points: Vec<Value> = found.result.into_iter().map(record).collect();
            json!({"points": points, "next": found.next_page_offset.map(id_json)})
        }
        "facet" => {
            let request = FacetCounts {
                collection_name,
                key: call["key"].as_str().unwrap().to_owned(),
                filter: filter(),
                limit: call["limit"].as_u64(),
                exact: Some(true),
                ..FacetCounts::default()
            };
            let value = |value| match value {
                facet_value::Variant::StringValue(text) => json!(text),
                facet_value::Variant::IntegerValue(number) => json!(number),
                facet_value::Variant::BoolValue(flag) => json!(flag),
            };
            let hits = client.facet(request).await?.hits.into_iter();
            hits.map(|hit| json!([value(hit.value.unwrap().variant.unwrap()), hit.count])).collect()
        }
        "query" => {
            let data = floats(&call["vector"]);
            let input = VectorInput { variant: Some(vector_input::Variant::Dense(DenseVector { data })) };
            let query = QueryPoints {
                collection_name: collection_name.clone(),
                query: Some(Query { variant: Some(query::Variant::Nearest(input)) }),
                filter: filter(),
                params: Some(SearchParams { exact: Some(true), ..SearchParams::default() }),
                limit: call["limit"].as_u64(),
                offset: call["offset"].as_u64(),
                with_payload: Some(selector(&call["payload"])),
                ..QueryPoints::default()
            };
            // As one, and twice in a batch.
            let query_points = vec![query.clone(), query.clone()];
            let batch = QueryBatchPoints { collection_name, query_points, ..QueryBatchPoints::default() };
            let batch = client.query_batch(batch).await?.result;
            let found = client.query(query).await?.result;
            assert!(batch.len() == 2 && batch.iter().all(|list| list.result == found));
            let scored = |point: qdrant_client::qdrant::ScoredPoint| json!({"id": id_json(point.id.unwrap()), "payload": payload_json(point.payload), "score": point.score});
            found.into_iter().map(scored).collect()
        }
        "get" => {
            let request = GetPoints {
                collection_name,
                ids: ids(&call["ids"]),
                with_payload: Some(selector(&call["payload"])),
                with_vectors: Some(vectors(true)),
                ..GetPoints::default()
            };
            client.get_points(request).await?.result.into_iter().map(record).collect()
        }
        other => panic!("an unknown call, {other}"),
    })
}

/// Equal, but that numbers with a point may differ a little, and that neighbours in a list of scores may stand
/// the other way round where their scores do.
fn assert_same(found: &Value, expected: &Value, place: &str) {
    match (found, expected) {
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{found:?}\n{place}");
            let scores = |points: &[Value]| points.iter().map(|point| point["score"].clone()).collect::<Vec<_>>();
            if expected.first().is_some_and(|point| point["score"].is_number()) {
                scores(found).iter().zip(&scores(expected)).for_each(|(a, b)| assert_same(a, b, place));
            }
            found.iter().zip(expected).for_each(|(found, expected)| assert_same(found, expected, place));
        }
        (Value::Object(found), Value::Object(expected)) => {
            assert!(found.keys().eq(expected.keys()), "{found:?}\n{place}");
            found.iter().for_each(|(key, value)| assert_same(value, &expected[key], place));
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() <= TOLERANCE, "{a} instead of {b}\n{place}");
        }
        _ => assert_eq!(found, expected, "{place}"),
    }
}

fn id(value: &Value) -> PointId {
    let options = match value.as_u64() {
        Some(number) => PointIdOptions::Num(number),
        None => PointIdOptions::Uuid(value.as_str().unwrap().to_owned()),
    };
    PointId { point_id_options: Some(options) }
}

fn ids(values: &Value) -> Vec<PointId> {
    values.as_array().unwrap().iter().map(id).collect()
}

fn id_json(id: PointId) -> Value {
    match id.point_id_options.unwrap() {
        PointIdOptions::Num(number) => json!(number),
        PointIdOptions::Uuid(text) => json!(text),
    }
}

fn floats(values: &Value) -> Vec<f32> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
}

fn point(point: &Value) -> PointStruct {
    let payload: HashMap<String, Stored> =
        point["payload"].as_object().unwrap().iter().map(|(key, value)| (key.clone(), stored(value))).collect();
    PointStruct::new(id(&point["id"]), floats(&point["vector"]), payload)
}

fn stored(value: &Value) -> Stored {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Kind::IntegerValue(integer),
            None => Kind::DoubleValue(number.as_f64().unwrap()),
        },
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(values) => return values.iter().map(stored).collect::<Vec<_>>().into(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (key.clone(), stored(value))).collect();
            Kind::StructValue(qdrant_client::qdrant::Struct { fields })
        }
    };
    Stored { kind: Some(kind) }
}

fn payload_json(payload: HashMap<String, Stored>) -> Value {
    payload.into_iter().map(|(key, value)| (key, json_of(value))).collect()
}

fn json_of(value: Stored) -> Value {
    match value.kind.unwrap() {
        Kind::NullValue(_) => Value::Null,
        Kind::BoolValue(flag) => json!(flag),
        Kind::IntegerValue(number) => json!(number),
        Kind::DoubleValue(number) => json!(number),
        Kind::StringValue(text) => json!(text),
        Kind::ListValue(list) => list.values.into_iter().map(json_of).collect(),
        Kind::StructValue(object) => payload_json(object.fields),
    }
}

fn record(point: RetrievedPoint) -> Value {
    let vector = point.vectors.and_then(|vectors| vectors.get_vector()).map(|vector| match vector {
        vector_output::Vector::Dense(dense) => dense.data,
        other => panic!("{other:?}"),
    });
    json!({"id": id_json(point.id.unwrap()), "payload": payload_json(point.payload), "vector": vector})
}

fn selector(value: &Value) -> WithPayloadSelector {
    use with_payload_selector::SelectorOptions::{Enable, Exclude, Include};
    let fields = |key| value[key].as_array().unwrap().iter().map(|field| field.as_str().unwrap().to_owned()).collect();
    let options = match value.as_bool() {
        Some(enable) => Enable(enable),
        None if value.get("include").is_some() => Include(PayloadIncludeSelector { fields: fields("include") }),
        None => Exclude(PayloadExcludeSelector { fields: fields("exclude") }),
    };
    WithPayloadSelector { selector_options: Some(options) }
}

fn vectors(enable: bool) -> WithVectorsSelector {
    WithVectorsSelector { selector_options: Some(with_vectors_selector::SelectorOptions::Enable(enable)) }
}

fn filter(value: &Value) -> Option<Filter> {
    let parts = value.as_object()?;
    let conditions =
        |value: Option<&Value>| value.map_or(Vec::new(), |all| all.as_array().unwrap().iter().map(condition).collect());
    let min_should = parts.get("min_should").map(|some| MinShould {
        conditions: conditions(some.get("conditions")),
        min_count: some["min_count"].as_u64().unwrap(),
    });
    let (must, should) = (conditions(parts.get("must")), conditions(parts.get("should")));
    Some(Filter { must, should, must_not: conditions(parts.get("must_not")), min_should })
}

fn condition(value: &Value) -> Condition {
    let text = |key: &str| value[key].as_str().unwrap().to_owned();
    if value.get("filter").is_some() {
        return Condition { condition_one_of: filter(&value["filter"]).map(ConditionOneOf::Filter) };
    }
    if value.get("has_id").is_some() {
        return Condition::has_id(ids(&value["has_id"]));
    }
    if value.get("is_empty").is_some() {
        return Condition::is_empty(text("is_empty"));
    }
    if value.get("is_null").is_some() {
        return Condition::is_null(text("is_null"));
    }
    if let Some(range) = value.get("range") {
        let bound = |key: &str| range.get(key).and_then(Value::as_f64);
        let range = Range { lt: bound("lt"), gt: bound("gt"), gte: bound("gte"), lte: bound("lte") };
        return Condition::range(text("key"), range);
    }
    let wanted = match (value.get("match"), value.get("any"), value.get("except")) {
        (Some(Value::String(text)), ..) => MatchValue::Keyword(text.clone()),
        (Some(Value::Bool(flag)), ..) => MatchValue::Boolean(*flag),
        (Some(number), ..) => MatchValue::Integer(number.as_i64().unwrap()),
        (_, Some(any), _) => list(any),
        (.., except) => match list(except.unwrap()) {
            MatchValue::Keywords(texts) => MatchValue::ExceptKeywords(texts),
            MatchValue::Integers(numbers) => MatchValue::ExceptIntegers(numbers),
            other => panic!("{other:?}"),
        },
    };
    Condition::matches(text("key"), wanted)
}

fn list(values: &Value) -> MatchValue {
    let values = values.as_array().unwrap();
    match values.iter().map(Value::as_i64).collect::<Option<Vec<i64>>>() {
        Some(numbers) => numbers.into(),
        None => values.iter().map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<String>>().into(),
    }
}
