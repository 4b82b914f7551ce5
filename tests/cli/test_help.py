"""The help of every command, and what is said of a command line that is wrong."""

import re

import pytest
from support.cli import RunCli

from maskinfer.cli.help import COMMANDS


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_and_no_technical_rest(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, command: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    shown = run_cli(command, "--help").stdout
    assert f"Usage: maskinfer {command}" in " ".join(shown.split())
    for example in COMMANDS[command][1:]:
        assert f"maskinfer {example}".split() == _found(shown, example)
    assert "<bool>" not in shown
    assert "\\[" not in shown
    assert max(map(len, shown.splitlines())) <= width


def _found(shown: str, example: str) -> list[str]:
    """The words of an example as the help shows them, over however many lines."""
    words = shown[shown.index("Examples:") :].split()
    starts = [i for i, word in enumerate(words) if word == "maskinfer"]
    length = len(example.split()) + 1
    return next(
        (words[i : i + length] for i in starts if words[i + 1 : i + length] == example.split()), []
    )


def test_commands_stand_in_groups(run_cli: RunCli) -> None:
    shown = run_cli("--help").stdout
    places = [shown.index(f" {group} ") for group in ("Use", "Data", "Train", "Ship")]
    assert places == sorted(places)
    assert run_cli().stdout == shown


def test_brackets_in_a_help_are_shown(run_cli: RunCli) -> None:
    assert "[lite]" in run_cli("audit", "--help").stdout


def test_a_recipe_for_another_command_is_not_offered(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    shown = run_cli("train", "--help").stdout
    assert "default|finetune|multi-scale|one-gpu|report|two-cores|FILE" in shown


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["train", "--model", "resnt"],
            "--network: got 'resnt', expected one of resnet, fasterrcnn, lite; did you mean "
            "resnet?; see maskinfer train --help",
        ),
        (["train", "--epochs", "abc"], "--epochs: got 'abc', expected a whole number; see"),
        (["train", "--lr", "x"], "--lr: got 'x', expected a number; see"),
        (["predict", "x", "--batch-size", "0"], "--batch-size: got '0', expected at least 1; see"),
        (["predict", "x", "--threshold", "3"], "--threshold: got '3', expected at most 1; see"),
        (["predict", "x", "--threshold"], "option '--threshold' requires an argument"),
        (["predict", "x", "--providr", "cpu"], "no such option: --providr"),
        (["predict", "x", "--files-from", "nix"], "--files-from: 'nix': No such file"),
        (["predct", "x"], "no such command 'predct'. Did you mean 'predict'?; see maskinfer"),
        (["import"], "FORMAT: missing; see maskinfer import --help"),
        (["doctor", "x"], "got unexpected extra argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_one_line_in_plain_words(
    run_cli: RunCli, arguments: list[str], line: str
) -> None:
    done = run_cli(*arguments)
    assert done.code == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {line}")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_version(run_cli: RunCli, word: str) -> None:
    assert re.fullmatch(r"maskinfer \d+\.\d+\.\d+\n", run_cli(word).stdout)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("maskinfer pre", ["predict"]),
        ("maskinfer train --network ", ["resnet", "fasterrcnn", "lite"]),
        ("maskinfer predict --retr", ["--retry-failed"]),
        ("maskinfer export shi", ["shipped"]),
        ("maskinfer train --weights im", ["imagenet"]),
        ("maskinfer train --recipe fin", ["finetune"]),
        ("maskinfer export runs/", []),  # the shell's own: files
    ],
)
def test_shells_complete(run_process: RunCli, words: str, expected: list[str]) -> None:
    env = {
        "_MASKINFER_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    assert run_process(env=env).stdout.split() == expected
