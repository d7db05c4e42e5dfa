"""The command line in this process, on an environment in memory: each row of the exit codes, each rule of the output."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import threading
import time

import pytest
from tests.fixtures.golden import same
from tests.fixtures.memory_site import POLICY
from tests.unit.ui.shell import BAD_CONFIGURATION, Latin, shell

from changeover.core.errors import BalancerUnreachable, Exit
from changeover.core.model import Counters, Route, Version
from changeover.ui.cli.signals import AtOnce
from changeover.ui.cli.table import COMMANDS, find

GATE = {10_000: "release-manager"}


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch, tmp_path):
    monkeypatch.setenv("CHANGEOVER_BY", "dana")
    monkeypatch.setattr(socket, "gethostname", lambda: "ops-1")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.chdir(tmp_path)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def sh(tmp_path):
    return shell(tmp_path)


@pytest.fixture
def production(tmp_path):
    return shell(tmp_path, production=True)


def at(sh, effect, act):
    """Do something when the world has this effect for the first time."""
    done = []

    def hook(name):
        if name.startswith(effect) and not done:
            done.append(name)
            act()

    sh.world.hook = hook


def send(sh, number, *argv):
    """Send a signal to this process when the first instance was started; the run goes on when it was seen."""
    err = io.StringIO()

    def act():
        os.kill(os.getpid(), number)
        deadline = time.monotonic() + 30
        while "Stopping" not in err.getvalue() and "is gone" not in err.getvalue():
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)

    at(sh, "after start green-1", act)
    answer = sh(*(argv or ("release", "1.1.0")), err=err)
    sh.world.hook = lambda _: None
    return answer


def bad_version(sh):
    at(sh, "after route blue:green:2500", lambda: sh.world.counted.update(green=Counters(100, 50, 0, 3)))


def somebody_else_routes(sh):
    at(
        sh,
        "after route blue:green:2500",
        lambda: setattr(sh.world, "route", Route("green", "blue", 0, 0, 0, "somebody")),
    )


# exit codes: one test per row of the contract ------------------------------------------------------------------


def test_0_done_and_proved(sh):
    answer = sh("release", "1.1.0")
    assert answer.code == 0
    assert answer.out.startswith("Done in ")
    assert sh("status").code == 0
    assert sh("rollback", "--because", "odd").code == 0
    assert sh.door.status().serving == "1.0.0"


def test_1_failed_and_undone(sh):
    sh.world.never_ready.add("green-2")
    answer = sh("release", "1.1.0")
    assert answer.code == 1
    assert answer.out.startswith("Failed: v1.1.0 did not prove itself")
    assert "No user saw v1.1.0" in answer.out


def test_1_doctor_found_something(sh):
    sh.world.unreachable = True
    answer = sh("doctor")
    assert answer.code == 1
    assert "1 problem would stop a release" in answer.out


@pytest.mark.parametrize(
    "argv",
    [
        ("release",),
        ("relese", "1.1.0"),
        ("release", "1.1.0", "--nope"),
        ("release", "not a version"),
        ("release", "1.1.0", "--until", "26%"),
        ("release", "1.1.0", "--until", "half"),
        ("status", "--timeout", "soon"),
        ("explain", "CO-9999"),
        ("runbook", "x.plan", "--format", "pdf"),
        ("cleanup", "--accept-hash", "12345678"),
    ],
)
def test_2_wrong_usage(sh, argv):
    answer = sh(*argv)
    assert answer.code == 2
    assert "CO-0013" in answer.err
    assert answer.out == ""
    assert sh.door.history() == ()


def test_2_wrong_configuration(sh):
    sh.opens = BAD_CONFIGURATION
    for argv in (("status",), ("check",), ("release", "1.1.0")):
        answer = sh(*argv)
        assert answer.code == 2
        assert 'did you mean "socket"?' in answer.err


def test_3_plan_check_has_something_to_do(sh):
    assert sh("plan", "1.1.0", "--check").code == 3
    assert sh("plan", "1.0.0", "--check").code == 0
    assert sh("plan", "1.0.0").code == 5


def test_4_waits_at_a_gate_and_a_worker_watches(tmp_path):
    sh = shell(tmp_path, gates=GATE)
    answer = sh("release", "1.1.0")
    assert answer.code == 4
    assert sh.spawned == ["r-0001"]
    assert "changeover approve 100%" in answer.out
    assert sh("status").code == 4


def test_4_detached(sh):
    answer = sh("release", "1.1.0", "--detach")
    assert answer.code == 4
    assert sh.spawned == ["r-0001"]
    assert sh.world.effects == []


def test_4_until_pauses_after_the_share_was_watched(sh):
    answer = sh("release", "1.1.0", "--until", "25%")
    assert answer.code == 4
    assert sh.world.route.share == 2500
    done = [e.step for e in sh.door.events("r-0001") if e.kind == "done"]
    kinds = {s.key: s.action.kind for s in sh.door.plan_of("r-0001").steps}
    assert kinds[done[-1]] == "bake"
    assert sh.spawned == ["r-0001"], "somebody watches the share"
    assert sh("resume").code == 0


def test_4_the_time_limit_holds_the_release(tmp_path):
    sh = shell(tmp_path, gates=GATE)
    answer = sh("release", "1.1.0", "--wait", "--timeout", "1s")
    assert answer.code == 4
    assert sh.door.run_of("r-0001").state == "paused"
    assert sh.spawned == ["r-0001"]


def test_5_refused(sh):
    refused = [("rollback",), ("approve",), ("resume",), ("abort",), ("pause",), ("cleanup", "--out", "x.plan")]
    for argv in refused:
        answer = sh(*argv)
        assert answer.code == 5, (argv, answer)
        assert answer.err.startswith("Refused: ")
    assert sh.world.effects == []


def test_5_a_plan_that_was_edited(sh, tmp_path):
    sh("plan", "1.1.0", "--out", "r.plan")
    plan = tmp_path / "r.plan"
    plan.write_text(plan.read_text().replace('"share": 2500', '"share": 5000'))
    assert sh("release", "r.plan").code == 5
    for content in (
        "",
        "{}",
        "[]",
        '{"format": 1}',
        "\x00\xff",
        '{"format":"changeover.plan/1","hash":"x","plan":{"steps":3}}',
    ):
        plan.write_text(content, encoding="latin-1")
        for argv in (("release", "r.plan"), ("runbook", "r.plan")):
            answer = sh(*argv)
            assert answer.code == 5, (content, answer)
            assert "CO-0404" in answer.err
    assert sh.world.effects == []


def test_5_a_plan_of_another_environment(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert shell(tmp_path / "a", production=True)("plan", "1.1.0", "--out", "r.plan").code == 0
    answer = shell(tmp_path / "b")("release", "r.plan")
    assert answer.code == 5
    assert "the plan is for shop production; this is shop test" in answer.err


def test_5_a_plan_of_another_world(sh):
    sh("plan", "1.1.0", "--out", "r.plan")
    sh.world.objects.add(("column", "t", "by_hand"))
    assert sh("release", "r.plan").code == 5


def test_6_went_back_by_itself(sh):
    bad_version(sh)
    answer = sh("release", "1.1.0")
    assert answer.code == 6
    assert answer.out.startswith("Went back by itself")
    assert "v1.0.0 serves everything" in answer.out
    assert "↩ going back" in answer.err


def test_7_a_person_must_look(sh):
    somebody_else_routes(sh)
    answer = sh("release", "1.1.0")
    assert answer.code == 7
    assert answer.out.startswith("A person must look: r-0001 is held")
    assert sh("status").code == 7
    assert sh.spawned == []


def test_7_the_balancer_is_silent(sh):
    sh.world.unreachable = True
    answer = sh("status")
    assert answer.code == 7
    assert "UNKNOWN" in answer.out


def test_130_the_first_signal_stops_at_the_next_safe_point(sh):
    answer = send(sh, signal.SIGINT)
    assert answer.code == 130
    assert "changeover resume" in answer.out
    assert sh.door.run_of("r-0001").state == "running"
    assert sh.spawned == []
    assert sh("resume").code == 0
    assert sh.door.status().serving == "1.1.0"
    assert [e for e in sh.world.effects if e.startswith("start")] == ["start green-1 1.1.0", "start green-2 1.1.0"]


def test_130_sigterm_too(sh):
    assert send(sh, signal.SIGTERM).code == 130


def test_the_second_signal_ends_at_once(tmp_path):
    sh = shell(tmp_path, gates=GATE)
    stuck = threading.Event()

    def hang():
        os.kill(os.getpid(), signal.SIGINT)
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        stuck.wait(30)

    at(sh, "before start green-1", hang)
    with pytest.raises(AtOnce):
        sh("release", "1.1.0")
    stuck.set()


def test_a_terminal_that_goes_away_leaves_the_run_to_a_worker(sh):
    assert send(sh, signal.SIGHUP).code == 4
    assert sh.spawned == ["r-0001"]


def test_signals_are_given_back(sh):
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    sh("release", "1.1.0")
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_every_exit_code_is_promised_for_some_command():
    promised = {code for c in COMMANDS for code in c.exits}
    assert promised == {int(e) for e in Exit}


# what nobody foresaw -------------------------------------------------------------------------------------------


def explode(sh, effect):
    def boom():
        raise RuntimeError("postgresql://shop:hunter2@db-1/shop said no, password='hunter2'")

    at(sh, effect, boom)


def test_an_unexpected_error_before_the_first_change_is_1(sh, monkeypatch):
    sh.opens = RuntimeError("token=abcd1234 broke")
    answer = sh("release", "1.1.0")
    assert answer.code == 1
    assert "CO-0499" in answer.err
    assert "abcd1234" not in answer.err
    assert "Traceback" not in answer.err


def test_an_unexpected_error_of_the_line_itself_after_a_change_is_7(sh, monkeypatch):
    from changeover.ui.cli.commands import release as module

    def boom(*_):
        raise RuntimeError("postgresql://shop:hunter2@db-1/shop")

    somebody_else_routes(sh)
    monkeypatch.setattr(module, "conclude", boom)
    answer = sh("release", "1.1.0", "-v")
    assert answer.code == 7
    assert "r-0001 (release) is held and not finished" in answer.err
    assert "Traceback" in answer.err
    assert "hunter2" not in answer.err + answer.out


def test_an_error_of_a_driver_never_shows_a_password(sh):
    explode(sh, "before start green-1")
    answer = sh("release", "1.1.0", "-v")
    assert answer.code in {1, 7}
    log = sh("log", "-v")
    assert log.code == 0


def test_secrets_of_the_configuration_are_taken_out_of_tracebacks(sh, tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_DATABASE_URL", "postgresql://shop:s3cr%2Ft@db-1/shop")
    (tmp_path / "pin.txt").write_text("4711-0815\n")
    (tmp_path / "changeover.yml").write_text('database: { url: "${env:SHOP_DATABASE_URL}", x: "${file:pin.txt}" }\n')
    sh.opens = RuntimeError("login s3cr%2Ft or s3cr/t with 4711-0815 failed for postgresql://shop:s3cr%2Ft@db-1/shop")
    for argv in (("status", "-v"), ("status", "--json", "-v")):
        answer = sh(*argv)
        assert answer.code == 1
        for secret in ("s3cr%2Ft", "s3cr/t", "4711-0815"):
            assert secret not in answer.err + answer.out


def test_a_failure_of_rollback_after_it_ended_the_release_is_7(sh):
    sh("release", "1.1.0", "--until", "25%")
    balancer = sh.door.site.ports.balancer
    refuse = BalancerUnreachable("the balancer does not answer")
    original = type(balancer).commit

    def commit(self, route, fence):
        raise refuse

    type(balancer).commit = commit
    try:
        answer = sh("rollback", "--timeout", "2s")
    finally:
        type(balancer).commit = original
    assert answer.code == 7, answer


# questions --------------------------------------------------------------------------------------------------------


def saved(sh):
    assert sh("plan", "1.1.0", "--out", "r.plan").code == 0
    return "r.plan"


def test_production_wants_a_saved_plan(production):
    answer = production("release", "1.1.0", "--yes")
    assert answer.code == 5
    assert "CO-0411" in answer.err
    assert production("release", saved(production), "--yes").code == 0


def test_off_a_terminal_nothing_asks(production):
    plan = saved(production)
    for argv in (("release", plan), ("release", plan, "--no-input")):
        answer = production(*argv)
        assert answer.code == 2
        assert "--yes is required when not interactive" in answer.err
    assert production("release", plan, "--no-input", types="y\n").code == 2
    assert production.world.effects == []


def test_no_is_no_and_the_end_of_input_is_no_yes(production):
    plan = saved(production)
    for typed, code in (("n\n", 1), ("\n", 1), ("what?\nno\n", 1), ("", 2)):
        assert production("release", plan, types=typed).code == code
    assert production.world.effects == []
    assert production("release", plan, types="y\n").code == 0


def test_going_back_is_easier_than_going_on(production):
    production("release", saved(production), "--yes")
    answer = production("rollback", types="\n")
    assert answer.code == 0
    assert "Take v1.0.0 back on shop PRODUCTION?" in answer.err
    assert "[Y/n]" in answer.err


def test_rollback_is_asked_for_even_if_the_state_store_is_broken(sh):
    sh("release", "1.1.0")
    sh.door.site.store.write_bytes(b"this is no database at all" * 100)
    for suffix in ("-wal", "-shm"):
        sh.door.site.store.with_name("state.db" + suffix).unlink(missing_ok=True)
    answer = sh("rollback", "--because", "odd")
    assert answer.code == 0, answer
    assert "The state store is away" in answer.out
    assert sh.world.route.live == "blue"


def test_pausing_is_never_asked(tmp_path):
    sh = shell(tmp_path, production=True, gates=GATE)
    assert sh("release", saved(sh), "--yes").code == 4
    assert sh("approve").code == 2
    assert sh("pause").code == 0
    assert sh("approve", types="n\n").code == 1
    assert sh("approve", "--yes", "--note", "fine").code == 0


# the point of no return -------------------------------------------------------------------------------------------


def test_cleanup_is_typed(production):
    production("release", saved(production), "--yes")
    for argv in (("cleanup",), ("cleanup", "--yes"), ("cleanup", "--no-input")):
        answer = production(*argv)
        assert answer.code == 2
        assert "--accept-hash" in answer.err
    for typed in ("y\n", "shop production 1->3\n", "shop test 1->2\n", "\n"):
        answer = production("cleanup", types=typed)
        assert answer.code == 5
        assert "CO-0306" in answer.err
    assert not [e for e in production.world.effects if "contract" in e]
    answer = production("cleanup", types="shop production 1→2\n")
    assert answer.code == 0
    assert "There is no way back to v1.0.0 any more." in answer.out


def test_cleanup_by_a_saved_plan(sh):
    sh("release", "1.1.0")
    assert sh("cleanup", "--out", "c.plan").code == 0
    assert sh("cleanup", "--plan", "c.plan").code == 2
    short = json.loads((sh.folder / "c.plan").read_text())["hash"][:8]
    for wrong in ("", short[:7], "00000000", short + "0" * 56):
        assert sh("cleanup", "--plan", "c.plan", "--accept-hash", wrong).code in {2, 5}
    assert sh("cleanup", "--plan", "c.plan", "--accept-hash", short, "--ack", "x").code == 2
    assert sh("release", "c.plan").code == 5
    assert not [e for e in sh.world.effects if "contract" in e]
    assert sh("cleanup", "--plan", "c.plan", "--accept-hash", short).code == 0
    assert sh("rollback", "--to", "v1.0.0").code == 5


# output ------------------------------------------------------------------------------------------------------------


def test_status_texts(tmp_path):
    sh = shell(tmp_path, gates=GATE)
    texts = [sh("status").out]
    sh("release", "1.1.0")
    texts.append(sh("status").out)
    sh("approve")
    sh("resume")
    texts.append(sh("status").out)
    sh.world.flying["green"] = None
    sh.world.instances.pop("blue-1")
    texts.append(sh("status").out)
    sh.world.unreachable = True
    texts.append(sh("status").out)
    same("status.txt", "\n".join(texts))


def test_final_texts(tmp_path):
    texts = []
    for name, prepare in (("done", lambda _: None), ("back", bad_version), ("held", somebody_else_routes)):
        (tmp_path / name).mkdir()
        sh = shell(tmp_path / name)
        prepare(sh)
        answer = sh("release", "1.1.0")
        texts.append(f"{answer.err}{answer.out}")
    same("release.txt", "\n".join(texts))


def test_stdout_is_the_answer_and_stderr_the_rest(sh):
    answer = sh("plan", "1.1.0", "--out", "r.plan", "--sql", "r.sql")
    assert "Saved r.plan" in answer.err
    assert "Saved" not in answer.out
    assert (sh.folder / "r.sql").read_text().startswith("-- shop test: plan ")
    quiet = sh("release", "r.plan", "-q")
    assert quiet.err == ""
    assert quiet.out.startswith("Done")


JSON = [
    ("status",),
    ("plan", "1.1.0"),
    ("doctor",),
    ("doctor", "--grants"),
    ("check",),
    ("check", "--format", "json"),
    ("history",),
    ("lock",),
    ("explain", "104"),
    ("process",),
    ("config", "show"),
    ("demo",),
    ("release", "1.1.0"),
    ("log",),
    ("rollback",),
    ("cleanup",),  # refused
    ("resume",),  # refused
    ("relese",),  # wrong usage
]


def test_json_of_every_command(tmp_path):
    keys = {}
    sh = shell(tmp_path)
    for argv in JSON:
        answer = sh(*argv, "--json")
        document = answer.json
        assert document["format"].startswith("changeover.")
        assert document["at"].endswith("Z")
        if "exit" in document:
            assert document["exit"] == answer.code
        keys[" ".join(argv)] = {"format": document["format"], "keys": sorted(document)}
    same("json-keys.json", json.dumps(keys, indent=1) + "\n")


def test_the_status_document(tmp_path):
    sh = shell(tmp_path, gates=GATE)
    sh("release", "1.1.0")
    found = sh("status", "--json").json
    assert found["traffic"]["asked"] == {"blue": 75.0, "green": 25.0}
    assert found["traffic"]["observed"] == {"blue": 75.0, "green": 25.0}
    assert found["run"]["gate"] == "100%"
    assert found["way_back"]["possible"] is True
    assert found["exit"] == 4
    sh.world.unreachable = True
    found = sh("status", "--json").json
    assert found["traffic"]["observed"] is None
    assert found["exit"] == 7


def test_one_event_per_line(sh):
    sh("release", "1.1.0")
    lines = sh("log", "--json-lines").out.splitlines()
    events = [json.loads(line) for line in lines]
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert {e["format"] for e in events} == {"changeover.event/1"}
    assert sh("log", "--failed").out == "Nothing failed.\n"


def test_errors_in_json(sh):
    found = sh("rollback", "--json")
    assert found.err == ""
    assert found.json["code"] == "CO-0301"
    assert list(found.json["next"]) is not None
    sh.opens = BAD_CONFIGURATION
    found = sh("status", "--json").json
    assert found["where"] == [{"file": "changeover.yml", "line": 4, "col": 3}]
    assert sh("check", "--format", "github").out.startswith("::error file=changeover.yml,line=4,col=3,")


def test_an_output_that_is_not_utf8(sh):
    for argv in (
        ("plan", "1.1.0"),
        ("release", "1.1.0"),
        ("status",),
        ("log",),
        ("rollback",),
        ("doctor",),
        ("process",),
    ):
        out, err = Latin(), Latin()
        answer = sh(*argv, out=out, err=err)
        assert answer.out.isascii()
        assert answer.err.isascii()
        assert "?" not in answer.out.replace("changeover", "") or argv[0] == "plan"
    out = Latin()
    assert sh("status", "--json", out=out).json["format"] == "changeover.status/1"
    narrated = sh("release", "1.1.0", err=Latin()).err
    assert "ok   preflight" in narrated
    assert "->" in narrated


def test_a_reader_that_goes_away_stops_nothing(sh):
    class Gone(Latin):
        def write(self, _):
            raise BrokenPipeError

    answer = sh("release", "1.1.0", out=Gone(), err=Gone())
    assert answer.code == 0
    assert sh.door.status().serving == "1.1.0"


def test_no_colour_where_nobody_looks(sh):
    assert "\x1b" not in sh("release", "1.1.0").err


def test_what_people_write_cannot_steer_the_terminal(tmp_path):
    sh = shell(tmp_path, gates=GATE)
    sh("release", "1.1.0")
    sh("approve", "--note", "\x1b[2Jgone\nDone: all is well")
    sh("resume")
    for argv in (("log",), ("log", "-v"), ("status",)):
        out = sh(*argv).out
        assert "\x1b" not in out
        assert not [line for line in out.splitlines() if line.startswith("Done: all is well")]


# where the options stand -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        ("--json", "status"),
        ("-c", "changeover.yml", "-e", "test", "--json", "status"),
        ("--config=changeover.yml", "status", "--json"),
        ("-q", "-v", "status", "--json"),
        ("status", "-vv", "--json"),
    ],
)
def test_common_options_before_and_behind(sh, argv):
    answer = sh(*argv)
    assert answer.code == 0
    assert answer.json["format"] == "changeover.status/1"


def test_two_words_and_aliases(sh):
    assert sh("-c", "x.yml", "config", "show").out == "app: shop\n"
    assert json.loads(sh("config", "schema").out)["title"] == "changeover.yml"
    assert sh("apply", "1.1.0").code == 0
    assert find("promote").words == "approve"


def test_completion(sh):
    for name in ("bash", "zsh", "fish"):
        answer = sh("completion", name)
        assert answer.code == 0
        assert "rollback" in answer.out
        assert "go on with a run in the background" not in answer.out


# people and processes ------------------------------------------------------------------------------------------------


def test_a_plan_that_was_interrupted_is_taken_up_again(sh):
    assert send(sh, signal.SIGINT, "release", saved(sh)).code == 130
    answer = sh("release", "r.plan")
    assert answer.code == 0
    assert "taken up again" in answer.err
    assert len(sh.door.history()) == 1


def test_another_release_meanwhile_is_refused_and_names_the_first(tmp_path):
    sh = shell(tmp_path, gates=GATE)
    sh("release", "1.1.0")
    answer = sh("release", "1.1.0")
    assert answer.code == 5
    assert "r-0001" in answer.err or "under way" in answer.err


def test_abort(tmp_path):
    sh = shell(tmp_path, gates=GATE)
    sh("release", "1.1.0")
    answer = sh("abort", "--because", "given up")
    assert answer.code == 0
    assert answer.out.startswith("Given up")
    assert [n for n in sh.world.instances if n.startswith("green")] == []


def test_rollback_in_the_middle_of_a_release(tmp_path):
    sh = shell(tmp_path, gates=GATE)
    sh("release", "1.1.0")
    answer = sh("rollback", "--because", "slow")
    assert answer.code == 0
    assert sh.world.route.live == "blue"
    assert "r-0001" not in answer.out.split("\n")[0]


def test_rollback_when_no_traffic_had_moved(sh):
    send(sh, signal.SIGINT)
    answer = sh("rollback")
    assert answer.code == 0
    assert sh.door.status().serving == "1.0.0"


def test_worker(tmp_path):
    sh = shell(tmp_path, gates=GATE)
    sh("release", "1.1.0")
    sh.door.approve("100%")
    answer = sh("worker", "r-0001")
    assert answer.code == 0
    assert sh("worker", "r-0001").code == 0
    assert sh.door.status().serving == "1.1.0"


def test_watch_off_a_terminal(sh):
    assert sh("watch").code == 0
    send(sh, signal.SIGINT)
    driver = threading.Thread(target=lambda: sh.door.drive("r-0001"))
    driver.start()
    answer = sh("watch")
    driver.join(30)
    assert answer.code == 0
    assert "✔ drain blue" in answer.err
    assert answer.out.startswith("Done")


def test_watch_has_a_time_limit(tmp_path):
    sh = shell(tmp_path, gates=GATE)
    sh("release", "1.1.0")
    assert sh("watch", "--timeout", "500ms").code == 4


def test_not_enough_data_waits_for_a_person(tmp_path):
    sh = shell(tmp_path, min_requests=10)
    answer = sh("release", "1.1.0")
    assert answer.code == 4
    assert "not enough data" in answer.err
    assert "changeover approve go-on" in answer.out
    sh("approve", "--note", "night")
    sh("resume")
    assert sh.door.run_of("r-0001").state in {"waiting", "done"}


def test_the_specimens_are_of_the_usual_policy():
    assert POLICY.shift == (2500, 10_000)
    assert Version("1.1.0")
