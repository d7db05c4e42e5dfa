"""How SQLite's text falls into tokens; apart, because what only reads tokens needs none of the dialect's rules."""

from __future__ import annotations

from changeover.schema.tokens import Case, Lexicon

LEXICON = Lexicon("sqlite", Case.IGNORED, '"`[')
