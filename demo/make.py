"""Makes the demo's corpus and articles, from one seed. `train.py` makes the model, `aesthetic.py` the head.

    python3 -m venv venv && venv/bin/pip install pillow==13.0.0 numpy==2.4.6
    venv/bin/python demo/make.py

A second run changes nothing (JPEG encoders and zlib of other versions may).

corpus/images/{abc}.zip           stored entries data/images/{abc}/{def}/{key}.jpg, as YFCC100M is packed
corpus/metadata/{abc}.jsonl.gz    a row a photo; BARE photos have none, ABSENT rows have no photo, VIDEOS are of videos
articles.csv                      columns, header and byte order mark as in the NewsImages release

What holds:
- No two pictures of the corpus show the same, and no picture's thing, count, colour, place and light together were
  trained on.
- An article's `image_id` is the key of its right picture, and its title is true of that picture alone.
- The entries that `broken.py` makes come on top; no article points at them.

Nothing is from Flickr: photographers and addresses are invented, and all hosts are below the reserved domain `example`.
"""

import csv
import gzip
import hashlib
import io
import json
import random
import shutil
import sys
import warnings
import zipfile
from pathlib import Path
from urllib.parse import quote_plus

sys.dont_write_bytecode = True
from broken import BROKEN, break_archive
from drawing.scenes import FIELDS, NOTHING, THINGS, compose
from headlines import caption, facts_of, headline, photo_title, tags_of
from split import TEST, TRAIN, assert_disjoint, scenes_of

DEMO = Path(__file__).resolve().parent
SEED = 2025
SHARDS = ("1c4", "5e9", "8a3", "b73", "f2d")
PHOTOS, ARTICLES = 1080, 400
BARE, ABSENT, VIDEOS = 6, 6, 4
FAMILY = 10

FIRST = (
    "anna",
    "bo",
    "carla",
    "dmitri",
    "eun",
    "farid",
    "greta",
    "hugo",
    "ines",
    "jonas",
    "kemal",
    "lucia",
    "mara",
    "nils",
)
LAST = ("_on_tour", ".pictures", "photo", "77", " & friends", "'s camera", "-analog", "_raw")
PHOTOGRAPHERS = tuple(
    (f"{20000000 + 104729 * k % 80000000}@N{k % 9:02}", FIRST[k % 14] + LAST[k * 5 % 8]) for k in range(1, 61)
)
LICENCES = tuple(
    (f"{name}", f"http://creativecommons.org/{path}/", weight)
    for name, path, weight in (
        ("Attribution License", "licenses/by/2.0", 17),
        ("Attribution-ShareAlike License", "licenses/by-sa/2.0", 10),
        ("Attribution-NoDerivs License", "licenses/by-nd/2.0", 6),
        ("Attribution-NonCommercial License", "licenses/by-nc/2.0", 14),
        ("Attribution-NonCommercial-ShareAlike License", "licenses/by-nc-sa/2.0", 28),
        ("Attribution-NonCommercial-NoDerivs License", "licenses/by-nc-nd/2.0", 20),
        ("Public Domain Dedication (CC0)", "publicdomain/zero/1.0", 3),
        ("Public Domain Mark", "publicdomain/mark/1.0", 2),
    )
)


def key_of(url):
    """YFCC's key: MD5 of the download URL, each byte in hexadecimal without a leading zero."""
    return "".join(f"{byte:x}" for byte in hashlib.md5(url.encode()).digest())


def urls_in_our_shards(rng, photos, url_of):
    """`photos` pairs of photo id and URL whose keys fall into SHARDS, found by going through photo ids."""
    photo, found = rng.randrange(10**9, 2 * 10**9), []
    while len(found) < photos:
        photo += 1
        url = url_of(photo)
        if key_of(url)[:3] in SHARDS:
            found.append((photo, url))
    return found


def photo_url(photo):
    return (
        f"http://farm{photo % 9 + 1}.pictures.example/{photo // 7 % 9000}/{photo}_{photo * 2654435761 % 2**40:010x}.jpg"
    )


def video_url(photo):
    return f"http://www.pictures.example/videos/{photo}/play/orig/{photo * 2654435761 % 2**40:010x}/"


def metadata_row(rng, photo, url, scene, marker=0):
    owner, nickname = rng.choice(PHOTOGRAPHERS)
    licence, licence_url, _ = rng.choices(LICENCES, [weight for *_, weight in LICENCES])[0]
    # Many real photos are called what the camera called them, and most have neither description nor place.
    title = photo_title(scene, rng) if rng.random() < 0.85 else f"IMG_{rng.randrange(10000):04}"
    described, placed = rng.random() < 0.4, rng.random() < 0.3
    taken = f"{rng.randint(2005, 2014)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    tags = [scene.thing, scene.place, scene.colour, scene.light, *([scene.behind] if scene.behind != NOTHING else [])]
    return {
        "photoid": photo,
        "uid": owner,
        "unickname": quote_plus(nickname),
        "title": quote_plus(title),
        "description": quote_plus(f"{caption(facts_of(scene), rng)}, drawn by a program.") if described else "",
        "usertags": ",".join(quote_plus(tag) for tag in tags[: rng.randint(0, len(tags))]),
        "pageurl": f"http://www.pictures.example/photos/{owner}/{photo}/",
        "downloadurl": url,
        "licensename": licence,
        "licenseurl": licence_url,
        "ext": "mp4" if marker else "jpg",
        "marker": marker,
        "datetaken": f"{taken} {rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}.0",
        "longitude": round(rng.uniform(-180, 180), 6) if placed else None,
        "latitude": round(rng.uniform(-60, 70), 6) if placed else None,
    }


def corpus_scenes(rng, count):
    """Test scenes in families that have place, light and colour in common.

    So colours alone tell few pictures apart: what is there, how many and before what has to be seen. The next family is
    always one with the rarest thing so far.
    """
    scenes, families = scenes_of(TEST), {}
    assert_disjoint(scenes, scenes_of(TRAIN))
    rng.shuffle(scenes)
    for scene in scenes:
        families.setdefault((scene.place, scene.light, scene.colour), []).append(scene)
    waiting = [family for family in families.values() if len(family) > 2]
    rng.shuffle(waiting)
    chosen, shown = [], dict.fromkeys(THINGS, 0)
    while len(chosen) < count:
        rarest = min(shown, key=shown.get)
        family = next((family for family in waiting if any(scene.thing == rarest for scene in family)), None)
        if family is None:
            del shown[rarest]
            continue
        waiting.remove(family)
        family.sort(key=lambda scene: scene.thing != rarest)
        chosen += family[:FAMILY]
        for scene in family[:FAMILY]:
            shown[scene.thing] = shown.get(scene.thing, 0) + 1
    rng.shuffle(chosen)
    return chosen[:count]


def entry_name(key):
    return f"data/images/{key[:3]}/{key[3:6]}/{key}.jpg"


def write_corpus(photos, broken, rng):
    """`photos` and `broken`: (photo, url, scene). Returns how many bytes the photos' JPEGs have on average."""
    rows, entries = {shard: [] for shard in SHARDS}, {shard: [] for shard in SHARDS}
    for number, (photo, url, scene) in enumerate(photos):
        key = key_of(url)
        entries[key[:3]].append((entry_name(key), compose(scene, random.Random(f"{SEED}/{number}"))))
        if number >= BARE:
            rows[key[:3]].append(metadata_row(rng, photo, url, scene))
    sizes = [len(content) for shard in SHARDS for _, content in entries[shard]]

    others = scenes_of(TEST)
    for photo, url in urls_in_our_shards(rng, ABSENT, photo_url):
        rows[key_of(url)[:3]].append(metadata_row(rng, photo, url, rng.choice(others)))
    for photo, url in urls_in_our_shards(rng, VIDEOS, video_url):
        rows[key_of(url)[:3]].append(metadata_row(rng, photo, url, rng.choice(others), marker=1))
    # A broken entry is one that was sound: what `broken.py` does to it differs by kind.
    damage = {shard: [] for shard in SHARDS}
    for kind, (photo, url, scene) in zip(BROKEN, broken, strict=True):
        key = key_of(url)
        rows[key[:3]].append(metadata_row(rng, photo, url, scene))
        damage[key[:3]].append((kind, entry_name(key), compose(scene, random.Random(f"{SEED}/{kind}"))))

    shutil.rmtree(DEMO / "corpus", ignore_errors=True)
    (DEMO / "corpus" / "images").mkdir(parents=True)
    (DEMO / "corpus" / "metadata").mkdir()
    for shard in SHARDS:
        write_zip(DEMO / "corpus" / "images" / f"{shard}.zip", sorted(entries[shard]), damage[shard])
        rng.shuffle(rows[shard])
        lines = "".join(json.dumps(row) + "\n" for row in rows[shard])
        (DEMO / "corpus" / "metadata" / f"{shard}.jsonl.gz").write_bytes(gzip.compress(lines.encode(), 9, mtime=0))
    return sum(sizes) / len(sizes)


def write_zip(path, entries, damage):
    """Stored entries, all of one date."""
    for kind, name, content in damage:
        entries = BROKEN[kind](entries, name, content)
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        warnings.simplefilter("ignore")  # One name stands there twice.
        for name, content in entries:
            info = zipfile.ZipInfo(name, (2025, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, content)
    path.write_bytes(break_archive(file.getvalue(), damage))


def title_of(scene, scenes, rng):
    """A headline that is true of `scene` alone, and what it says, up to two facts less than all; or None."""
    for fewer in (rng.randint(0, 2), 1, 0):
        unsaid = rng.sample([field for field in FIELDS if field != "thing"], fewer)
        facts = facts_of(scene, unsaid)
        if sum(facts.hold_of(other) for other in scenes) == 1:
            return headline(facts, rng), facts
    return None


def write_articles(photos, broken, rng):
    # Of some broken entries a picture remains: no title may be true of it.
    scenes = [scene for *_, scene in photos + broken]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("article_id", "article_url", "article_title", "article_tags", "image_id", "image_url"))
    # A scene without a landmark has no title of its own where the same scene with one is in the corpus as well.
    titled = [
        (url, scene, title_of(scene, scenes, rng)) for _, url, scene in rng.sample(photos[BARE:], len(photos) - BARE)
    ]
    titles = [(url, scene, *title) for url, scene, title in titled if title][:ARTICLES]
    assert len({title for *_, title, _ in titles}) == ARTICLES
    for number, (url, scene, title, facts) in enumerate(titles, 1):
        assert [other for other in scenes if facts.hold_of(other)] == [scene], title
        table.writerow((number, f"https://news.example/{number}", title, tags_of(scene, rng), key_of(url), url))
    (DEMO / "articles.csv").write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode())


def main():
    rng = random.Random(SEED)
    scenes = corpus_scenes(rng, PHOTOS + len(BROKEN))
    urls = urls_in_our_shards(rng, len(scenes), photo_url)
    photos = [(photo, url, scene) for (photo, url), scene in zip(urls, scenes, strict=True)]
    photos, broken = photos[:PHOTOS], photos[PHOTOS:]
    mean = write_corpus(photos, broken, rng)
    write_articles(photos, broken, rng)
    size = sum(file.stat().st_size for file in DEMO.rglob("*") if file.is_file())
    print(
        f"{PHOTOS} photos of {mean:.0f} bytes on average and {len(BROKEN)} broken entries in {len(SHARDS)} shards, "
        f"{ARTICLES} titles, each true of one photo; {size / 1e6:.2f} MB in {DEMO.name}/"
    )


if __name__ == "__main__":
    main()
