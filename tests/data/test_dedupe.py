"""Duplicates, conflicts, and groups."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.core.types import Example, Span
from pointsman.data import neardup
from pointsman.data.dedupe import Groups, drop_duplicates, group_rows
from pointsman.data.neardup import (
    character_shingles,
    near_duplicate_pairs,
    normalised,
    similarity,
    word_shingles,
)
from pointsman.data.sources import SourceRequest, load_source
from pointsman.tasks.catalogue import TASKS

CATEGORY, PII, JAILBREAK = TASKS["category"], TASKS["pii"], TASKS["jailbreak"]
LONG = "the quick brown fox jumps over the lazy dog while the old farmer sleeps under a tall tree"


def rows(*pairs):
    return [Example(text=text, label=label) for text, label in pairs]


def places(examples):
    return [f"f.jsonl: row {i}" for i, _ in enumerate(examples, start=1)]


def dropped(examples, spec=CATEGORY):
    return drop_duplicates(examples, places(examples), spec)


def test_copies_are_the_same_after_case_blanks_and_composition():
    found = dropped(rows(("Café  law", "law"), ("cafe\u0301 LAW\n", "law"), ("other", "law")))
    assert found.kept == [0, 2]
    assert found.duplicates == 1
    assert found.conflicts == []


def test_contradicting_copies_all_go_and_are_listed_without_their_text():
    found = dropped(rows(("secret", "law"), ("x", "math"), ("Secret", "math"), ("secret", "law")))
    assert found.kept == [1]
    assert found.duplicates == 0
    (entry,) = found.conflicts
    assert entry["rows"] == 3
    assert entry["labels"] == ["law", "math"]
    assert entry["places"] == ["f.jsonl: row 1", "f.jsonl: row 3", "f.jsonl: row 4"]
    assert "secret" not in str(found.report()).lower()
    assert found.report()["conflicting_rows_dropped"] == 3


def test_spans_that_differ_are_a_conflict():
    same = Example(text="Ann came", spans=(Span(0, 3, "PERSON"),))
    moved = Example(text=" ann came", spans=(Span(1, 4, "PERSON"),))
    bare = Example(text="Ann came")
    assert dropped([same, moved], PII).kept == [0]
    assert dropped([same, bare], PII).kept == []


def test_a_kind_kept_out_contradicts_a_trained_one_but_not_another():
    harmful = Example(text="x", label="benign", kind="harmful", split="slice:harmful")
    toxic = Example(text="x", label="benign", kind="toxic", split="slice:toxic")
    benign = Example(text="x", label="benign", kind="benign")
    assert dropped([harmful, benign], JAILBREAK).kept == []
    assert dropped([harmful, toxic], JAILBREAK).kept == [0]


def test_the_test_copy_stays():
    copies = [
        Example(text="x", label="law", split=split)
        for split in ("slice:ood", None, "train", "test", "validation")
    ]
    assert dropped(copies).kept == [3]
    assert dropped(copies[:3]).kept == [2]
    assert dropped(copies[:2]).kept == [1]


@given(st.lists(st.tuples(st.sampled_from("aAbBcC"), st.sampled_from(["law", "math"]))))
def test_dropping_twice_drops_no_more(pairs):
    examples = rows(*pairs)
    once = dropped(examples)
    kept = [examples[i] for i in once.kept]
    again = dropped(kept)
    assert again.kept == list(range(len(kept)))
    texts = [normalised(example.text) for example in kept]
    assert len(texts) == len(set(texts))
    conflicting = sum(entry["rows"] for entry in once.conflicts)
    assert len(kept) + once.duplicates + conflicting == len(examples)


def test_near_duplicates_are_found_and_others_are_not():
    texts = [LONG, LONG.upper() + " indeed", "a quite different text about the law of contracts"]
    assert set(near_duplicate_pairs(texts)) == {(0, 1)}


def test_one_changed_word_in_a_short_text():
    texts = ["please translate this letter into french", "please translate this letter in french"]
    assert set(near_duplicate_pairs(texts)) == {(0, 1)}
    assert not list(near_duplicate_pairs(["what is the capital of france", "who is the king"]))


def test_verdicts_are_true_similarities():
    """MinHash only proposes: every pair that comes out is as similar as is claimed."""
    words = LONG.split()
    texts = [" ".join(words[:n] + ["x"] * (18 - n)) for n in range(18)]
    for left, right in near_duplicate_pairs(texts, threshold=0.7):
        a, b = normalised(texts[left]), normalised(texts[right])
        best = max(similarity(f(a), f(b)) for f in (word_shingles, character_shingles))
        assert best >= 0.7


def families(count, words, seed=0):
    """Texts in families: each a few words away from its first."""
    draw = random.Random(seed)
    texts = []
    for number in range(count):
        own = [f"w{draw.randrange(10**6)}" for _ in range(words)]
        if number % 3:
            own = [*texts[-1].split()]
            own[draw.randrange(words)] = f"w{draw.randrange(10**6)}"
        texts.append(" ".join(own))
    return texts


@pytest.mark.parametrize("words", [8, 30, 60])
def test_no_pair_is_missed_and_none_is_made_up(words):
    """Against every pair, one by one; the texts fill more than one block of signatures."""
    texts = families(150, words)
    expected = set()
    for left, right in itertools.combinations(range(len(texts)), 2):
        a, b = texts[left], texts[right]
        ways = (word_shingles, character_shingles) if words <= 12 else (word_shingles,)
        if max(similarity(way(a), way(b)) for way in ways) >= 0.7:
            expected.add((left, right))
    assert expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neardup, "_CHUNK", 64)
        assert set(near_duplicate_pairs(texts)) == expected


def test_pairs_come_once_and_known_ones_are_skipped():
    texts = [f"{LONG} {number}" for number in range(6)]
    pairs = list(near_duplicate_pairs(texts))
    assert len(pairs) == len(set(pairs)) == 15
    assert all(left < right for left, right in pairs)
    assert list(near_duplicate_pairs(texts, skip=lambda left, right: left == 0)) == [
        pair for pair in near_duplicate_pairs(texts) if pair[0]
    ]


@pytest.mark.parametrize("texts", [[], ["alone"], ["", " "]])
def test_few_texts(texts):
    assert set(near_duplicate_pairs(texts)) <= {(0, 1)}


def test_shingles_of_few_words():
    assert word_shingles("one") == {"one"}
    assert word_shingles("one two") == {"one two"}
    assert word_shingles("one two three") == {"one two three"}
    assert word_shingles("a b c d") == {"a b c", "b c d"}


@given(st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)))
def test_similarity_is_jaccard(left, right):
    left, right = set(map(str, left)), set(map(str, right))
    expected = len(left & right) / len(left | right) if left | right else 0.0
    assert similarity(left, right) == pytest.approx(expected)


def test_given_groups_and_near_duplicates_merge():
    examples = [
        Example(text="short one", label="law", group="a"),
        Example(text=LONG, label="law", group="a"),
        Example(text=LONG + " again", label="law", group="b"),
        Example(text="entirely unlike", label="law", group="b"),
        Example(text="alone in here", label="law"),
    ]
    groups, report = group_rows(examples)
    assert len(set(groups[:4])) == 1
    assert groups[4] not in groups[:4]
    assert (report["groups_given"], report["groups"], report["largest_group"]) == (3, 2, 4)
    unlinked, _ = group_rows(examples, threshold=None)
    assert unlinked[1] != unlinked[2]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9))))
def test_groups_are_the_connected_components(links):
    groups = Groups(10)
    for left, right in links:
        groups.join(left, right)
    reached = {i: {i} for i in range(10)}
    for _ in range(10):
        for left, right in links:
            reached[left] = reached[right] = reached[left] | reached[right]
            for member in reached[left]:
                reached[member] = reached[left]
    for i in range(10):
        for j in range(10):
            assert groups.together(i, j) == (j in reached[i])


def test_the_leak_of_an_official_split_is_found(shared_data):
    """jackhhao's test split holds 41 rows with a near-duplicate in its own train split."""
    request = SourceRequest(name="jailbreak_classification", official_splits=True)
    loaded = load_source(request, JAILBREAK, mirror=shared_data / "hub")
    assert Counter(e.split for e in loaded.examples) == {"train": 1051, "test": 255}
    near = {
        j if loaded.examples[j].split == "test" else i
        for i, j in near_duplicate_pairs([e.text for e in loaded.examples])
        if {loaded.examples[i].split, loaded.examples[j].split} == {"train", "test"}
    }
    assert 39 <= len(near) <= 43
