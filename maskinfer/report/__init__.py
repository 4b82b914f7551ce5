"""Pages that show a data set, a training, mistakes: one HTML file each, without network access.

Each `*_page` module turns the findings of another package into a `Page` of figures, tables and
photos, which `ReportFolder` writes. Needs the `report` extra: Jinja2, matplotlib.
"""
