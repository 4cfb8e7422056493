//! What every index refuses before it stores or searches anything.

use imagefleet_common::{
    error::{Error, Result},
    ids::CollectionId,
    ports::index::{Point, Queries},
};

/// An index may have been lost as a whole, or replaced by an empty one.
pub(super) fn no_collection(id: &CollectionId) -> Error {
    Error::permanent(format!(
        "the index has no collection {id}: nothing has been embedded for it yet, or it was lost; then `imagefleet verify \
         FILE --repair` with a job file of it embeds its pictures again"
    ))
}

/// How far from 1 the length of a unit vector may be.
const UNIT_TOLERANCE: f64 = 1e-3;

/// A vector that is not finite, not of unit length or of other dimensions never leaves the process.
pub(super) fn check_point(point: &Point, dims: usize) -> Result<()> {
    let Point { key, vector, .. } = point;
    let refused = |why: String| Err(Error::permanent(format!("put point {key:?}: {why}")));
    if key.is_empty() || key.contains('\0') {
        return refused("its key is empty or contains NUL".to_owned());
    }
    if vector.len() != dims {
        return refused(format!("its vector has {} values instead of {dims}", vector.len()));
    }
    if !vector.iter().all(|value| value.is_finite()) {
        return refused("its vector is not finite".to_owned());
    }
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if (length - 1.0).abs() > UNIT_TOLERANCE {
        return refused(format!("its vector's length is {length:.6} instead of 1"));
    }
    Ok(())
}

pub(super) fn check_queries(queries: &Queries, dims: usize) -> Result<()> {
    if queries.dims != dims || !queries.values.len().is_multiple_of(dims) {
        let (found, values) = (queries.dims, queries.values.len());
        return Err(Error::permanent(format!("search: {values} values of {found} dimensions instead of {dims}")));
    }
    if !queries.values.iter().all(|value| value.is_finite()) {
        return Err(Error::permanent("search: a query is not finite"));
    }
    Ok(())
}
