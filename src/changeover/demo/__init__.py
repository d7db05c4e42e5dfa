"""The sample shop, its load, and the scenarios that `changeover demo` plays."""

from changeover.demo.story import run, summary

__all__ = ["run", "summary"]
