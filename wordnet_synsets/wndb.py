"""Reader of WordNet's own files: `data.noun` and `index.noun` of WordNet 3.0 become columns.

The format is WNDB(5WN), https://wordnet.princeton.edu/documentation/wndb5wn. Every line of `data.noun` begins with
its own byte offset, so a file that was cut, edited or converted betrays itself.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from .columns import Columns, numbers, rows, text_rows
from .errors import WrongWordNet

SYNSETS = 82_115
# CRC-32 of the 82,115 offsets as eight digits each: it differs as soon as one wnid differs from ImageNet's.
OFFSETS_CRC = 3_975_751_439
LANDMARKS = {1740: b"entity", 1440764: b"tench", 2084071: b"dog"}
Relation = list[tuple[int, ...]]  # row i: the synsets that synset i is related to, by number

REMEDY = "install WordNet 3.0 (apt-get install wordnet-base) or name its folder with --wordnet DIR"


@dataclass(slots=True)
class _Nouns:
    """What `data.noun` says, one entry a synset in file order; relations still hold offsets as eight digits.

    Tuples, here and below, because the garbage collector soon stops looking at those of plain values; with lists it
    took a third of the whole time.
    """

    numbers: dict[bytes, int] = field(default_factory=dict)
    records: list[bytes] = field(default_factory=list)
    first_lemmas: list[bytes] = field(default_factory=list)
    hypernyms: list[tuple[bytes, ...]] = field(default_factory=list)
    instance_hypernyms: list[tuple[bytes, ...]] = field(default_factory=list)


def parse(noun_text: bytes, index_text: bytes, where: str) -> Columns:
    """The columns of WordNet 3.0's nouns, from the bytes of `data.noun` and `index.noun`; `where` is for messages.

    Raises WrongWordNet when the files are another version's, or damaged.
    """
    _check_version(noun_text, where)
    nouns = _read_nouns(noun_text, where)
    _check_wnids(nouns, where)
    hypernyms = _numbered(nouns, nouns.hypernyms, where)
    instance_hypernyms = _numbered(nouns, nouns.instance_hypernyms, where)
    parents = [plain + instance for plain, instance in zip(hypernyms, instance_hypernyms, strict=True)]
    min_depths, max_depths, order = _depths(parents, where)
    words = _read_index(index_text, nouns.numbers, where)
    spelled = sorted(words)
    return Columns(
        offsets=numbers(map(int, nouns.numbers)),
        hypernyms=rows(hypernyms),
        instance_hypernyms=rows(instance_hypernyms),
        hyponyms=rows(_inverse(hypernyms)),
        instance_hyponyms=rows(_inverse(instance_hypernyms)),
        sense_numbers=numbers(_sense_numbers(nouns, words, where), "B"),
        min_depths=numbers(min_depths, "B"),
        max_depths=numbers(max_depths, "B"),
        heights=numbers(_heights(hypernyms, order), "B"),
        records=text_rows(nouns.records),
        words=text_rows(spelled),
        senses=rows([words[word] for word in spelled]),
    )


def _check_version(noun_text: bytes, where: str) -> None:
    found = re.search(rb"WordNet ([0-9.]+) Copyright", noun_text[:4096])
    if found and found[1] != b"3.0":
        raise WrongWordNet(
            f"{where} is WordNet {found[1].decode()}, but only 3.0 has ImageNet's wnids: {REMEDY}"
        )


def _damaged(where: str, name: str, what: str) -> WrongWordNet:
    return WrongWordNet(f"{name} in {where} is damaged ({what}): {REMEDY}")


def _read_nouns(noun_text: bytes, where: str) -> _Nouns:
    nouns = _Nouns()
    lines = noun_text.split(b"\n")
    if lines.pop() != b"":
        raise _damaged(where, "data.noun", "the last line is cut")
    try:
        noun_text.decode()
    except UnicodeDecodeError as error:
        raise _damaged(where, "data.noun", f"no UTF-8 text at byte {error.start}") from error
    position = 0
    for number, line in enumerate(lines, start=1):
        if not line.startswith(b"  "):  # the licence at the top is indented by two spaces
            if line[:8] != b"%08d" % position:
                raise _damaged(where, "data.noun", f"line {number} is not at the byte that it names")
            try:
                _read_synset(line, nouns)
            except (ValueError, IndexError) as error:
                raise _damaged(where, "data.noun", f"line {number} is no noun synset") from error
        position += len(line) + 1
    return nouns


def _read_synset(line: bytes, nouns: _Nouns) -> None:
    """Append the synset of one line; raises ValueError or IndexError when the line is not one of WNDB's."""
    head, bar, gloss = line.partition(b" | ")
    fields = head.split()
    count = 4 + 2 * int(
        fields[3], 16
    )  # where the number of pointers stands, behind the pairs of lemma and lex id
    if not bar or fields[2] != b"n" or count == 4 or len(fields) != count + 1 + 4 * int(fields[count]):
        raise ValueError("fields do not add up")
    hypernyms: tuple[bytes, ...] = ()
    instance_hypernyms: tuple[bytes, ...] = ()
    for symbol, target in zip(fields[count + 1 :: 4], fields[count + 2 :: 4], strict=True):
        if symbol == b"@":
            hypernyms += (target,)
        elif symbol == b"@i":
            instance_hypernyms += (target,)
    nouns.numbers[fields[0]] = len(nouns.records)
    nouns.records.append(b" ".join((fields[1], *fields[4:count])) + b"\n" + gloss.rstrip())
    nouns.first_lemmas.append(fields[4].lower())
    nouns.hypernyms.append(hypernyms)
    nouns.instance_hypernyms.append(instance_hypernyms)


def _check_wnids(nouns: _Nouns, where: str) -> None:
    for offset, lemma in LANDMARKS.items():
        number = nouns.numbers.get(b"%08d" % offset)
        if number is None or nouns.first_lemmas[number] != lemma:
            raise WrongWordNet(
                f"{where} is not WordNet 3.0: n{offset:08d} is not {lemma.decode()} there, "
                f"as it is in ImageNet's wnids: {REMEDY}"
            )
    if len(nouns.numbers) != SYNSETS:
        raise _damaged(where, "data.noun", f"{len(nouns.numbers):,} noun synsets instead of {SYNSETS:,}")
    if zlib.crc32(b"".join(nouns.numbers)) != OFFSETS_CRC:
        raise WrongWordNet(f"{where} is not WordNet 3.0: some of its wnids are not ImageNet's: {REMEDY}")


def _numbered(nouns: _Nouns, relation: list[tuple[bytes, ...]], where: str) -> Relation:
    number_of = nouns.numbers.__getitem__
    try:
        return [tuple(map(number_of, targets)) for targets in relation]
    except KeyError as error:
        raise _damaged(
            where, "data.noun", f"a hypernym {error.args[0].decode()} that is not there"
        ) from error


def _inverse(relation: Relation) -> Relation:
    inverse: dict[int, list[int]] = {}
    for source, targets in enumerate(relation):
        for target in targets:
            inverse.setdefault(target, []).append(source)
    return [tuple(inverse.get(number, ())) for number in range(len(relation))]


def _depths(parents: Relation, where: str) -> tuple[list[int], list[int], list[int]]:
    """Shortest and longest way from a root, in steps, and an order in which parents precede their children."""
    children = _inverse(parents)
    missing = [len(above) for above in parents]
    shortest, longest = [len(parents)] * len(parents), [0] * len(parents)
    order = [number for number, count in enumerate(missing) if count == 0]
    for number in order:
        shortest[number] = 0
    for number in order:  # grows while it is walked
        down, deep = shortest[number] + 1, longest[number] + 1
        for child in children[number]:
            shortest[child] = min(shortest[child], down)
            longest[child] = max(longest[child], deep)
            missing[child] -= 1
            if missing[child] == 0:
                order.append(child)
    if len(order) != len(parents):
        raise _damaged(where, "data.noun", "its hypernyms run in a circle")
    return shortest, longest, order


def _heights(hypernyms: Relation, order: Sequence[int]) -> list[int]:
    """Longest way down to a leaf, in steps, through hyponyms alone.

    ImageNet's published hierarchy has 75,850 relations, WordNet's hypernyms without the 8,577 instances.
    """
    heights = [0] * len(hypernyms)
    for number in reversed(order):
        for parent in hypernyms[number]:
            heights[parent] = max(heights[parent], heights[number] + 1)
    return heights


def _read_index(
    index_text: bytes, synset_numbers: dict[bytes, int], where: str
) -> dict[bytes, tuple[int, ...]]:
    """Word (lower case, underscores) → its synsets, first sense first."""
    lines = index_text.split(b"\n")
    if lines.pop() != b"":
        raise _damaged(where, "index.noun", "the last line is cut")
    words: dict[bytes, tuple[int, ...]] = {}
    number_of = synset_numbers.__getitem__
    for number, line in enumerate(lines, start=1):
        if line.startswith(b"  "):
            continue
        try:
            fields = line.split()
            count, pointers = int(fields[2]), int(fields[3])
            if count < 1 or len(fields) != 6 + pointers + count:
                raise ValueError("fields do not add up")
            words[fields[0]] = tuple(map(number_of, fields[-count:]))
        except (ValueError, IndexError) as error:
            raise _damaged(where, "index.noun", f"line {number} is no entry") from error
        except KeyError as error:
            raise _damaged(where, "index.noun", f"line {number} names a synset that is not there") from error
    return words


def _sense_numbers(nouns: _Nouns, words: dict[bytes, tuple[int, ...]], where: str) -> list[int]:
    """Which sense of its first lemma each synset is, counted from 1."""
    try:
        return [words[lemma].index(number) + 1 for number, lemma in enumerate(nouns.first_lemmas)]
    except (KeyError, ValueError) as error:
        raise _damaged(where, "index.noun", "it does not fit data.noun") from error
