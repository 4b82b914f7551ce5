import maskinfer


def test_the_public_names_are_these_and_can_be_imported() -> None:
    assert maskinfer.__all__ == [
        "Failure",
        "Geometry",
        "ImagePrediction",
        "MaskDetector",
        "ModelMetadata",
        "Prediction",
        "__version__",
        "canvas_to_image",
        "draw",
        "load_photo",
        "place",
    ]
    assert all(hasattr(maskinfer, name) for name in maskinfer.__all__)
