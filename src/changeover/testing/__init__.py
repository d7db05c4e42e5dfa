"""For the tests of drivers that others write: the contract suites that changeover's own drivers pass."""
