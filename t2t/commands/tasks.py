"""`t2t tasks`: every task there is, or one task's examples as text."""

from t2t.commands.options import at_least
from t2t.errors import UserError


def add_arguments(parser) -> None:
    parser.add_argument(
        "name", nargs="?", default="", help="a task, or your own .toml file (default: list all)"
    )
    parser.add_argument("--split", default="", help="which split (default: the one judged)")
    parser.add_argument(
        "--data",
        default=None,
        metavar="FOLDER",
        help="its published files or prepared TFDS datasets; without it no example is shown",
    )
    parser.add_argument(
        "--limit", type=at_least(0), default=3, help="how many examples, 0 all (default: 3)"
    )
    parser.add_argument(
        "--shots", type=at_least(0), default=0, help="solved ones before each (default: 0)"
    )
    parser.add_argument("--seed", type=at_least(0), default=0, help="of the shots (default: 0)")


def execute(options, _overrides) -> None:
    from t2t.tasks import catalog
    from t2t.tasks.examples import examples
    from t2t.tasks.few_shot import with_shots
    from t2t.tasks.listing import described, example_lines, listing

    if not options.name:
        given = [name for name in ("split", "data", "shots") if getattr(options, name)]
        if given:
            raise UserError(f"--{given[0]}: of which task? t2t tasks NAME --{given[0]}=...")
        print("\n".join(listing(catalog.TASKS.values())))
        return
    task = catalog.find(options.name)
    own = options.name.endswith(".toml")
    if options.data is None and not own:
        if options.split or options.shots:
            raise UserError("--data: not given; name the folder of the task's files or datasets")
        print("\n".join(described(task)))
        return
    data, split = options.data or "", options.split or task.judged
    if next(examples(task, split, data, 1), None) is None:
        raise UserError(f"{task.name}: the split {split!r} holds no example")
    print("\n".join(described(task)))
    shown = examples(task, split, data, options.limit)
    if options.shots:
        shown = with_shots(shown, list(examples(task, "train", data)), options.shots, options.seed)
    for line in example_lines(shown):
        print(line)
