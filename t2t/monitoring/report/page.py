"""The whole page: heading, overview, charts, samples, tables; style and script inside."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from importlib import resources

from t2t import __version__
from t2t.monitoring.report import chart, curves, overview, samples, tables
from t2t.monitoring.report.markup import Html, element, join
from t2t.monitoring.report.record import RunRecord
from t2t.monitoring.report.series import window

MOST_POINTS = 600  # a curve
FEWEST_POINTS = 40
ALL_POINTS = 12_000  # all curves together, so that the page stays under a megabyte


def page(runs: Sequence[RunRecord], written: str) -> str:
    """Returns the HTML of a report; written: when, as text."""
    several = len(runs) > 1
    title = " / ".join(run.name for run in runs)
    parts = list(_sections(runs))
    links = [element("a", heading, href=f"#{_anchor(heading)}") for heading, _ in parts]
    where = ", ".join(run.directory for run in runs)
    heading = element(
        "header",
        element("h1", title, " " if several else join(" ", overview.status(runs[0]))),
        element("p", f"{where} · written {written} by t2t {__version__}"),
        element("nav", links, _smoothing(runs)),
    )
    body = [
        element("section", element("h2", name), content, id=_anchor(name))
        for name, content in parts
    ]
    script = _inside("script.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # Nothing is fetched and no script but this one runs, whatever a prediction or a name holds.
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    shown = "".join(
        f"body:has(#show-{i}:not(:checked)) .run-{i}{{display:none!important}}\n"
        for i in range(len(runs))
    )
    return "<!doctype html>\n" + element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=policy),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("title", f"{title} – t2t report"),
            element("style", Html(_inside("style.css") + (shown if several else ""))),
        ),
        element("body", heading, element("main", body), element("script", Html(script))),
        lang="en",
    )


def _smoothing(runs: Sequence[RunRecord]) -> Html:
    """Returns the switch between smoothed and plain curves, where some are long enough."""
    rows = max((len(steps) for run in runs for steps, _ in run.curves.values()), default=0)
    if window(rows) == 1:
        return Html()
    box = element("input", type="checkbox", id="smooth", checked=True)
    return element("label", box, f"smoothed over {window(rows)} rows")


def _inside(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")


def _sections(runs: Sequence[RunRecord]) -> Iterator[tuple[str, Html]]:
    """Yields (heading, content) of what there is to show."""
    several = len(runs) > 1
    notes = [
        element("li", f"{run.name}: {note}" if several else note)
        for run in runs
        for note in run.notes
    ]
    warned = element("ul", notes, class_="notes") if notes else Html()
    yield "Overview", join(warned, overview.overview(runs))
    groups = dict(curves.sections(runs))
    scores = tables.task_scores(runs)
    if scores is not None:
        groups.setdefault("Task scores", [])
    count = sum(len(one.series) for charts in groups.values() for one in charts)
    most = max(FEWEST_POINTS, min(MOST_POINTS, ALL_POINTS // max(count, 1)))
    for heading, charts in groups.items():
        drawn = [(one.wide, chart.draw(one, most, several)) for one in charts]
        rest = [figure for wide, figure in drawn if not wide]
        grid = element("div", rest, class_="charts") if rest else ""
        above = [figure for wide, figure in drawn if wide]
        yield heading, join(scores or "" if heading == "Task scores" else "", *above, grid)
    yield from _texts(runs)
    configured = [
        _details(heading, table, open_) for heading, table, open_ in tables.settings(runs)
    ]
    if configured:
        yield "Configuration", join(*configured) if several else _columns(configured)
    models = [(run, table) for run in runs if (table := tables.parameters(run)) is not None]
    if models:
        yield (
            "Parameters",
            join(*(_details(run.name, table, len(runs) == 1) for run, table in models)),
        )
    around = [_details(heading, table, True) for heading, table in tables.surroundings(runs)]
    if around:
        yield "Hardware and versions", join(*around) if several else _columns(around)


def _texts(runs: Sequence[RunRecord]) -> Iterator[tuple[str, Html]]:
    examples = samples.samples(runs)
    if examples:
        opened = [_details(name, content, i == 0) for i, (name, content) in enumerate(examples)]
        yield "Sample predictions", join(*opened)
    said = [(run.name, samples.closing(run.closing)) for run in runs if run.closing]
    if said:
        shown = [_details(name, content, True) for name, content in said]
        yield "After the last step", join(*shown) if len(runs) > 1 else said[0][1]


def _columns(parts: Sequence[Html]) -> Html:
    return element("div", parts, class_="columns")


def _details(heading: str, content: Html, opened: bool) -> Html:
    return element("details", element("summary", heading), content, open=opened)
