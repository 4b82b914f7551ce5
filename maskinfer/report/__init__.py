"""Pages that show a data set, a training, mistakes: one HTML file each, without network access.

What is found is plain data of the rooms outside; here it becomes sections of figures, tables and
photos (`*_page`), and those one file (`page`). Needs the `report` extra: Jinja2, matplotlib.
"""
