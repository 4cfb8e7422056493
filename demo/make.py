"""Makes the demo's corpus, articles and model, from one seed.

    python3 -m venv venv && venv/bin/pip install pillow==13.0.0 numpy==2.4.6
    venv/bin/python demo/make.py

A second run changes nothing (JPEG encoders and zlib of other versions may).

corpus/images/{abc}.zip           stored entries data/images/{abc}/{def}/{key}.jpg, as YFCC100M is packed
corpus/metadata/{abc}.jsonl.gz    a row a photo: MISSING of them without an entry, VIDEOS of them videos
articles.csv                      columns, header and byte order mark as in the NewsImages release
model/                            the tiny CLIP with random weights that scripts/fixtures/clip.py makes for tests

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
import zipfile
from pathlib import Path
from urllib.parse import quote_plus

sys.dont_write_bytecode = True
from headlines import HEADLINES
from drawing.scenes import compose

DEMO = Path(__file__).resolve().parent
MODEL = DEMO.parent / "models" / "fixtures" / "clip-tiny"
SEED = 2025
SHARDS = ("1c4", "5e9", "8a3", "b73", "f2d")
PHOTOS, MISSING, VIDEOS = 320, 6, 4

PHOTOGRAPHERS = tuple(f"{90000000 + 7 * k}@N{k:02}" for k in range(1, 13))
LICENCES = (
    ("Attribution License", "http://creativecommons.org/licenses/by/2.0/"),
    ("Attribution-ShareAlike License", "http://creativecommons.org/licenses/by-sa/2.0/"),
    ("Public Domain Dedication (CC0)", "http://creativecommons.org/publicdomain/zero/1.0/"),
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


def metadata_row(rng, photo, url, scene, marker):
    owner = rng.choice(PHOTOGRAPHERS)
    licence, licence_url = rng.choice(LICENCES)
    # Many real photos are called what the camera called them, and most have neither description nor place.
    title = scene.title if rng.random() < 0.9 else f"IMG_{rng.randrange(10000):04}"
    described, placed = rng.random() < 0.5, rng.random() < 0.3
    taken = f"{rng.randint(2005, 2014)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    return {
        "photoid": photo,
        "uid": owner,
        "title": quote_plus(title),
        "description": quote_plus(scene.description) if described else "",
        "usertags": ",".join(quote_plus(tag) for tag in scene.tags),
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


def write_corpus():
    rng = random.Random(SEED)
    rows = {shard: [] for shard in SHARDS}
    entries = {shard: [] for shard in SHARDS}
    photos = urls_in_our_shards(rng, PHOTOS + MISSING, photo_url)
    absent = set(rng.sample(range(len(photos)), MISSING))
    for number, (photo, url) in enumerate(photos):
        scene, key = compose(random.Random(f"{SEED}/{number}")), key_of(url)
        rows[key[:3]].append(metadata_row(rng, photo, url, scene, marker=0))
        if number not in absent:
            entries[key[:3]].append((f"data/images/{key[:3]}/{key[3:6]}/{key}.jpg", scene.jpeg))
    for number, (photo, url) in enumerate(urls_in_our_shards(rng, VIDEOS, video_url)):
        scene = compose(random.Random(f"{SEED}/video/{number}"))
        rows[key_of(url)[:3]].append(metadata_row(rng, photo, url, scene, marker=1))

    shutil.rmtree(DEMO / "corpus", ignore_errors=True)
    (DEMO / "corpus" / "images").mkdir(parents=True)
    (DEMO / "corpus" / "metadata").mkdir()
    for shard in SHARDS:
        write_zip(DEMO / "corpus" / "images" / f"{shard}.zip", sorted(entries[shard]))
        rng.shuffle(rows[shard])
        lines = "".join(json.dumps(row) + "\n" for row in rows[shard])
        (DEMO / "corpus" / "metadata" / f"{shard}.jsonl.gz").write_bytes(gzip.compress(lines.encode(), 9, mtime=0))


def write_zip(path, entries):
    """Stored entries, all of one date."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries:
            info = zipfile.ZipInfo(name, (2025, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, content)


def write_articles():
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("article_id", "article_url", "article_title", "article_tags", "image_id", "image_url"))
    for number, (title, tags) in enumerate(HEADLINES, 1):
        image_url = f"https://cdn.news.example/{number}.jpg"
        image_id = hashlib.md5(image_url.encode()).hexdigest().upper()
        table.writerow((number, f"https://news.example/{number}", title, tags, image_id, image_url))
    (DEMO / "articles.csv").write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode())


def copy_model():
    shutil.rmtree(DEMO / "model", ignore_errors=True)
    shutil.copytree(MODEL, DEMO / "model", ignore=shutil.ignore_patterns("reference.safetensors"))


def main():
    write_corpus()
    write_articles()
    copy_model()
    size = sum(file.stat().st_size for file in DEMO.rglob("*") if file.is_file())
    print(f"{PHOTOS} photos in {len(SHARDS)} shards, {len(HEADLINES)} titles; {size / 1e6:.2f} MB in {DEMO}")


if __name__ == "__main__":
    main()
