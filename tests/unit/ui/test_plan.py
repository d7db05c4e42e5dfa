from __future__ import annotations

import html.parser
import re
from dataclasses import replace

import pytest
from tests.fixtures.golden import same
from tests.fixtures.memory_site import DECLARED, POLICY, stage

from changeover.core.model import Acknowledgement, Version
from changeover.core.steps import from_data, to_data
from changeover.ui.render import plan as rendered
from changeover.ui.render import plan_sql, runbook
from changeover.ui.render.process import process
from changeover.ui.render.runbook_html import page
from changeover.ui.render.runbook_markdown import markdown

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def st(tmp_path):
    return stage(tmp_path, policy=replace(POLICY, gates={10_000: "release-manager"}))


def test_plan(st):
    made = st.door.plan("1.1.0")
    same("plan.txt", rendered.text(made))
    same("plan.ascii.txt", rendered.text(made, utf8=False))
    same("plan.sql", plan_sql.sql(made))


def test_cleanup_plan(tmp_path):
    st = stage(tmp_path)
    st.release("1.1.0")
    same("cleanup.plan.txt", rendered.text(st.door.plan_cleanup()))


def test_runbook(st):
    made = st.door.plan("1.1.0")
    same("runbook.md", markdown(made))
    assert page(made).count("<tr>") == len(made.steps) + 4


def test_cleanup_runbook_shows_the_line_once(tmp_path):
    st = stage(tmp_path)
    st.release("1.1.0")
    made = st.door.plan_cleanup()
    for text in (markdown(made), page(made)):
        assert text.count(runbook.LINE) == 1
        assert "second person" in text


def test_the_paper_has_the_hash_of_what_runs(st):
    made = st.door.plan("1.1.0")
    for text in (rendered.text(made), markdown(made), page(made)):
        assert made.short in text


def evil(plan):
    """The same plan with markup in every text a person or a file may have given."""
    step = plan.steps[2]
    statement = replace(step.action.statements[0], title=EVIL, sql=f"SELECT '{EVIL}'", file=EVIL)
    bad = replace(
        step,
        words=replace(step.words, task=EVIL, way_back=EVIL, undo=EVIL),
        action=replace(step.action, statements=(statement,)),
        by_hand=(f"echo '{EVIL}' ``` </pre>",),
        expect=EVIL,
        who=EVIL,
    )
    return replace(
        plan,
        app=EVIL,
        environment=EVIL,
        by=EVIL,
        build=EVIL,
        because=EVIL,
        target=Version(EVIL),
        notes=(EVIL,),
        owed=(EVIL,),
        acknowledged=(Acknowledgement(EVIL, EVIL),),
        steps=(*plan.steps[:2], bad, *plan.steps[3:]),
    )


class Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)


def test_markup_in_a_plan_is_text_on_the_page(st):
    text = page(evil(st.door.plan("1.1.0")))
    tags = Tags()
    tags.feed(text)
    assert "script" not in tags.seen
    assert EVIL not in text
    assert text.count("&lt;script&gt;") > 10


def test_markup_in_a_plan_is_text_in_markdown(st):
    text = markdown(evil(st.door.plan("1.1.0")))
    outside = re.sub(r"(?ms)^(`{3,})sh$.*?^\1$", "", text)
    assert "<script" not in outside
    assert "````sh" in text, "a fence is longer than what it holds"


def test_a_comment_in_sql_cannot_end_early(st):
    made = st.door.plan("1.1.0")
    step = made.steps[2]
    bad = replace(step, words=replace(step.words, task="x\nDROP TABLE t; --"))
    text = plan_sql.sql(replace(made, steps=(*made.steps[:2], bad, *made.steps[3:])))
    assert "\nDROP TABLE" not in text


def test_process(st):
    site = st.door.site
    same("process.md", process("shop", "production", site.policy, database=True))
    assert "Point of no return" not in process("shop", "test", site.policy, database=False)


def test_a_plan_read_back_is_rendered_alike(st):
    made = st.door.plan("1.1.0")
    again = from_data(to_data(made))
    assert rendered.text(again) == rendered.text(made)


def test_the_sql_of_operations_has_every_phase_and_what_comes_later(tmp_path):
    st = stage(tmp_path, changes=DECLARED[:1])
    text = plan_sql.sql(st.door.plan("1.1.0"))
    same("operations.sql", text)
    run = [line for line in text.splitlines() if line and not line.startswith("--")]
    assert all("contract" not in line and "drop" not in line and "undo" not in line for line in run)
    for phase in ("contract", "drop", "undo"):
        assert f"-- {phase} " in text


def test_what_the_server_is_made_to_do_is_told():
    one = DECLARED[0].expand[0]
    for sql, said in (
        ("ALTER TABLE t ADD COLUMN a int, ALGORITHM=INSTANT, LOCK=NONE", "algorithm: ALGORITHM=INSTANT, LOCK=NONE; "),
        ("CREATE INDEX CONCURRENTLY i ON t (a)", "algorithm: concurrently; "),
        ("CREATE INDEX i ON t (a) WITH (ONLINE = ON)", "algorithm: online; "),
        ("ALTER TABLE t ADD COLUMN a int", ""),
    ):
        assert plan_sql._algorithm(replace(one, sql=sql)) == said
