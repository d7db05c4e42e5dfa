from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from changeover.config import load
from changeover.core.errors import ConfigurationError
from changeover.core.model import ALL, AtDeadline, GoBackRule, Policy, RuleMetric, Slot

SPECIMENS = Path(__file__).parents[2] / "specimens" / "config"


def settings_of(tmp_path, text, name="changeover.yml"):
    (tmp_path / name).write_text(text)
    return load(tmp_path / name)


def test_defaults_are_the_policys_own():
    settings = load(SPECIMENS / "good-envoy.yml")
    assert settings.policy() == replace(Policy(), backup=False)


def test_policy():
    assert load(SPECIMENS / "good-haproxy.yml").policy() == Policy(
        shift=(500, 2500, ALL),
        bake=300.0,
        min_requests=100,
        gates={2500: "release-manager", ALL: "release-manager"},
        drain_soft=30.0,
        drain_hard=300.0,
        at_deadline=AtDeadline.HOLD,
        keep_old=86_400.0,
        keep_parked=3 * 86_400.0,
        read_within=90.0,
        expiry=60.0,
        go_back_when=(
            GoBackRule(RuleMetric.ERRORS_5XX, above=0.01, min_requests=200),
            GoBackRule(RuleMetric.FALLBACKS),
            GoBackRule(RuleMetric.INSTANCE, seconds=15.0),
        ),
        ready_times=3,
        ready_every=1.0,
        ready_within=60.0,
        probes=1,
        smoke=1,
        batch=5_000,
        backup=True,
    )


@pytest.mark.parametrize(
    ("drain", "soft", "hard"), [("60s", 30.0, 60.0), ("10s", 10.0, 10.0), ("{ hard: 90s }", 30.0, 90.0)]
)
def test_drain(tmp_path, drain, soft, hard):
    text = (SPECIMENS / "good-envoy.yml").read_text() + f"release: {{ drain: {drain} }}\n"
    policy = settings_of(tmp_path, text).policy()
    assert (policy.drain_soft, policy.drain_hard, policy.at_deadline) == (soft, hard, AtDeadline.WAIT)


def test_slots():
    process = load(SPECIMENS / "good-haproxy.yml")
    assert process.slots() == {
        "blue": (Slot("blue", 1, "127.0.0.1", 8001), Slot("blue", 2, "127.0.0.1", 8002)),
        "green": (Slot("green", 1, "127.0.0.1", 8011), Slot("green", 2, "127.0.0.1", 8012)),
    }
    command = load(SPECIMENS / "good-command.yml")
    assert command.slots()["green"][1] == Slot("green", 2, "10.0.0.12", 8002)
    assert load(SPECIMENS / "good-envoy.yml").slots()["blue"] == (Slot("blue", 1, "127.0.0.1", 8001),)


def test_going_back_by_itself_can_be_switched_off():
    assert load(SPECIMENS / "good-command.yml").policy().go_back_when == ()


def test_digest_is_of_the_meaning_not_of_the_place(tmp_path):
    text = (SPECIMENS / "good-envoy.yml").read_text()
    (tmp_path / "elsewhere").mkdir()
    base = settings_of(tmp_path, text)
    assert len(base.digest) == 64
    assert settings_of(tmp_path / "elsewhere", text).digest == base.digest
    assert settings_of(tmp_path, "# comment\n" + text + "release: { bake: 600s }\n").digest == base.digest
    assert settings_of(tmp_path, text + "release: { bake: 601s }\n").digest != base.digest
    assert settings_of(tmp_path, text + "state: other.db\n").digest != base.digest


def test_digest_does_not_look_at_secrets(tmp_path, monkeypatch):
    text = (SPECIMENS / "good-haproxy.yml").read_text()
    monkeypatch.setenv("SHOP_PASSWORD", "one")
    first = settings_of(tmp_path, text).digest
    monkeypatch.setenv("SHOP_PASSWORD", "two")
    assert settings_of(tmp_path, text).digest == first


def test_frozen():
    settings = load(SPECIMENS / "good-haproxy.yml")
    with pytest.raises(ValidationError):
        settings.app = "other"
    with pytest.raises(ValidationError):
        settings.release.bake = 0.0


def test_no_warning_when_it_is_dumped():
    load(SPECIMENS / "good-haproxy.yml").model_dump(mode="json")
    load(SPECIMENS / "good-envoy.yml").model_dump_json()


@pytest.mark.parametrize(
    ("read", "said"),
    [
        ('["postgresql://shop:hunter2@db-2/shop"]', "a password is written in the file"),
        ('["mysql://db-2/shop"]', "not the URL of a PostgreSQL database"),
        ('"postgresql://db-2/shop"', "list"),
    ],
)
def test_a_read_endpoint_is_a_postgresql_url_without_a_password(tmp_path, read, said):
    text = (SPECIMENS / "good-haproxy.yml").read_text()
    line = next(li for li in text.splitlines() if li.startswith("  read:"))
    with pytest.raises(ConfigurationError, match=said) as caught:
        settings_of(tmp_path, text.replace(line, f"  read: {read}"))
    assert "hunter2" not in str(caught.value)
