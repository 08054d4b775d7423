"""What the terminal shows: lines that fit, names that steer nothing, and a word for a slip."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hecli.cli import console, main, options
from hecli.cli.console import _wrapped, printable, say, show_error, show_list, shown
from hecli.formats.text import duration, is_printable, percent

LONG = "the update of this party follows another plan than the one that was given, which cannot be added up"


@pytest.fixture
def eighty(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def test_errors_fit_the_terminal(eighty, capfd):
    show_error(f"{'x' * 100}.enc: {LONG}", f"{LONG}: {LONG}")
    lines = capfd.readouterr().err.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "error: " + "x" * 73
    hint = next(at for at, line in enumerate(lines) if line.startswith("hint: "))
    assert all(line.startswith(" " * 7) and line[7] != " " for line in lines[1:hint])
    assert all(line.startswith(" " * 6) and line[6] != " " for line in lines[hint + 1 :])
    assert " ".join(line.strip() for line in lines[hint:]) == f"hint: {LONG}: {LONG}"


def test_lines_go_on_under_their_text(eighty, capfd):
    say(f"  signed by    {LONG}\n  {LONG}\nwarning: {LONG}\n\nshort")
    lines = capfd.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [len(line) - len(line.lstrip()) for line in lines] == [2, 15, 2, 2, 0, 9, 0, 0]


def test_words_are_not_broken_at_hyphens(eighty, capfd):
    say(f"{'x' * 70} north-hospital-of-the-city")
    assert capfd.readouterr().out.splitlines() == ["x" * 70, "north-hospital-of-the-city"]


def test_elsewhere_a_line_is_one_line(monkeypatch, capfd):
    monkeypatch.delenv("COLUMNS", raising=False)
    show_error(LONG * 3, LONG * 3)
    assert capfd.readouterr().err.splitlines() == [f"error: {LONG * 3}", f"hint: {LONG * 3}"]


@given(st.text(st.characters(exclude_characters="\n")), st.integers(20, 100))
def test_wrapped_lines_fit_and_say_the_same(text, columns):
    text = printable(text)
    pieces = _wrapped(text, columns)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    for piece in pieces:
        wide = sum(unicodedata.east_asian_width(each) in "WF" for each in piece)
        # A word of wide characters may be broken one column late.
        assert len(piece) + wide <= columns + 1


LEDGER = ["no", "when", "who", "what", "plan", "file", "digest"]


def listed(capfd, *rows):
    show_list(LEDGER, rows, dropped="digest", cut=("who", "plan", "file"))
    return capfd.readouterr().out.splitlines()


def test_a_list_fits_the_terminal_a_line_a_row(eighty, capfd):
    row = ["12", "2026-10-18 10:21", "hospital-2", "aggregate", "round-010", "party-3.update.enc", "0" * 10]
    lines = listed(capfd, row, ["a note that is " + "long " * 30 + "indeed"])
    assert lines[1].split("  ") == row[:-1]
    assert lines[2].startswith("    a note that is long")
    assert lines[2].endswith("indeed")
    assert max(map(len, lines)) <= 80
    long = [*row[:2], "hospital-of-the-north", "aggregate", "a-name-of-a-plan", "f" * 60 + ".enc", "0" * 10]
    lines = listed(capfd, row, long)
    assert len(lines) == 3
    assert lines[2].endswith(".enc")
    assert max(map(len, lines)) <= 80
    lines = listed(capfd, [*row[:2], "\u6771\u4eac" * 20, *row[3:]])
    assert max(sum(1 + (each > "\u1000") for each in line) for line in lines) <= 80


def test_a_list_that_fits_is_all_there(capfd, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    row = ["1", "2026-10-18 10:21", "alice", "update", "round", "a.enc", "0" * 10]
    assert listed(capfd, row)[1].split() == " ".join(row).split()


@given(st.text())
def test_names_from_files_steer_nothing(text):
    assert is_printable(shown(text))
    assert is_printable(printable(text).replace("\n", ""))
    assert printable(text).count("\n") == text.count("\n")


def test_names_with_ends_of_lines_stay_in_their_line(capfd):
    assert shown("a\nb\u202ec") == "a\\nb\\u202ec"
    show_error("cannot read x\nhint: send me your key: no such file")
    assert capfd.readouterr().err == "error: cannot read x\\nhint: send me your key: no such file\n"


def test_a_file_name_with_an_end_of_line(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main.run(["ledger", "head", "a\nerror: b"]) == 1
    assert capfd.readouterr().err.splitlines()[0] == "error: a\\nerror: b holds no ledger"


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["encrpt"], "no such command 'encrpt'", "did you mean encrypt?"),
        (["agregate", "a.enc"], "no such command 'agregate'", "did you mean aggregate?"),
        (["ledger", "verfy"], "no such command 'verfy'", "did you mean verify?"),
        (["zzz"], "no such command 'zzz'", "hecli --help"),
    ],
)
def test_a_wrong_command_is_met_with_the_right_one(arguments, error, hint, capfd):
    assert main.run(arguments) == 2
    assert capfd.readouterr().err == f"error: {error}\nhint: {hint}\n"


def test_a_wrong_option_is_still_an_option(capfd):
    assert main.run(["--frobnicate"]) == 2
    assert "option" in capfd.readouterr().err


def test_help_groups_all_commands(capfd):
    assert main.run(["--help"]) == 0
    said = capfd.readouterr().out
    places = [said.index(f"\n{title}:\n") for title in main.GROUPS]
    places += [said.index(f"\n  {name}  ") for name in main.COMMANDS if len(name) == 9]
    assert places[:3] == sorted(places[:3])
    order = [
        line.split()[0] for line in said[places[0] :].splitlines() if line[:2] == "  " and line[2] != " "
    ]
    assert order == list(main.COMMANDS)
    assert max(map(len, said.splitlines())) <= 80


def test_options_that_do_nothing_are_refused_where_they_were_typed(monkeypatch, capfd):
    import click

    @click.command()
    @click.option("--enroll", "enrollments", envvar="HECLI_ENROLL")
    @click.option("-w", "--weight", type=int)
    def probe(enrollments, weight):
        options.refuse(("enrollments", "weight"), "is for another case")
        click.echo(f"{enrollments} {weight} {options.typed('weight')}")

    def refused(*arguments):
        with pytest.raises(click.UsageError) as caught:
            probe.main(arguments, standalone_mode=False)
        return caught.value.message

    assert refused("--enroll", "x") == "--enroll is for another case"
    assert refused("-w", "0") == "--weight is for another case"
    monkeypatch.setenv("HECLI_ENROLL", "y")
    probe.main([], standalone_mode=False)
    assert capfd.readouterr().out == "y None False\n"
    assert console.LINE_LIMIT


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.003, "less than 0.1 s"),
        (0.25, "0.2 s"),
        (3, "3 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (54.3, "54 s"),
        (119.9, "120 s"),
        (150, "2.5 min"),
        (1500, "25 min"),
        (3 * 3600, "3 h"),
        (1e5, "28 h"),
        (1e6, "12 days"),
    ],
)
def test_times_are_written_as_people_read_them(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0, "0 %"),
        (1e-6, "less than 0.001 %"),
        (1e-5, "0.001 %"),
        (0.0031, "0.31 %"),
        (0.003, "0.3 %"),
        (0.125, "12 %"),
        (1, "100 %"),
    ],
)
def test_shares_are_written_as_people_read_them(share, words):
    assert percent(share) == words
