"""Entries as archives of millions have them: each kind is refused for a reason of its own, and costs no other picture.

    empty       no bytes
    text        a note where a picture should be
    page        an HTML page that says the photo is gone, saved as .jpg
    cut         the first half of a JPEG
    tables      a JPEG whose Huffman tables are overwritten
    pixels      a JPEG whose header claims 30000 x 30000 pixels
    side        a JPEG whose header claims a side of 65535 pixels
    checksum    a flipped bit, and the archive's checksum of before
    header      an entry whose local header is overwritten
    twice       the same name twice in an archive: the first counts
    misplaced   a key of another shard
    escaping    a name that leads out of the folder

A kind is a function `(entries, name, jpeg)` that returns an archive's entries with this one; `break_archive` does what
can only be done to the finished archive.
"""

import io
import zipfile

DEFINE_TABLES, FRAMES = 0xC4, (0xC0, 0xC2)


def segments(jpeg):
    """(marker, place, length) of a JPEG's segments before its first scan."""
    place = 2
    while jpeg[place + 1] != 0xDA:
        length = int.from_bytes(jpeg[place + 2 : place + 4], "big")
        yield jpeg[place + 1], place, length
        place += 2 + length


def instead(replace):
    """The entry with other bytes."""
    return lambda entries, name, jpeg: sorted([*entries, (name, replace(jpeg))])


def overwritten(jpeg, place, content):
    return jpeg[:place] + content + jpeg[place + len(content) :]


def without_tables(jpeg):
    for marker, place, length in list(segments(jpeg)):
        if marker == DEFINE_TABLES:
            jpeg = overwritten(jpeg, place + 5, b"\xff" * (length - 3))
    return jpeg


def claiming(width, height):
    def claim(jpeg):
        frame = next(place for marker, place, _ in segments(jpeg) if marker in FRAMES)
        return overwritten(jpeg, frame + 5, height.to_bytes(2, "big") + width.to_bytes(2, "big"))

    return claim


def twice(entries, name, jpeg):
    """The later one has other bytes, so that it can be told which was taken."""
    return sorted([*entries, (name, jpeg)]) + [(name, jpeg + b"\0")]


def misplaced(entries, name, jpeg):
    folder, key = name.rsplit("/", 1)
    return sorted([*entries, (f"{folder}/{'0' if key[0] != '0' else '1'}{key[1:]}", jpeg)])


def escaping(entries, name, jpeg):
    return sorted([*entries, (f"data/images/../../{name.rsplit('/', 1)[1]}", jpeg)])


BROKEN = {
    "empty": instead(lambda jpeg: b""),
    "text": instead(lambda jpeg: b"The picture is on the other disk, please copy it by hand.\n"),
    "page": instead(
        lambda jpeg: b"<!DOCTYPE html><html><title>Gone</title><p>This photo is no longer available.</html>\n"
    ),
    "cut": instead(lambda jpeg: jpeg[: len(jpeg) // 2]),
    "tables": instead(without_tables),
    "pixels": instead(claiming(30000, 30000)),
    "side": instead(claiming(65535, 16)),
    "checksum": instead(lambda jpeg: jpeg),
    "header": instead(lambda jpeg: jpeg),
    "twice": twice,
    "misplaced": misplaced,
    "escaping": escaping,
}


def break_archive(archive, damage):
    """`damage`: (kind, name, jpeg) of the entries in this archive that are broken."""
    places = {info.filename: info.header_offset for info in zipfile.ZipFile(io.BytesIO(archive)).infolist()}
    for kind, name, jpeg in damage:
        if kind == "checksum":
            middle = places[name] + 30 + len(name) + len(jpeg) // 2
            archive = overwritten(archive, middle, bytes([archive[middle] ^ 1]))
        if kind == "header":
            archive = overwritten(archive, places[name], b"\0\0\0\0")
    return archive
