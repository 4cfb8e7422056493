//! Licences as they are compared: by what they ask for, whatever their version and however their name is spelled.

use super::Attribution;
use serde::{Deserialize, Serialize};

/// In the words of Creative Commons, and of those who say that there is nothing to license.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Licence {
    By,
    BySa,
    ByNc,
    ByNd,
    ByNcSa,
    ByNcNd,
    /// Given to the public domain.
    Cc0,
    /// Marked as being in the public domain.
    Pdm,
    UsGov,
    NoKnownRestrictions,
}

/// What a licence may ask for besides naming the author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Element {
    /// No commercial use.
    Nc,
    /// No derivatives.
    Nd,
    /// Derivatives under the same licence only.
    Sa,
}

impl Licence {
    pub const ALL: [Self; 10] = [
        Self::By,
        Self::BySa,
        Self::ByNc,
        Self::ByNd,
        Self::ByNcSa,
        Self::ByNcNd,
        Self::Cc0,
        Self::Pdm,
        Self::UsGov,
        Self::NoKnownRestrictions,
    ];

    /// The picture's licence by its URL, else by the name that YFCC and Flickr give it; `None` where neither is known.
    pub fn of(attribution: &Attribution) -> Option<Self> {
        of_url(&attribution.licence_url).or_else(|| of_name(&attribution.licence))
    }

    pub fn code(self) -> &'static str {
        match self {
            Self::By => "by",
            Self::BySa => "by-sa",
            Self::ByNc => "by-nc",
            Self::ByNd => "by-nd",
            Self::ByNcSa => "by-nc-sa",
            Self::ByNcNd => "by-nc-nd",
            Self::Cc0 => "cc0",
            Self::Pdm => "pdm",
            Self::UsGov => "us-gov",
            Self::NoKnownRestrictions => "no-known-restrictions",
        }
    }

    pub fn has(self, element: Element) -> bool {
        self.code().split('-').any(|part| part == element.code())
    }

    pub fn forbids_commercial_use(self) -> bool {
        self.has(Element::Nc)
    }

    pub fn forbids_derivatives(self) -> bool {
        self.has(Element::Nd)
    }

    pub fn is_share_alike(self) -> bool {
        self.has(Element::Sa)
    }
}

impl Element {
    pub const ALL: [Self; 3] = [Self::Nc, Self::Nd, Self::Sa];

    pub fn code(self) -> &'static str {
        match self {
            Self::Nc => "nc",
            Self::Nd => "nd",
            Self::Sa => "sa",
        }
    }
}

/// `http://creativecommons.org/licenses/by-nc-sa/2.0/`: the version and what follows it make no difference.
fn of_url(url: &str) -> Option<Licence> {
    let url = url.trim().to_ascii_lowercase();
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let rest = rest.strip_prefix("www.").unwrap_or(rest).strip_prefix("creativecommons.org/")?;
    let mut parts = rest.split('/');
    match (parts.next()?, parts.next()?) {
        ("publicdomain", "zero") => Some(Licence::Cc0),
        ("publicdomain", "mark") => Some(Licence::Pdm),
        // As version 1.0 had it.
        ("licenses", "by-nd-nc") => Some(Licence::ByNcNd),
        ("licenses", code) => Licence::ALL.into_iter().find(|known| code.starts_with("by") && known.code() == code),
        _ => None,
    }
}

fn of_name(name: &str) -> Option<Licence> {
    Some(match name.trim().to_ascii_lowercase().as_str() {
        "attribution license" => Licence::By,
        "attribution-sharealike license" => Licence::BySa,
        "attribution-noncommercial license" => Licence::ByNc,
        "attribution-noderivs license" => Licence::ByNd,
        "attribution-noncommercial-sharealike license" => Licence::ByNcSa,
        "attribution-noncommercial-noderivs license" => Licence::ByNcNd,
        "public domain dedication (cc0)" => Licence::Cc0,
        "public domain mark" => Licence::Pdm,
        "united states government work" => Licence::UsGov,
        "no known copyright restrictions" => Licence::NoKnownRestrictions,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(licence: &str, url: &str) -> Option<&'static str> {
        let attribution = Attribution { licence: licence.into(), licence_url: url.into(), ..Attribution::default() };
        Licence::of(&attribution).map(Licence::code)
    }

    #[test]
    fn a_licence_is_known_by_its_url_whatever_its_version() {
        for (path, code) in [
            ("licenses/by/2.0/", Some("by")),
            ("licenses/by-sa/4.0", Some("by-sa")),
            ("licenses/by-nc-sa/2.0/de/legalcode", Some("by-nc-sa")),
            ("licenses/by-nc-nd/2.0/", Some("by-nc-nd")),
            ("licenses/by-nd-nc/1.0/", Some("by-nc-nd")),
            ("publicdomain/zero/1.0/", Some("cc0")),
            ("publicdomain/mark/1.0/", Some("pdm")),
            ("licenses/sampling+/1.0/", None),
            ("licenses/cc0/1.0/", None),
            ("licenses/", None),
            ("", None),
        ] {
            for site in
                ["http://creativecommons.org/", "https://creativecommons.org/", "https://www.creativecommons.org/"]
            {
                assert_eq!(of("", &format!("{site}{path}")), code, "{site}{path}");
            }
        }
        assert_eq!(of("", "http://example.org/licenses/by/2.0/"), None);
        assert_eq!(of("Attribution-NoDerivs License", "http://creativecommons.org/licenses/by/2.0/"), Some("by"));
    }

    #[test]
    fn without_a_known_url_it_is_known_by_yfccs_name() {
        for (name, code) in [
            ("Attribution License", "by"),
            ("Attribution-ShareAlike License", "by-sa"),
            ("Attribution-NonCommercial License", "by-nc"),
            ("Attribution-NoDerivs License", "by-nd"),
            ("Attribution-NonCommercial-ShareAlike License", "by-nc-sa"),
            ("Attribution-NonCommercial-NoDerivs License", "by-nc-nd"),
            ("Public Domain Dedication (CC0)", "cc0"),
            ("Public Domain Mark", "pdm"),
            ("United States Government Work", "us-gov"),
            ("No known copyright restrictions", "no-known-restrictions"),
        ] {
            assert_eq!(of(name, ""), Some(code));
            assert_eq!(of(name, "http://www.usa.gov/copyright.shtml"), Some(code));
        }
        for unknown in ["", "All Rights Reserved", "Attribution"] {
            assert_eq!(of(unknown, ""), None, "{unknown}");
        }
    }

    #[test]
    fn what_a_licence_forbids_is_read_off_its_code() {
        let which = |has: fn(Licence) -> bool| -> Vec<&str> {
            Licence::ALL.into_iter().filter(|licence| has(*licence)).map(Licence::code).collect()
        };
        assert_eq!(which(Licence::forbids_commercial_use), ["by-nc", "by-nc-sa", "by-nc-nd"]);
        assert_eq!(which(Licence::forbids_derivatives), ["by-nd", "by-nc-nd"]);
        assert_eq!(which(Licence::is_share_alike), ["by-sa", "by-nc-sa"]);
    }

    #[test]
    fn a_code_is_stored_as_it_is_written() {
        for licence in Licence::ALL {
            assert_eq!(serde_json::to_value(licence).expect("it serialises"), licence.code());
        }
        for element in Element::ALL {
            assert_eq!(serde_json::to_value(element).expect("it serialises"), element.code());
        }
    }
}
