"""What compares a training with Flower: hecli's half in small, and what is shown. No test measures time."""

import json

import pytest

from hecli.arithmetic.choosing import available
from hecli.bench import flower, native, scale, trainings
from hecli.bench.trainings import Figures, figures, measure, write_weights
from hecli.cli.bench import native_rows, noise_rows, part_rows, setting_rows
from hecli.errors import HecliError


def way(seconds, up):
    return Figures(first=9.0, seconds=seconds, first_up=2 * up, up=up, peak_bytes=3_000_000, files=7)


def test_the_first_round_stands_apart_and_the_median_of_the_others_counts():
    found = figures([9.0, 1.0, 5.0, 2.0], [800.0, 400.0, 401.0, 402.0], None, 4)
    assert found == Figures(first=9.0, seconds=2.0, first_up=800.0, up=401.0, peak_bytes=None, files=4)


def test_hecli_half_measures_a_training(tmp_path):
    assert write_weights(tmp_path, (2, 3, 1), 2) == 13
    found = measure(tmp_path, 2, 2, None, 60)
    assert found.first > 0 < found.seconds
    assert 1000 < found.up < 10_000
    # Two rounds of a plan, two enrollments, two updates, an aggregate and a sum; terms, model and ledger.
    entries = len(list((tmp_path / "shared" / "ledger").iterdir()))
    assert found.files == 2 * 7 + 2 + entries


def test_hecli_half_says_who_failed(tmp_path, monkeypatch):
    write_weights(tmp_path, (2, 3, 1), 2)
    monkeypatch.setattr(trainings, "COORDINATOR", "nobody")
    with pytest.raises(HecliError, match=r"hecli run --identity people/nobody.id failed: cannot read"):
        measure(tmp_path, 2, 2, None, 60)
    with pytest.raises(HecliError, match=r"hecli start failed: .* exists"):
        measure(tmp_path, 2, 2, None, 60)


def test_hecli_half_ends_what_takes_too_long(tmp_path):
    write_weights(tmp_path, (2, 3, 1), 2)
    with pytest.raises(HecliError, match="did not end in 0 s"):
        measure(tmp_path, 2, 2, None, 0.2)


def test_weights_are_the_same_in_every_run(tmp_path):
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
        write_weights(folder, (2, 3, 1), 2)
    names = sorted(each.name for each in folders[0].iterdir())
    assert names == ["made-0-0.npz", "made-0-1.npz", "made-1-0.npz", "made-1-1.npz", "model.npz"]
    assert all((folders[0] / name).read_bytes() == (folders[1] / name).read_bytes() for name in names)


def test_table_and_ratios():
    ways = {"hecli, masks": way(1.0, 100.0), "Flower, SecAgg+": way(2.0, 400.0)}
    model = {"values": 9610, "ways": {name: each._asdict() for name, each in ways.items()}}
    shown = flower.lines({"parties": 5, "rounds": 10, "cores": 2, "machine": "x", "models": [model]})
    assert shown[0] == "5 parties, 10 rounds, 2 cores of x"
    assert shown[2].split("values")[1].split() == " ".join(flower.COLUMNS).split()
    assert shown[3].split() == ["hecli,", "masks", "1.00", "9.00", "0.1", "0.2", "3", "7"]
    assert shown[5] == (
        "hecli, masks beside Flower, SecAgg+: 0.50 of its time, 0.25 of its bytes, 1.00 of its memory"
    )


def test_flower_half_reads_what_the_app_prints(tmp_path):
    """The app itself needs Flower: here something else prints its figures."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho noise\necho \'{"seconds": [3, 1, 1], "up": [5, 4, 4]}\'\n')
    python.chmod(0o700)
    found = flower.flower(python, tmp_path, 5, 3, secure=True)
    assert found._replace(peak_bytes=None) == Figures(3, 1, 5, 4, None, 0)
    with pytest.raises(HecliError, match="did not do all rounds"):
        flower.flower(python, tmp_path, 5, 4, secure=True)
    python.write_text("#!/bin/sh\necho 'no module named flwr' >&2\nexit 1\n")
    with pytest.raises(HecliError, match="Flower failed: no module named flwr"):
        flower.flower(python, tmp_path, 5, 3, secure=True)


def test_json(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(flower, "install", lambda folder, report: tmp_path)
    monkeypatch.setattr(flower, "measure", lambda *_: way(1.0, 100.0))
    flower.main(["--only", "hecli, masks", "--json", "--environment", str(tmp_path)])
    summary = json.loads(capsys.readouterr().out)
    assert [each["values"] for each in summary["models"]] == [9610, 978_058]
    assert summary["models"][0]["ways"]["hecli, masks"]["seconds"] == 1.0


def test_parts_are_shown_beside_the_whole():
    figures_ = {"encrypt": 4.0, "add": 2.0, "decrypt": 8.0, "size": 6.0}
    half = {name: value / 2 for name, value in figures_.items()}
    rows = part_rows({"parts": {"100 %": figures_, "50 %": half}})
    assert rows[0] == ["100 %", "4.00 (1.00)", "2.00 (1.00)", "8.00 (1.00)", "6.00 (1.00)"]
    assert rows[1][1] == "2.00 (0.50)"


def test_settings_are_shown_beside_the_first():
    settings = {"16 bits": {"encrypt": 2.0, "size": 4.0}, "2 bits": {"encrypt": 1.0, "size": 1.0}}
    rows = setting_rows({"smaller": {"settings": settings}})
    assert rows == [["16 bits", "2.00 (1.00)", "4.00 (1.00)"], ["2 bits", "1.00 (0.50)", "1.00 (0.25)"]]


def test_noise_is_shown_beside_plain_updates():
    found = {"bits": 18, "sigma": 10651.7, "ratio": 1.137, "plain": 3.141, "noisy": 3.57}
    found |= {"plain size": 5.307, "noisy size": 5.308}
    rows = noise_rows({"noise": {"updates": {"party": found}}})
    assert rows == [["a party, by 10,652 steps", "3.57", "3.14", "1.14", "5.31", "5.31", "18"]]


@pytest.mark.slow
@pytest.mark.parametrize("words", [("--run", "2x2000"), ("--run", "3x2000", "--masks")])
def test_large_rounds_are_measured(capsys, words):
    scale.main(words)
    said = capsys.readouterr().out
    for step in ("encrypt", "aggregate", "verify", "open"):
        assert f"\n{step}" in said
    assert "core-seconds" in said


@pytest.mark.slow
def test_parts_and_dask_are_measured_beside_one_machine(capsys):
    scale.beside(2, 2000, print)
    said = capsys.readouterr().out
    assert "the same bytes: True" in said
    assert said.count("of the time of the parts") == 2


def test_each_arithmetic_is_measured_beside_gmpy2(monkeypatch):
    names = available()[-2:]
    monkeypatch.setattr(native, "available", lambda: names)
    monkeypatch.setattr(native, "REPEATS", 1)
    found = native.native(2048, 600, lambda _: None)["native"]
    assert tuple(found) == names
    for figures_ in found.values():
        assert set(figures_["alone"]) == set(native.ALONE)
        assert all(taken > 0 for taken in [*figures_["alone"].values(), *figures_["commands"].values()])
        assert list(figures_["commands"]) == [
            "encrypt",
            "aggregate 10",
            "decrypt",
            "decrypt, one core",
            "partial",
        ]


def test_the_table_of_each_arithmetic():
    summary = {"native": {"fma256": {"alone": {"encrypt": 0.5}}, "off": {"alone": {"encrypt": 2.0}}}}
    assert native_rows(summary, "alone", 1e3) == [["fma256", "500 (4.0)"], ["gmpy2", "2,000 (1.0)"]]
    summary["native"]["fma256"]["alone"]["encrypt"] = None
    assert native_rows(summary, "alone", 1e3)[0] == ["fma256", "unknown"]
