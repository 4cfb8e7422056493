#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use super::*;

fn filter(rules: &[(&str, &str)]) -> Filter {
    let mut filter = Filter::default();
    for (key, value) in rules {
        filter.set(key, value).unwrap();
    }
    filter
}

fn licensed(code: &str) -> Attribution {
    let licence_url = format!("http://creativecommons.org/licenses/{code}/2.0/");
    Attribution { licence_url, ..Attribution::default() }
}

fn taken(taken: &str) -> Attribution {
    Attribution { taken: taken.into(), ..Attribution::default() }
}

fn titled(title: &str, tags: &str) -> Attribution {
    Attribution { title: title.into(), tags: tags.into(), ..Attribution::default() }
}

#[track_caller]
fn objects(rules: &[(&str, &str)], picture: &Attribution, objection: &str) {
    assert_eq!(filter(rules).objection(picture).as_deref(), Some(objection));
    assert!(!filter(rules).lets_through(picture));
}

#[track_caller]
fn passes(rules: &[(&str, &str)], picture: &Attribution) {
    assert_eq!(filter(rules).objection(picture), None);
    assert!(filter(rules).lets_through(picture));
}

#[test]
fn no_rule_lets_everything_through() {
    assert!(Filter::default().is_empty());
    passes(&[], &Attribution::default());
    for key in Key::ALL {
        let value = match key {
            Key::Licence => "by",
            Key::LicenceWithout => "nc",
            Key::TakenFrom | Key::TakenBefore => "2012-05-06",
            Key::Text => "boat",
        };
        assert!(!filter(&[(key.name(), value)]).is_empty(), "{key:?}");
    }
}

#[test]
fn only_the_licences_of_the_list_pass() {
    let rules = [("licence", "by,by-sa")];
    passes(&rules, &licensed("by"));
    passes(&rules, &licensed("by-sa"));
    objects(&rules, &licensed("by-nc-sa"), "licence: by-nc-sa is not one of by, by-sa");
}

#[test]
fn a_licence_with_one_of_the_elements_is_kept_out() {
    let rules = [("licence_without", "nd,nc")];
    passes(&rules, &licensed("by-sa"));
    objects(&rules, &licensed("by-nc-sa"), "licence_without: by-nc-sa has nc");
    objects(&rules, &licensed("by-nd"), "licence_without: by-nd has nd");
    objects(&[("licence", "by-nc,by"), ("licence_without", "nc")], &licensed("by-nc"), "licence_without: by-nc has nc");
}

#[test]
fn a_picture_whose_licence_is_not_known_is_kept_out_by_any_rule_about_licences() {
    for rule in [("licence", "by"), ("licence_without", "nc")] {
        let name = rule.0;
        objects(&[rule], &Attribution::default(), &format!("{name}: the picture's licence is not known"));
        let unknown = Attribution { licence: "All Rights Reserved".into(), ..Attribution::default() };
        objects(&[rule], &unknown, &format!("{name}: \"All Rights Reserved\" is no known licence"));
    }
    passes(&[("taken_from", "2012-01-01")], &taken("2012-01-01 00:00:00.0"));
}

#[test]
fn dates_are_compared_by_day_from_the_first_up_to_but_without_the_last() {
    let rules = [("taken_from", "2012-05-06"), ("taken_before", "2012-05-08")];
    for inside in ["2012-05-06 00:00:00.0", "2012-05-07", "2012-05-07 23:59:59.0"] {
        passes(&rules, &taken(inside));
    }
    objects(&rules, &taken("2012-05-05 23:59:59.0"), "taken_from: 2012-05-05 is before 2012-05-06");
    objects(&rules, &taken("2012-05-08 00:00:00.0"), "taken_before: 2012-05-08 is not before 2012-05-08");
    passes(&rules[..1], &taken("2030-01-01"));
    passes(&rules[1..], &taken("1930-01-01"));
}

#[test]
fn a_picture_without_a_date_is_kept_out_by_any_rule_about_dates() {
    for rule in [("taken_from", "1900-01-01"), ("taken_before", "2100-01-01")] {
        objects(&[rule], &taken(""), &format!("{}: when the picture was taken is not known", rule.0));
        for broken in ["2012", "2012-02-30 00:00:00.0", "long ago, far", "2012-05-0é"] {
            objects(&[rule], &taken(broken), &format!("{}: {broken:?} begins with no date", rule.0));
        }
    }
}

#[test]
fn every_word_must_stand_in_title_or_tags_as_a_whole_word_in_either_case() {
    let rules = [("text", "Boat,RED")];
    passes(&rules, &titled("A+red+boat", ""));
    passes(&rules, &titled("Red%21", "sea,fishing+BOAT"));
    passes(&rules, &titled("", "red-boat"));
    objects(&rules, &titled("A+red+boathouse", "boats"), "text: neither title nor tags have the word \"boat\"");
    objects(&rules, &Attribution::default(), "text: neither title nor tags have the word \"boat\"");
    passes(&[("text", "CAFÉ,写真,7")], &titled("Caf%C3%A9+7", "%E5%86%99%E7%9C%9F"));
    objects(&[("text", "c3")], &titled("Caf%C3%A9", ""), "text: neither title nor tags have the word \"c3\"");
}

#[test]
fn all_rules_must_hold() {
    let rules = [("licence", "by"), ("taken_from", "2012-01-01"), ("text", "boat")];
    let good = Attribution { taken: "2012-05-06".into(), title: "boat".into(), ..licensed("by") };
    passes(&rules, &good);
    for bad in [
        Attribution { licence_url: String::new(), ..good.clone() },
        Attribution { taken: "2011-05-06".into(), ..good.clone() },
        Attribution { title: "ship".into(), ..good.clone() },
    ] {
        assert!(!filter(&rules).lets_through(&bad), "{bad:?}");
    }
}

#[test]
fn a_value_is_refused_with_its_key_and_what_was_expected_and_changes_nothing() {
    let licences = r#"one of "by", "by-sa", "by-nc", "by-nd", "by-nc-sa", "by-nc-nd", "cc0", "pdm", "us-gov", "no-known-restrictions""#;
    let date = r#"a date of the calendar as in "2012-05-06""#;
    for (key, value, found, expected) in [
        ("licence", "by,bynd", "bynd", licences),
        ("licence", "", "", licences),
        ("licence", "by,", "", licences),
        ("licence_without", "by", "by", r#"one of "nc", "nd", "sa""#),
        ("taken_from", "2012-02-30", "2012-02-30", date),
        ("taken_before", "2012-05-06,2012-05-07", "2012-05-06,2012-05-07", date),
        ("taken_before", "2011-01-01", "2011-01-01", "a date after taken_from, 2011-01-01"),
        ("text", "red boat", "red boat", "one word of letters and digits"),
        ("text", "red,", "", "one word of letters and digits"),
    ] {
        let mut filter = filter(&[("taken_from", "2011-01-01"), ("text", "sea"), ("licence", "cc0")]);
        let before = filter.clone();
        let error = filter.set(key, value).unwrap_err();
        assert!(error.is_permanent());
        assert_eq!(error.to_string(), format!("filter {key}={value}: found {found:?}, expected {expected}"));
        assert_eq!(filter, before);
    }
    let error = Filter::default().set("license", "by").unwrap_err().to_string();
    let names = "licence, licence_without, taken_from, taken_before, text";
    assert_eq!(error, format!("filter license=by: no such key, expected one of {names}"));
    let mut backwards = filter(&[("taken_before", "2011-01-01")]);
    let error = backwards.set("taken_from", "2011-01-01").unwrap_err().to_string();
    assert!(error.ends_with("expected a date before taken_before, 2011-01-01"), "{error}");
}

#[test]
fn filters_that_say_the_same_are_one_text_and_a_rule_that_is_set_again_replaces_the_first() {
    let one = filter(&[("text", "Red,boat"), ("licence", "by-sa, by,by"), ("taken_from", "2012-05-06")]);
    let mut other = filter(&[("taken_from", "1999-01-01"), ("licence", "by,by-sa"), ("text", "sea")]);
    assert_ne!(one, other);
    other.set("taken_from", "2012-05-06").unwrap();
    other.set("text", "BOAT,red").unwrap();
    assert_eq!(one, other);
    let text = serde_json::to_string(&one).unwrap();
    assert_eq!(text, r#"{"licence":["by","by-sa"],"taken_from":"2012-05-06","text":["boat","red"]}"#);
    assert_eq!(serde_json::from_str::<Filter>(&text).unwrap(), one);
    assert_eq!(serde_json::to_string(&Filter::default()).unwrap(), "{}");
    assert!(serde_json::from_str::<Filter>(r#"{"taken_from":"2012-02-30"}"#).is_err());
}

/// An index stores these three and asks them, where the filter itself would be asked of the picture.
#[test]
fn licences_day_and_words_decide_as_the_filter_does() {
    let mut pictures: Vec<Attribution> = Licence::ALL.iter().map(|licence| licensed(licence.code())).collect();
    pictures.push(licensed("sampling+"));
    for (number, picture) in pictures.iter_mut().enumerate() {
        picture.taken = ["2012-05-06 12:33:00.0", " 2012-05-07", "", "2012-13-01", "2011-12-31"][number % 5].into();
        picture.title = ["A+red+boat", "Caf%C3%A9", ""][number % 3].into();
        picture.tags = ["sea,new+york", "redboat"][number % 2].into();
    }
    pictures.push(Attribution { licence: "Attribution License".into(), ..Attribution::default() });
    for rules in [
        &[][..],
        &[("licence", "by,by-nc-sa")],
        &[("licence_without", "nc")],
        &[("licence", "by,by-nd"), ("licence_without", "nd")],
        &[("licence", "by-nc"), ("licence_without", "nc")],
        &[("taken_from", "2012-05-06")],
        &[("taken_before", "2012-05-07")],
        &[("taken_from", "2012-01-01"), ("taken_before", "2012-05-07"), ("text", "red")],
        &[("text", "café")],
        &[("text", "sea,york")],
    ] {
        let filter = filter(rules);
        for picture in &pictures {
            let licence = Licence::of(picture);
            let by_licence = filter.licences().is_none_or(|all| licence.is_some_and(|licence| all.contains(&licence)));
            let (day, words) = (day_taken(picture).map(Date::number), words_of(picture));
            let from = filter.taken_from.is_none_or(|from| day.is_some_and(|day| day >= from.number()));
            let before = filter.taken_before.is_none_or(|before| day.is_some_and(|day| day < before.number()));
            let passes = by_licence && from && before && filter.text.is_subset(&words);
            assert_eq!(passes, filter.lets_through(picture), "{rules:?} {picture:?}");
        }
    }
}
