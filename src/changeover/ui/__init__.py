"""Translates; decides nothing."""
