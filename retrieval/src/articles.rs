//! Articles: the rows of a NewsImages CSV file. An article's title is the text that is searched for.
//!
//! Fields are kept byte for byte: nothing is trimmed, unescaped or repaired, whatever they hold.

use csv::{ByteRecord, ReaderBuilder};
use imagefleet_common::{Context, Error, Result};
use std::collections::HashMap;

/// The columns of a file without a header, in this order.
const COLUMNS: [&str; 6] = ["article_id", "article_url", "article_title", "article_tags", "image_id", "image_url"];
/// The columns that a header must name.
const REQUIRED: [&str; 2] = ["article_id", "article_title"];
const BOM: &[u8] = b"\xef\xbb\xbf";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Article {
    /// Unique in its file.
    pub id: String,
    pub url: String,
    pub title: String,
    pub tags: String,
    /// The picture that was published with the article.
    pub image_id: String,
    pub image_url: String,
}

/// The articles of a CSV file (RFC 4180, UTF-8, with or without BOM), in its order. `name` names the file in errors,
/// which are permanent.
///
/// A first record with a field `article_id` is the header: columns then stand in any order, others than ours are passed
/// over, and those of ours that are not there are empty. Without a header there are the six columns of the release.
pub fn read_articles(bytes: &[u8], name: &str) -> Result<Vec<Article>> {
    let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
    if let Some(line) = unclosed_quote(bytes) {
        return Err(Error::permanent(format!("{name}:{line}: the quote that opens here is never closed")));
    }
    // `flexible`, so that it is this function that says what is wrong with a record of another length.
    let mut records = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes).into_byte_records();
    let mut rows = Rows { name, columns: Columns::without_header(), seen: HashMap::new() };
    let mut articles = Vec::new();
    let mut line = Lines { bytes, at: 0, line: 1 };
    for (number, record) in (&mut records).enumerate() {
        let record = record.permanent(|| format!("read articles {name}"))?;
        let line = line.of(&record);
        if number == 0 && record.iter().any(|field| field == COLUMNS[0].as_bytes()) {
            rows.columns = Columns::of_header(&record).map_err(|problem| rows.wrong(line, problem))?;
        } else {
            articles.push(rows.article(&record, line)?);
        }
    }
    if articles.is_empty() {
        return Err(Error::permanent(format!("{name}: there are no articles in the file")));
    }
    Ok(articles)
}

/// Where each of our columns stands in a record.
struct Columns {
    /// Fields of a record.
    width: usize,
    at: [Option<usize>; COLUMNS.len()],
}

impl Columns {
    fn without_header() -> Self {
        Self { width: COLUMNS.len(), at: std::array::from_fn(Some) }
    }

    fn of_header(header: &ByteRecord) -> Result<Self, String> {
        for column in COLUMNS {
            if header.iter().filter(|field| *field == column.as_bytes()).count() > 1 {
                return Err(format!("the header names the column {column} twice"));
            }
        }
        let at = COLUMNS.map(|column| header.iter().position(|field| field == column.as_bytes()));
        match REQUIRED.into_iter().find(|column| !header.iter().any(|field| field == column.as_bytes())) {
            Some(missing) => Err(format!("the header has no column {missing}")),
            None => Ok(Self { width: header.len(), at }),
        }
    }
}

struct Rows<'a> {
    name: &'a str,
    columns: Columns,
    /// Line of each id.
    seen: HashMap<String, u64>,
}

impl Rows<'_> {
    fn wrong(&self, line: u64, problem: impl std::fmt::Display) -> Error {
        Error::permanent(format!("{}:{line}: {problem}", self.name))
    }

    fn article(&mut self, record: &ByteRecord, line: u64) -> Result<Article> {
        let (width, found) = (self.columns.width, record.len());
        if found != width {
            return Err(self.wrong(line, format_args!("expected {width} fields, found {found}")));
        }
        let field = |column: usize| {
            let bytes = self.columns.at[column].map_or(&[][..], |at| &record[at]);
            let text = std::str::from_utf8(bytes).map(str::to_owned);
            text.map_err(|error| self.wrong(line, format_args!("{} is not UTF-8: {error}", COLUMNS[column])))
        };
        let article = Article {
            id: field(0)?,
            url: field(1)?,
            title: field(2)?,
            tags: field(3)?,
            image_id: field(4)?,
            image_url: field(5)?,
        };
        if article.id.trim().is_empty() {
            return Err(self.wrong(line, "the article_id is missing"));
        }
        if let Some(first) = self.seen.insert(article.id.clone(), line) {
            let id = &article.id;
            return Err(self.wrong(line, format_args!("the article_id {id:?} stands in line {first} already")));
        }
        Ok(article)
    }
}

/// Line numbers of records, counted here because the reader's own are those of the line *end* before a record, which
/// empty lines between records move away from it.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line on which this record, the next one of the file, begins.
    fn of(&mut self, record: &ByteRecord) -> u64 {
        let start = record.position().map_or(self.at, |position| position.byte() as usize);
        let skipped = self.bytes[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let begin = start + skipped;
        self.line += self.bytes[self.at..begin].iter().filter(|byte| **byte == b'\n').count() as u64;
        self.at = begin;
        self.line
    }
}

/// The line of a quote that is still open at the end of the file. The CSV reader takes all that follows such a quote
/// for one field, so that rows would vanish without a word.
fn unclosed_quote(bytes: &[u8]) -> Option<u64> {
    enum At {
        FieldStart,
        Bare,
        Quoted {
            since: u64,
        },
        /// After a quote within a quoted field: its end, or the first half of a doubled quote.
        Closing {
            since: u64,
        },
    }
    let mut at = At::FieldStart;
    let mut line = 1;
    for byte in bytes {
        at = match (at, byte) {
            (At::FieldStart, b'"') => At::Quoted { since: line },
            (At::Quoted { since }, b'"') => At::Closing { since },
            (At::Closing { since }, b'"') => At::Quoted { since },
            (At::Quoted { since }, _) => At::Quoted { since },
            (_, b',' | b'\n' | b'\r') => At::FieldStart,
            (_, _) => At::Bare,
        };
        line += u64::from(*byte == b'\n');
    }
    match at {
        At::Quoted { since } => Some(since),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

    use super::*;

    fn refused(bytes: impl AsRef<[u8]>) -> String {
        let error = read_articles(bytes.as_ref(), "a.csv").unwrap_err();
        assert!(error.is_permanent());
        error.to_string()
    }

    #[test]
    fn titles_come_out_byte_for_byte() {
        let csv = "1,u,\"  \"\"Quoted\"\", with comma \",t,i,v\n2,u,caf\u{c3}\u{a9} &amp; \u{1f600} \"so\",t,i,v\r\n3,u,\"two\r\nlines\",,,\n";
        let titles: Vec<String> =
            read_articles(csv.as_bytes(), "a.csv").unwrap().into_iter().map(|a| a.title).collect();
        assert_eq!(titles, ["  \"Quoted\", with comma ", "caf\u{c3}\u{a9} &amp; \u{1f600} \"so\"", "two\r\nlines"]);
    }

    #[test]
    fn without_a_header_the_six_columns_stand_in_the_order_of_the_release() {
        let articles = read_articles(b"7,url,title,tags,image,image url", "a.csv").unwrap();
        let [id, url, title, tags, image_id, image_url] =
            ["7", "url", "title", "tags", "image", "image url"].map(String::from);
        assert_eq!(articles, [Article { id, url, title, tags, image_id, image_url }]);
    }

    #[test]
    fn a_header_puts_columns_into_any_order_and_may_name_others() {
        let csv = b"\xef\xbb\xbfarticle_title,note,article_id\nA title,ours,7\n";
        let articles = read_articles(csv, "a.csv").unwrap();
        assert_eq!(articles, [Article { id: "7".into(), title: "A title".into(), ..Article::default() }]);
    }

    #[test]
    fn a_bom_is_no_part_of_the_first_id() {
        assert_eq!(read_articles(b"\xef\xbb\xbf7,,t,,,", "a.csv").unwrap()[0].id, "7");
    }

    #[test]
    fn an_id_that_comes_again_is_refused_with_both_lines() {
        assert_eq!(
            refused("1,,\"two\nlines\",,,\n2,,t,,,\n\n1,,t,,,\n"),
            "a.csv:5: the article_id \"1\" stands in line 1 already"
        );
    }

    #[test]
    fn a_missing_id_is_refused_with_its_line() {
        assert_eq!(refused("1,,t,,,\r\n\r\n ,,t,,,\r\n"), "a.csv:3: the article_id is missing");
    }

    #[test]
    fn a_record_of_another_length_is_refused_with_its_line() {
        assert_eq!(refused("1,,t,,,\n2,,an unquoted, comma,,,\n"), "a.csv:2: expected 6 fields, found 7");
        assert_eq!(refused("article_id,article_title\n1,t\n2\n"), "a.csv:3: expected 2 fields, found 1");
    }

    #[test]
    fn a_file_without_articles_is_refused() {
        for empty in ["", "\u{feff}", "\n\n", "article_id,article_title\n"] {
            assert_eq!(refused(empty), "a.csv: there are no articles in the file");
        }
    }

    #[test]
    fn a_header_without_a_needed_column_or_with_one_twice_is_refused() {
        assert_eq!(refused("article_id,title\n1,t\n"), "a.csv:1: the header has no column article_title");
        assert_eq!(
            refused("article_id,article_title,article_id\n1,t,1\n"),
            "a.csv:1: the header names the column article_id twice"
        );
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_refused_with_line_and_column() {
        let message = refused(b"1,,t,,,\n2,,caf\xe9,,,\n");
        assert!(message.starts_with("a.csv:2: article_title is not UTF-8"), "{message}");
    }

    #[test]
    fn a_quote_that_is_never_closed_is_refused_where_it_opens() {
        // As one field, the rest of the file would make a good record of six.
        assert_eq!(
            refused("1,,t,,,v\n2,,t,,,\"v\n3,,t,,,v\n4,,t,,,v\n"),
            "a.csv:2: the quote that opens here is never closed"
        );
        assert!(read_articles(b"1,,an \"odd quote,,,\"a \"\"b\"\"\"\n2,,t,,,v", "a.csv").is_ok());
    }
}
