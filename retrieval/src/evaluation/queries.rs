//! Which articles of a file are searched for.

use super::split::split;
use crate::articles::Article;
use imagefleet_common::{Error, Result, job::spec::JobSpec};

/// Every one, or those of the evaluation's part, in its order. Where nothing could be evaluated it is a permanent error.
pub fn queries(spec: &JobSpec, articles: Vec<Article>) -> Result<Vec<Article>> {
    let Some(section) = &spec.evaluation else { return Ok(articles) };
    let file = &spec.articles.file;
    let rows = split(articles.len(), section.seed).part(section.split);
    if rows.is_empty() {
        let (part, count) = (section.split, articles.len());
        return Err(Error::permanent(format!(
            "evaluate the {part} part of {file}: {count} articles are too few to give it one; say split = \"all\""
        )));
    }
    let mut articles: Vec<Option<Article>> = articles.into_iter().map(Some).collect();
    let queries: Vec<Article> = rows.into_iter().filter_map(|row| articles[row].take()).collect();
    if queries.iter().all(|article| article.image_id.is_empty()) {
        return Err(Error::permanent(format!(
            "evaluate {file}: no article names its picture; give them an image_id, or leave [evaluation] out of the job file"
        )));
    }
    Ok(queries)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

    use super::*;
    use imagefleet_common::job::spec::{EvaluationSection, Part};

    fn articles(count: usize, image_id: &str) -> Vec<Article> {
        (0..count).map(|n| Article { id: n.to_string(), image_id: image_id.to_owned(), ..Article::default() }).collect()
    }

    fn spec(evaluation: Option<EvaluationSection>) -> JobSpec {
        let text = r#"{"name": "n", "corpus": {"name": "c", "source": "s", "layout": "folder"},
            "model": {"files": {"path": "m"}}, "articles": {"file": "a.csv"}, "output": {"directory": "o"}}"#;
        JobSpec { evaluation, ..serde_json::from_str(text).unwrap() }
    }

    fn part(split: Part) -> JobSpec {
        spec(Some(EvaluationSection { split, ..EvaluationSection::default() }))
    }

    fn ids(queries: &[Article]) -> Vec<&str> {
        queries.iter().map(|article| article.id.as_str()).collect()
    }

    #[test]
    fn a_part_has_its_own_articles_in_the_permutations_order() {
        let of = |split| queries(&part(split), articles(10, "x")).unwrap();
        let [train, validation, test] = [Part::Train, Part::Validation, Part::Test].map(of);
        let permuted = split(10, 28);
        let expected = |part| permuted.part(part).iter().map(usize::to_string).collect::<Vec<_>>();
        assert_eq!(ids(&train), expected(Part::Train));
        assert_eq!(ids(&validation), expected(Part::Validation));
        assert_eq!(ids(&test), expected(Part::Test));
        assert_eq!(ids(&of(Part::All)), ids(&articles(10, "x")));
        assert_eq!(ids(&queries(&spec(None), articles(3, "")).unwrap()), ["0", "1", "2"]);
    }

    #[test]
    fn an_evaluation_of_nothing_is_refused_with_the_remedy() {
        let said = queries(&part(Part::Validation), articles(9, "x")).unwrap_err().to_string();
        assert!(
            said.contains("the validation part of a.csv: 9 articles are too few") && said.contains("split = \"all\"")
        );
        let said = queries(&part(Part::All), articles(9, "")).unwrap_err().to_string();
        assert!(said.contains("no article names its picture") && said.contains("leave [evaluation] out"), "{said}");
    }
}
