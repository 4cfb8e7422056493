"""Words for scenes: headlines, captions, searches, and the titles that photographers give.

A text says some facts of a scene and no others: `Facts` is a Scene of which any field may be None, "not said".
Everything is invented, like the pictures.
"""

from dataclasses import dataclass

from drawing.scenes import FIELDS, NOTHING, THINGS

PLURALS = {"bus": "buses", "sheep": "sheep"}
# Other words for a thing, with their plural.
SYNONYMS = {
    "sailing boat": (("yacht", "yachts"), ("sailboat", "sailboats")),
    "cargo ship": (("freighter", "freighters"), ("container ship", "container ships")),
    "rowing boat": (("rowboat", "rowboats"),),
    "hot air balloon": (("balloon", "balloons"),),
    "aeroplane": (("plane", "planes"), ("aircraft", "aircraft"), ("airliner", "airliners")),
    "cyclist": (("bike rider", "bike riders"),),
    "runner": (("jogger", "joggers"),),
    "footballer": (("football player", "football players"), ("striker", "strikers")),
    "umbrella": (("person under a {colour} umbrella", "people under {colour} umbrellas"),),
    "horse": (("stallion", "stallions"),),
}
WORN = {"cyclist": "in {}", "runner": "in {}", "footballer": "in {}", "skier": "in {}", "surfer": "on {} boards"}
COUNTS = {
    1: ("a", "one", "a single", "a lone"),
    2: ("two", "a pair of", "two"),
    3: ("three", "three", "a trio of"),
    4: ("four", "four", "a group of four"),
}
COLOURS = {
    "red": ("red", "red", "scarlet"),
    "purple": ("purple", "purple", "violet"),
    "brown": ("brown", "brown", "chestnut"),
}
PLACES = {
    "sea": ("at sea", "on the open sea", "off the coast", "on the ocean"),
    "beach": ("on the beach", "at the beach", "on the sandy shore"),
    "lake": ("on the lake", "at the lake", "on a quiet lake"),
    "meadow": ("in a meadow", "in the green fields", "on the pasture"),
    "village": ("in the village", "in a small village", "on the village square"),
    "mountains": ("in the mountains", "in the Alps", "below the peaks"),
    "snow": ("on a snowy plain", "in the snow-covered valley", "on snowy ground"),
    "desert": ("in the desert", "among the dunes", "in the Sahara"),
    "city": ("in the city", "downtown", "in the city centre"),
    "stadium": ("in the stadium", "at the stadium", "before full stands"),
}
LIGHTS = {
    "day": ("under a blue sky", "in bright sunshine", "on a sunny day"),
    "sunset": ("at sunset", "at dusk", "in the evening glow"),
    "night": ("at night", "after dark", "by moonlight"),
    "rain": ("in the rain", "in heavy rain", "in a downpour"),
    "fog": ("in the fog", "in dense fog", "in thick mist"),
    "snowfall": ("in falling snow", "as snow falls", "amid snow flurries"),
    "rainbow": ("under a rainbow", "beneath a rainbow", "with a rainbow"),
    "storm": ("in a thunderstorm", "as lightning strikes", "amid lightning"),
}
LANDMARKS = {
    "lighthouse": ("near the lighthouse", "by the old lighthouse", "with a lighthouse behind"),
    "castle": ("below the castle", "near the old castle", "with a castle behind"),
    "wind turbine": ("near a wind turbine", "next to a wind turbine", "with a wind turbine behind"),
    "palm tree": ("near a palm tree", "by the palm tree", "with a palm behind"),
    "ferris wheel": ("near the Ferris wheel", "by the big wheel", "with a Ferris wheel behind"),
    "church": ("near the church", "by the old church", "with a church behind"),
    "windmill": ("near the windmill", "by the old windmill", "with a windmill behind"),
    "oak tree": ("near the oak tree", "by the old oak", "with an oak behind"),
    "pyramid": ("near the pyramid", "below the pyramid", "with a pyramid behind"),
    "factory": ("near the factory", "by the old factory", "with a factory behind"),
    "television tower": ("near the television tower", "below the TV tower", "with a TV tower behind"),
}
# Looser words, for searches alone: of a headline they would not always be true of one picture only.
LOOSE = {
    "sailing boat": (("boat", "boats"), ("ship with sails", "sails")),
    "cargo ship": (("ship", "ships"), ("vessel", "vessels")),
    "rowing boat": (("boat", "boats"), ("person rowing", "people rowing")),
    "hot air balloon": (("balloon", "balloons"),),
    "aeroplane": (("airplane", "airplanes"), ("jet", "jets")),
    "car": (("vehicle", "vehicles"), ("automobile", "automobiles")),
    "bus": (("vehicle", "vehicles"), ("coach", "coaches")),
    "tractor": (("farm vehicle", "farm vehicles"), ("vehicle", "vehicles")),
    "tent": (("camp", "camps"), ("camping tent", "camping tents")),
    "cyclist": (("bicycle", "bicycles"), ("person cycling", "people cycling"), ("bike", "bikes")),
    "runner": (("person running", "people running"), ("athlete", "athletes")),
    "footballer": (("soccer player", "soccer players"), ("person playing football", "people playing football")),
    "skier": (("person skiing", "people skiing"),),
    "surfer": (("person surfing", "people surfing"), ("surfboard", "surfboards")),
    "cow": (("animal", "animals"), ("farm animal", "farm animals")),
    "sheep": (("lamb", "lambs"), ("farm animal", "farm animals")),
    "horse": (("pony", "ponies"), ("animal", "animals")),
    "dog": (("puppy", "puppies"), ("pet", "pets")),
    "camel": (("dromedary", "dromedaries"), ("animal", "animals")),
    "cat": (("kitten", "kittens"), ("pet", "pets")),
    "duck": (("bird", "birds"), ("duckling", "ducklings")),
}
ACTIVITIES = {
    "sailing boat": ("sailing", "a regatta"),
    "cargo ship": ("shipping", "freight"),
    "rowing boat": ("rowing",),
    "hot air balloon": ("ballooning",),
    "aeroplane": ("flying", "aviation"),
    "car": ("driving", "traffic"),
    "bus": ("public transport", "traffic"),
    "tractor": ("farming",),
    "tent": ("camping",),
    "cyclist": ("cycling", "a bike race"),
    "runner": ("running", "jogging", "a marathon"),
    "footballer": ("football", "soccer", "a football match"),
    "skier": ("skiing", "winter sports"),
    "surfer": ("surfing",),
}
BARE = {
    "sea": ("sea", "ocean", "water"),
    "beach": ("beach", "seaside"),
    "lake": ("lake",),
    "meadow": ("meadow", "field", "grass"),
    "village": ("village", "countryside"),
    "mountains": ("mountains", "alps"),
    "snow": ("snow", "winter", "snowy field"),
    "desert": ("desert", "sand"),
    "city": ("city", "street", "skyline"),
    "stadium": ("stadium", "pitch"),
    "day": ("sunny", "blue sky", "sunshine"),
    "sunset": ("sunset", "dusk", "evening"),
    "night": ("night", "dark", "moon"),
    "rain": ("rain", "rainy"),
    "fog": ("fog", "mist", "foggy"),
    "snowfall": ("snowing", "snowfall"),
    "rainbow": ("rainbow",),
    "storm": ("storm", "lightning", "thunder"),
}
# What is told of a thing: before the scene, and after it.
STORIES = {
    "water": (
        (
            "Regatta begins",
            "Fishing quotas",
            "Coast guard on alert",
            "Harbour festival",
            "Boat show",
            "Rescue exercise",
            "Shipping routes",
        ),
        (
            "as regatta begins",
            "after weeks of repairs",
            "waiting for the start",
            "says harbour master",
            "in search of calm waters",
            "as fuel prices rise",
        ),
    ),
    "air": (
        (
            "Air show",
            "Balloon festival",
            "Flight plans",
            "Holiday season",
            "Wind forecast",
            "Record attempt",
            "Travel chaos",
        ),
        (
            "as air show opens",
            "after record attempt",
            "delighting onlookers",
            "despite airline strike",
            "pilots say",
            "as travel season starts",
        ),
    ),
    "road": (
        (
            "Traffic survey",
            "Motor show",
            "Roadworks",
            "Fuel prices",
            "Farm protest",
            "Transport plan",
            "Car-free Sunday",
        ),
        (
            "as fuel prices climb",
            "after months of roadworks",
            "council votes 31-12",
            "while talks go on",
            "drivers say",
            "as strike enters third day",
        ),
    ),
    "camp": (
        ("Camping boom", "Summer camp", "Festival season", "Expedition", "Budget holidays", "Scouts", "Relief effort"),
        (
            "as camping booms",
            "for the third week",
            "campers say",
            "at the end of a long trek",
            "despite the ban",
            "as prices for hotels soar",
        ),
    ),
    "sport": (
        (
            "Final stage",
            "Cup final",
            "Season opener",
            "Training camp",
            "Marathon plans",
            "World record",
            "Transfer rumours",
        ),
        (
            "ahead of the final",
            "as season opens",
            "after narrow win",
            "coach says",
            "to raise money for charity",
            "before a crowd of fans",
        ),
    ),
    "weather": (
        (
            "Weather outlook",
            "Umbrellas out again",
            "Waiting",
            "Tourism",
            "Morning commute",
            "Fashion week",
            "Forecasters warn",
        ),
        (
            "as forecasters warn",
            "waiting for the tram",
            "on the way home",
            "visitors say",
            "as tourism recovers",
            "despite the forecast",
        ),
    ),
    "animals": (
        ("Animal shelter", "Farm prices", "Escaped", "Nature watch", "Milk dispute", "Photo of the week", "Vets warn"),
        (
            "as farmers protest",
            "after two weeks missing",
            "owner says",
            "surprising walkers",
            "study finds",
            "as shelters fill up",
        ),
    ),
}
THEMES = {
    "water": ("sailing boat", "cargo ship", "rowing boat", "surfer"),
    "air": ("hot air balloon", "aeroplane", "kite"),
    "road": ("car", "bus", "tractor"),
    "camp": ("tent",),
    "sport": ("cyclist", "runner", "footballer", "skier"),
    "weather": ("umbrella",),
    "animals": ("cow", "sheep", "horse", "dog", "camel", "cat", "duck"),
}
THEME_OF = {thing: theme for theme, things in THEMES.items() for thing in things}
SPEAKERS = ("mayor", "minister", "witness", "expert", "organiser", "spokeswoman", "visitor", "report")
QUOTES = (
    "We have never seen this",
    "A dream come true",
    "It was beautiful",
    "Nobody expected that",
    "We will be back",
    "Like a painting",
    "Enough is enough",
    "A sign of hope",
)


@dataclass(frozen=True)
class Facts:
    thing: str | None = None
    count: int | None = None
    colour: str | None = None
    place: str | None = None
    light: str | None = None
    behind: str | None = None

    def hold_of(self, scene):
        """Whether nothing that is said is wrong of the scene."""
        return all(getattr(self, field) in (None, getattr(scene, field)) for field in FIELDS)


def facts_of(scene, unsaid=()):
    """All facts but those of the `unsaid` fields; that nothing stands behind is never said."""
    said = {field: getattr(scene, field) for field in FIELDS if field not in unsaid}
    if said.get("behind") == NOTHING:
        del said["behind"]
    return Facts(**said)


def plural(name):
    return PLURALS.get(name, name + "s")


def things(facts, rng):
    """ "Three cyclists in red", "a red car", "sheep"."""
    one, many = facts.thing, plural(facts.thing)
    if rng.random() < 0.3:
        one, many = rng.choice(SYNONYMS.get(facts.thing, ((one, many),)))
    colour = rng.choice(COLOURS.get(facts.colour, (facts.colour,))) if facts.colour else ""
    name = one if facts.count == 1 else many
    if "{colour}" in name:
        name = " ".join(name.format(colour=colour).split())
    elif colour and facts.thing in WORN and rng.random() < 0.6:
        name = f"{name} {WORN[facts.thing].format(colour)}"
    elif colour:
        name = f"{colour} {name}"
    if not facts.count:
        return name
    count = rng.choice(COUNTS[facts.count])
    return f"{'an' if count == 'a' and name[0] in 'aeiou' else count} {name}"


def surroundings(facts, rng):
    """The phrases for place, light and landmark, in some order."""
    said = [(PLACES, facts.place), (LIGHTS, facts.light), (LANDMARKS, facts.behind)]
    phrases = [rng.choice(words[value]) for words, value in said if value]
    if rng.random() < 0.4:
        rng.shuffle(phrases)
    return phrases


def caption(facts, rng):
    """What one would type into a search field: "three red kites on the beach at dusk"."""
    if facts.thing is None:
        phrases = surroundings(facts, rng) or ["a drawing"]
        return " ".join(phrases)
    return " ".join([things(facts, rng), *surroundings(facts, rng)])


def query(facts, rng):
    """The fewest words for it, often looser ones: "bikes, beach, dusk", "skiing mountains"."""
    words = []
    if facts.thing in ACTIVITIES and not facts.count and not facts.colour and rng.random() < 0.5:
        words.append(rng.choice(ACTIVITIES[facts.thing]))
    elif facts.thing:
        one, many = rng.choice(LOOSE.get(facts.thing, ((facts.thing, plural(facts.thing)),)))
        count = rng.choice(COUNTS[facts.count]) if facts.count else ""
        name = one if facts.count == 1 else many
        words.append(" ".join(f"{count} {facts.colour or ''} {name}".split()))
    for value in (facts.place, facts.light, facts.behind):
        if value:
            words.append(rng.choice(BARE.get(value, (value,))))
    return rng.choice((" ", " ", ", ")).join(words) or "a drawing"


def upper_first(text):
    return text[:1].upper() + text[1:]


def headline(facts, rng):
    """A title in the manner of the news, true where the facts hold."""
    what, around = things(facts, rng), surroundings(facts, rng)
    before, after = (rng.choice(words) for words in STORIES[THEME_OF[facts.thing]])
    first, rest = around[:1], around[1:]
    shape = rng.randrange(9)
    if shape == 0:
        return f"{before}: {' '.join([what, *around])}"
    if shape == 1:
        return upper_first(" ".join([what, *around, after]))
    if shape == 2:
        return f"'{rng.choice(QUOTES)}': {' '.join([what, *around])}"
    if shape == 3 and first:
        return upper_first(f"{first[0]}: {' '.join([what, *rest])} {after}")
    if shape == 4:
        return f"\u201c{rng.choice(QUOTES)}\u201d, says {rng.choice(SPEAKERS)}: {' '.join([what, *around])}"
    if shape == 5:
        return f"{before} &amp; more: {' '.join([what, *around])}"
    if shape == 6 and first:
        return upper_first(f"{what} {', '.join([*first, *rest])}")
    if shape == 7:
        return upper_first(f"{' '.join([what, *first])}, {' '.join([*rest, after])}")
    return upper_first(" ".join([what, *around]))


def tags_of(scene, rng):
    """An article's tags, often few and sometimes none."""
    tags = [
        THEME_OF[scene.thing],
        scene.place,
        *(["weather"] if scene.light in ("rain", "fog", "snowfall", "storm", "rainbow") else []),
    ]
    return rng.choice((";", ";", "|")).join(tags[: rng.randint(0, len(tags))])


PHOTO_WORDS = ("", "", "", "My ", "Again: ", "Day 3: ", "Untitled, ", "Holiday: ", "Archive: ")


def photo_title(scene, rng):
    """What a photographer calls the picture, who rarely says everything."""
    unsaid = rng.sample([field for field in FIELDS if field != "thing"], rng.randint(1, 4))
    return upper_first(rng.choice(PHOTO_WORDS) + caption(facts_of(scene, unsaid), rng))


assert set(THEME_OF) == set(THINGS)
