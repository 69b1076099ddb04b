"""One module a verb: `add_arguments(parser)` and `execute(options, overrides)`.

They are imported only when their verb is called, and import what is heavy inside `execute`.
"""
