"""Runs plans; knows ports, not products."""
