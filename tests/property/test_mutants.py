"""The judges catch what they are for: each of these mistakes in planner or rules is found by the same functions."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from random import Random
from types import ModuleType, SimpleNamespace

import pytest
from judge import judge_answer
from rule_cases import judge_rules
from worlds import episode, meeting

import changeover.core as core
from changeover.core import rules as RULES

HOME = Path(core.__path__[0])
CHAIN = ("inplay", "rules", "words", "draft", "forward", "back", "cleanup", "undo", "planner")
SEEDS = 80

# (module, what stands there, what the mutant says)
MUTANTS = [
    ("forward", "*cleared(g, g.idle, d.retires)]", "]"),
    ("forward", "for c in d.pending:", "for c in d.pending[-1:]:"),
    ("forward", "c if c.declared else None)", "None)"),
    ("forward", "actions += [Sync(c.version, c.sync, c.digest)] if c.sync else []", "pass"),
    (
        "forward",
        (
            "        actions += [Sync(c.version, c.sync, c.digest)] if c.sync else []\n"
            "    actions += [Backfill(c.version, c.backfill, c.digest) for c in d.refills]\n"
        ),
        (
            "    actions += [Backfill(c.version, c.backfill, c.digest) for c in d.refills]\n"
            "    actions += [Sync(c.version, c.sync, c.digest) for c in d.pending if c.sync]\n"
        ),
    ),
    (
        "forward",
        (
            "    actions += [Backfill(c.version, c.backfill, c.digest) for c in d.refills]\n"
            "    actions += [Verify(c.version, c.verify) for c in d.verified if c.verify]\n"
        ),
        (
            "    actions += [Verify(c.version, c.verify) for c in d.verified if c.verify]\n"
            "    actions += [Backfill(c.version, c.backfill, c.digest) for c in d.refills]\n"
        ),
    ),
    ("forward", "actions += [Verify(c.version, c.verify) for c in d.verified if c.verify]", "pass"),
    ("forward", "return tuple(sorted({*self.pending, *self.refills}, key", "return tuple(sorted({*self.refills}, key"),
    ("forward", "return tuple(sorted({*self.pending, *self.refills}, key", "return tuple(sorted({*self.pending}, key"),
    (
        "forward",
        (
            "    actions += [Verify(c.version, c.verify) for c in d.verified if c.verify]\n"
            "    actions += [Finalize(c.version, c.finalize, c.digest) for c in d.pending if c.finalize]\n"
        ),
        (
            "    actions += [Finalize(c.version, c.finalize, c.digest) for c in d.pending if c.finalize]\n"
            "    actions += [Verify(c.version, c.verify) for c in d.verified if c.verify]\n"
        ),
    ),
    ("forward", "for c in d.pending if c.finalize]", "for c in ()]"),
    ("forward", "and not schema.completed(c.version, Phase.EXPAND))", ")"),
    ("forward", "if d.pending and g.policy.backup:", "if False:"),
    ("forward", 'actions.append(Prove(d.proved, "expanded"))', "pass"),
    ("forward", "return [*gate, shift, bake, *written]", "return [*gate, shift, *written, bake]"),
    ("forward", "return [*gate, shift, bake, *written]", "return [*gate, shift, bake]"),
    ("forward", "keep = policy.keep_old if share == ALL and not d.unfit else None", "keep = None"),
    ("forward", "other=d.g.live,", "other=d.g.idle,"),
    ("forward", "if not dead(g.world, g.live):", "if False:"),
    ("forward", "check_keep_old(g, promise)", "pass"),
    ("forward", "schema_to=revision + _new(draft)", "schema_to=revision"),
    ("forward", "gone[promise.version] = True", "gone[promise.version] = False"),
    ("forward", "stays = len(here) == 1 and matches(here[0], release.version, release.build)", "stays = bool(here)"),
    ("forward", "sorted(others | {(release.version, release.build)})", "sorted({(release.version, release.build)})"),
    ("forward", "if world.schema is not None:\n        needed |=", "if world.schema is None:\n        needed |="),
    ("forward", "needed = warnings(s for c in draft.pending for s in c.adds)", "needed = warnings(())"),
    ("forward", 'check_last_healthy(world, g.live, idle, f"take', 'str(f"take'),
    ("inplay", "if c.version <= upto), key", "if c.version < upto), key"),
    ("inplay", "sorted((c for c in changes if c.version <= upto), key=lambda c: c.version)", "(c for c in changes)"),
    (
        "inplay",
        "a.phase is Phase.CONTRACT and a.version > version",
        "a.phase is Phase.CONTRACT and a.version < version",
    ),
    ("inplay", "elif not flying(world, pool).is_zero:", "elif False:"),
    ("inplay", "for promise in ledger.promised:", "for promise in ():"),
    ("inplay", "c.backfill and not schema.completed", "c.backfill and schema.completed"),
    ("draft", "if promise.earliest <= g.ctx.at or", "if promise.earliest >= g.ctx.at or"),
    ("draft", "return [*([drain(pool, g.policy)] if waits else []), *retires]", "return [*retires]"),
    ("draft", "if not healthy(world, keeper) and healthy(world, doomed):", "if False:"),
    ("draft", "if route.share:\n", "if False:\n"),
    ("back", "shift = Shift(other, home, version, 0,", "shift = Shift(home, other, version, 0,"),
    ("back", "return [shift, *([] if dead(world, other) else [drain(other, policy)])]", "return [shift]"),
    ("back", "Shift(pool, live, version, ALL,", "Shift(pool, live, version, ALL - 1,"),
    ("back", "elif not healthy(world, other):", "elif False:"),
    ("back", "if warm < needed and all(", "if warm > needed and all("),
    ("back", "if here is None or not matches(here, promise.version, promise.build):", "if here is None:"),
    (
        "back",
        'return [Retire(new, v, "its release was given up", promised=False) for v in sorted(doomed)]',
        "return []",
    ),
    (
        "back",
        "found = tuple(i for i in found if i.version == of.target",
        "found = tuple(i for i in residents(world, ledger, g.live) if i",
    ),
    ("cleanup", "*cleared(d.g, d.g.idle, d.retires)]", "]"),
    ("cleanup", "numbered([*before, *after]", "numbered([*after, *before]"),
    ("cleanup", "last_safe=len(before)", "last_safe=len(before) + 1"),
    ("cleanup", "if p.version < last and not p.promised_only]", "if False]"),
    ("cleanup", "for c in d.refills]", "for c in ()]"),
    ("cleanup", "check_keep_old(g, promise)", "pass"),
    ("cleanup", 'actions.append(Backup(backup_id(d.g.ctx, last, "contract"), "contract"))', "pass"),
    ("cleanup", "for c in d.chosen if c.verify]", "for c in ()]"),
    ("cleanup", "if now - since >= policy.keep_parked", "if now - since <= policy.keep_parked"),
    ("cleanup", "if now - since >= policy.keep_parked or", "if now - since >= 0 or"),
    ("cleanup", 'or f"parked:{c.version}" in named', 'or "parked:" in named'),
    ("cleanup", "and through is None else ()", "else ()"),
    ("cleanup", "if d.dropping:\n        after.append(Prove", "if False:\n        after.append(Prove"),
    (
        "cleanup",
        "for change in d.dropping:\n        after.append(Drop(",
        "for change in (*d.chosen, *d.dropping):\n        after.insert(0, Drop(",
    ),
    ("cleanup", "*(s for c in dropping for s in c.drop))", ")"),
    ("undo", "_check_needed(world, ledger, version)\n    players", "players"),
    ("undo", "needed = warnings(change.undo) | unverified(players, policy)", "needed = warnings(change.undo)"),
    ("undo", "needed = warnings(change.undo) | unverified(players, policy)", "needed = unverified(players, policy)"),
    ("undo", "needed[NO_BACKUP] =", "_ ="),
    ("undo", '"contract")] if policy.backup else []', '"expand")] if policy.backup else []'),
    ("undo", ', Prove(players, "undone")]', "]"),
    ("undo", "schema_to=schema.revision + 1", "schema_to=schema.revision"),
    ("undo", "if c.version == version), None) if schema", "if c.version != version), None) if schema"),
    ("cleanup", "if identity.version < last and identity.version not in named:", "if False:"),
    ("cleanup", "return free or (waiting[0],)", "return free or tuple(waiting[-1:])"),
    ("rules", "elif here and asked is not None and not matches", "elif here and asked is not None and matches"),
    ("rules", "if seen is not None and seen.healthy > proved:", "if seen is not None and seen.healthy < proved:"),
    ("rules", "if n and n.requests)", "if n and not n.requests)"),
    ("rules", "if warm < needed:", "if warm > needed:"),
    ("rules", "bad = sorted(carrying(world) - alive) if alive else []", "bad = []"),
    ("rules", "if r.share and not r.expires}", "if r.share and r.expires}"),
    ("rules", "inflight = () if count.is_zero else", "inflight = () if not count.requests else"),
    ("rules", "if needed and healthy(world, pool) and not others", "if needed and healthy(world, pool) and others"),
    (
        "rules",
        "for p in in_play(world, ledger) if p.version < version",
        "for p in in_play(world, ledger) if p.version > version",
    ),
    ("rules", "if ends != sorted(plan.ends):", "if len(ends) > len(plan.ends) + 1:"),
    (
        "rules",
        'isinstance(action, Contract | Drop | Undo) and "contract" not in have:',
        "isinstance(action, Contract | Drop | Undo) and not have:",
    ),
    (
        "rules",
        'isinstance(action, Contract | Drop | Undo) and "contract"',
        'isinstance(action, Contract) and "contract"',
    ),
    ("rules", 'isinstance(action, Expand | Sync | Finalize) and "expand"', 'isinstance(action, Expand) and "expand"'),
    ("rules", '"undo": frozenset({Undo.kind}),', '"undo": frozenset({Undo.kind, Drop.kind}),'),
    ("rules", "Finalize.kind}),", "Finalize.kind, Drop.kind}),"),
    ("rules", "isinstance(s.action, Contract | Drop)), None)", "isinstance(s.action, Contract)), None)"),
    ("rules", "for p in in_play(world, ledger) if p.version >= version", "for p in ()"),
    ("rules", "for v in sorted(ledger.started) if v >= version", "for v in ()"),
    ("rules", "if i.version >= version", "if i.version > version"),
    ("rules", "for v in (ahead(schema, version) if schema is not None else ())", "for v in ()"),
    ("rules", "have.add(action.before)", 'have.update({"expand", "contract"} - {action.before})'),
    ("rules", "if two.fence < one.fence:", "if two.fence > one.fence + 9:"),
    ("rules", "if record.step not in begun:", "if record.step in done:"),
    ("rules", "if r.kind == DONE and not r.data)", "if r.kind == DONE and r.data is None)"),
    ("rules", 'for key in ("what", "now", "next")', 'for key in ("what",)'),
]


def mutated(module: str, old: str, new: str) -> SimpleNamespace:
    """The core's modules, made anew from their text, one of them changed."""
    names = {f"changeover.core.{n}" for n in CHAIN}
    kept = {n: sys.modules[n] for n in names if n in sys.modules}
    made: dict[str, ModuleType] = {}
    try:
        for name in CHAIN:
            full = f"changeover.core.{name}"
            text = (HOME / f"{name}.py").read_text(encoding="utf-8")
            if name == module:
                assert text.count(old) >= 1, f"{name}.py does not say {old!r} any more"
                text = text.replace(old, new)
            spec = spec_from_loader(full, loader=None)
            assert spec is not None
            made[name] = sys.modules[full] = module_from_spec(spec)
            exec(compile(text, f"{name}.py (mutant)", "exec"), made[name].__dict__)
    finally:
        sys.modules.update(kept)
    return SimpleNamespace(**made)


KINDS = {"forward": ("release",), "back": ("rollback", "release"), "cleanup": ("cleanup",), "undo": ("undo",)}


def caught(module: str, planner: ModuleType, rules: ModuleType) -> str:
    """What the judges say first, or "" if the mutant survives."""
    wrong = judge_rules(rules) if module in {"rules", "inplay"} else []
    if wrong or module == "rules":
        return next(iter(wrong), "")
    kinds = KINDS.get(module, ("release", "rollback", "cleanup", "undo"))
    for seed in range(SEEDS):
        r = Random(seed)
        try:
            lives = episode(seed, planner) if seed % 4 == 3 else ()
            for asked in (*(meeting(seed, k, planner) for k in kinds), *lives):
                problems = judge_answer(asked, r, planner, RULES)
                if problems:
                    return f"seed {seed}: {problems[0]}"
        except Exception as error:
            return f"seed {seed}: {type(error).__name__}: {error}"
    return ""


@pytest.mark.parametrize(("module", "old", "new"), MUTANTS, ids=[f"{m}-{n}" for n, (m, _, _) in enumerate(MUTANTS)])
def test_the_mutant_is_caught(module, old, new):
    made = mutated(module, old, new)
    assert caught(module, made.planner, made.rules), f"this survives in {module}.py: {old!r} -> {new!r}"


def test_the_unchanged_modules_are_not_caught():
    made = mutated("planner", '"""', '"""')
    assert not caught("inplay", made.planner, made.rules)
