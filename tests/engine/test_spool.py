"""The way back works while the state store is away, and is recorded when it is back."""

from __future__ import annotations

from tests.fixtures.memory_site import stage

from changeover.core.states import State
from changeover.engine import spool


def test_back_while_the_store_is_away(tmp_path):
    st = stage(tmp_path)
    st.release("1.1.0")
    store = st.door.site.store
    away = tmp_path / "away"
    away.mkdir()
    for file in tmp_path.glob("state.db*"):
        file.rename(away / file.name)
    store.write_bytes(b"this is no database, the disk gave way" * 100)
    outcome = st.door.rollback(because="the store is gone and users suffer")
    assert outcome.state is State.DONE
    assert st.world.route.live == "blue"
    assert list(spool.folder_of(store).glob("*.json"))
    store.unlink()
    for file in away.iterdir():
        file.rename(tmp_path / file.name)
    newest = st.door.history()[0]
    assert (newest.kind, newest.state) == ("rollback", State.DONE)
    assert not list(spool.folder_of(store).glob("*.json"))
    st.release("1.1.0")  # the fence of this store is not older than the one that was used meanwhile
    assert st.world.route.live == "green"
    assert len([r for r in st.door.history() if r.kind == "rollback"]) == 1


def test_a_torn_record_is_left_alone(tmp_path):
    st = stage(tmp_path)
    folder = spool.folder_of(st.door.site.store)
    folder.mkdir()
    (folder / "1.json").write_text('{"format": "changev')
    assert st.door.history() == ()
    assert (folder / "1.json").exists()
