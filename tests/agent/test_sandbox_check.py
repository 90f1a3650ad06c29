"""Every hostile program is contained; and the check is able to say that one is not."""

import asyncio
from collections import Counter

import pytest
from maia.agent.sandbox.check import CheckResult, check, render
from maia.agent.sandbox.hostile import PROGRAMS
from maia.agent.sandbox.hostile_program import Program

NAMES = [program.name for program in PROGRAMS]


@pytest.fixture(scope="module")
def results() -> dict[str, CheckResult]:
    return {result.name: result for result in asyncio.run(check("bubblewrap", jobs=4))}


def test_there_are_enough_programs_with_names_of_their_own() -> None:
    assert len(PROGRAMS) >= 45
    assert [name for name, count in Counter(NAMES).items() if count > 1] == []


@pytest.mark.parametrize("name", NAMES)
def test_hostile_program_is_contained(name: str, results: dict[str, CheckResult]) -> None:
    result = results[name]
    assert result.problems == []
    assert result.survivors == []


def test_the_table_shows_every_program(results: dict[str, CheckResult]) -> None:
    assert render(list(results.values())).row_count == len(PROGRAMS)


STEALING = [
    Program("file", "print(open('@SECRET_FILE@').read())"),
    Program("changed file", "open('@SECRET_FILE@', 'a').write('!')"),
    Program("connection", "import socket\nsocket.create_connection(('127.0.0.1', @TCP@))"),
    Program("datagram", "import socket\nsocket.socket(2, 2).sendto(b'x', ('127.0.0.1', @UDP@))"),
    Program("abstract socket", "import socket\nsocket.socket(socket.AF_UNIX).connect('\\0@ABSTRACT@')"),
    Program("call", "system.neuron(open('@SECRET_FILE@').read())"),
]
SIGNS = ["the secret came out", "a file outside was changed", "something reached", "something reached"]
SIGNS += ["something reached", "the secret came out in a call"]


@pytest.mark.parametrize(("program", "sign"), list(zip(STEALING, SIGNS, strict=True)))
async def test_without_bubblewrap_the_check_sees_the_theft(program: Program, sign: str) -> None:
    [result] = await check("none", programs=[program])
    assert any(sign in problem for problem in result.problems)
    assert not result.contained


async def test_the_check_sees_a_wrong_outcome_and_a_missing_word() -> None:
    programs = [
        Program("raises", "1 / 0"),
        Program("silent", "pass", says="refused"),
        Program("leaks", "print('LEAK')"),
    ]
    raises, silent, leaks = await check("bubblewrap", programs=programs)
    assert "outcome 'error', not ok" in raises.problems[0]
    assert "'refused' is not in" in silent.problems[0]
    assert "it got something" in leaks.problems[0]
