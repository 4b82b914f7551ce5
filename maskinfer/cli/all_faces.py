"""What `evaluate --face all` and `compare --face all` print of every face."""

from rich.console import Console
from rich.table import Table

from maskinfer.evaluation.all_faces import AllFacesEvaluation
from maskinfer.evaluation.face_metrics import AllFacesMetrics
from maskinfer.inference.detector import MaskDetector

from .console import add_figure, decimals, figures_table, images_per_second, percent
from .detector import model_words


def print_all_faces(
    evaluation: AllFacesEvaluation, detector: MaskDetector, console: Console
) -> None:
    """Print the figures, and tables of faces by label, faces by size, and photos."""
    metrics, session, choice = evaluation.metrics, detector.session, detector.choice
    table = figures_table()
    lines: dict[str, object] = {
        "data": evaluation.folder,
        "photos": metrics.photos,
        "faces": metrics.any_label.faces,
        "AP50": decimals(metrics.ap50),
        "AP50:95": decimals(metrics.ap50_95),
        "photos judged right": percent(metrics.verdict.accuracy),
        "balanced accuracy": f"{percent(metrics.verdict.balanced_accuracy)} of photos",
        "images/s": images_per_second(metrics.photos, evaluation.seconds),
        "canvas": f"{session.geometry.canvas} px",
        "counted": f"score >= {choice.min_score:.3f}, proper from {choice.threshold:.3f}",
        "model": f"{session.path} [{model_words(session)}]",
        "provider": session.provider,
    }
    for name, value in lines.items():
        add_figure(table, name, value)
    for part in (table, _by_label(metrics), _by_size(metrics), _photos(metrics)):
        console.print(part)
        console.print()


def _by_label(metrics: AllFacesMetrics) -> Table:
    headings = ("label", "faces", "called", "precision", "recall", "F1", "AP50", "AP50:95")
    table = _table("Faces", headings)
    for word, counts in {**metrics.by_label, "any": metrics.any_label}.items():
        ap = metrics.ap.get(word)
        shares = (counts.precision, counts.recall, counts.f1)
        table.add_row(
            word,
            str(counts.faces),
            str(counts.called),
            *map(decimals, shares),
            *(("", "") if word == "any" else map(decimals, (ap and ap.ap50, ap and ap.ap50_95))),
        )
    return table


def _by_size(metrics: AllFacesMetrics) -> Table:
    headings = ("side, % of photo's", "faces", "missed", "share", "called wrongly")
    table = _table("Faces by size", headings)
    for group in metrics.sizes:
        share = percent(group.missed / group.faces)
        table.add_row(group.name, str(group.faces), str(group.missed), share, str(group.miscalled))
    return table


def _photos(metrics: AllFacesMetrics) -> Table:
    headings = ("every mask", "called proper", "called improper", "no face", "right")
    table = _table("Photos, as a whole", headings)
    for label, *counts, share in metrics.verdict.rows():
        words = "worn properly" if label == "proper" else "not so"
        table.add_row(words, *map(str, counts), percent(share))
    return table


def _table(title: str, headings: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left")
    return table
