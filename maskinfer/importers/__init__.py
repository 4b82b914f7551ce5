"""Other tools' annotations to labelled data sets."""
