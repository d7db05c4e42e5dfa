"""A stand-in for AWS that is not too kind: moto behind a front that validates, delays, forgets, throttles and loses replies,
and a small data plane that carries real requests according to what was configured.

Only for the demo and the tests; it binds 127.0.0.1. Needs the extra `demo-aws`.
"""
