"""Windows and sentence pairs on literals and on synthetic text."""

import numpy as np

from emr_ner_tf.pretraining.sentence_pairs import cut_windows, pair_sentences


def _texts_of(windows, passages):
    text = "".join(passages)
    starts = windows.piece_starts
    return [text[starts[first] : starts[end]] for first, end in zip(windows.first, windows.end, strict=True)]


def test_windows_end_at_sentence_ends():
    passages = ["甲乙。丙丁！”戊己", "长长长长，长长长长长长", "短"]
    windows = cut_windows(passages, 8)
    assert _texts_of(windows, passages) == ["甲乙。丙丁！”", "戊己", "长长长长，", "长长长长长长", "短"]
    assert windows.passage.tolist() == [0, 0, 1, 1, 2]
    assert (windows.end - windows.first).tolist() == [2, 1, 1, 1, 1]


def test_a_sentence_without_a_pause_is_cut_anywhere():
    windows = cut_windows(["长" * 20], 8)
    assert np.diff(windows.piece_starts).tolist() == [8, 8, 4]
    assert len(windows.first) == 3


def test_every_character_is_in_one_window_of_each_epoch(texts):
    size = 40
    windows = cut_windows(texts, size)
    seen = []
    for epoch in range(2):
        pairs = pair_sentences(windows, size=size, seed=1, epoch=epoch)
        assert pairs.lengths.max() <= size
        places = [np.arange(*span) for span in zip(pairs.a_start, pairs.a_end, strict=True)]
        places += [np.arange(*span) for span in zip(pairs.b_start, pairs.b_end, strict=True)]
        np.testing.assert_array_equal(np.sort(np.concatenate(places)), np.arange(sum(map(len, texts))))
        seen.append(pairs)
    assert any((one != two).any() for one, two in zip(*seen, strict=True)), "another epoch, other pairs"
    again = pair_sentences(windows, size=size, seed=1, epoch=1)
    for one, two in zip(seen[1], again, strict=True):
        np.testing.assert_array_equal(one, two)


def test_labels_tell_the_truth(texts):
    windows = cut_windows(texts, 60)
    pairs = pair_sentences(windows, size=60, seed=1, epoch=0)
    ends = np.cumsum([len(text) for text in texts])
    passage_of = {kind: np.searchsorted(ends, getattr(pairs, f"{kind}_start"), side="right") for kind in "ab"}
    follows = pairs.other == 0
    assert (pairs.b_start[follows] == pairs.a_end[follows]).all()
    assert (passage_of["a"][follows] == passage_of["b"][follows]).all()
    exchanged = pairs.other == 1
    assert (passage_of["a"][exchanged] != passage_of["b"][exchanged]).all()
    alone = pairs.other == -1
    assert (pairs.b_start[alone] == pairs.b_end[alone]).all()
    assert (windows.end - windows.first == 1)[alone].all()
    assert (pairs.a_end > pairs.a_start).all()
    assert (pairs.b_end > pairs.b_start)[~alone].all()
    # Nearly half of the pairs: some of those chosen find no partner.
    assert 0.35 < exchanged.sum() / (~alone).sum() <= 0.5


def test_one_passage_has_nobody_to_exchange_with():
    pairs = pair_sentences(cut_windows(["甲乙。丙丁。戊己。庚辛。"], 6), size=6, seed=1, epoch=0)
    assert pairs.other.tolist() == [0, 0]
