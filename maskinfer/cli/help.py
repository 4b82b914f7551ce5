"""The commands: for each the group that it stands in, and the examples of its help."""

COMMANDS = {
    "predict": (
        "Use",
        "predict photos",
        "predict photos --face all --report seen --out preds.csv",
        "predict new old/1.jpg 'archive/**/*.jpg' --limit 1000 --json -",
    ),
    "evaluate": ("Use", "evaluate", "evaluate data --model models/RUN.onnx --report reports/mine"),
    "compare": ("Use", "compare models/OLD.onnx models/NEW.onnx --data data"),
    "import": (
        "Data",
        "import auto ANNOTATED --out data",
        "import voc VOC --out crops --face each",
        "import csv PHOTOS --labels boxes.csv --out data --proper mask --improper none",
    ),
    "export-labels": ("Data", "export-labels data yolo-data --to yolo"),
    "synth": ("Data", "synth drawn/train --count 500 --seed 1"),
    "explore": ("Data", "explore data", "explore photos --no-model --out reports/photos"),
    "audit": (
        "Data",
        "audit data --folds 4",
        "audit data --model models/RUN.onnx",
        "audit data --apply suspects.csv --out corrected",
    ),
    "train": (
        "Train",
        "train --network lite --recipe finetune --weights shipped --data data",
        "train --network resnet --recipe report --data data",
        "train --resume runs/RUN",
    ),
    "tune": (
        "Train",
        "tune --network fasterrcnn --lr 1e-4..1e-2 --optimizer adam,sgd --trials 12 --data data",
        "tune --resume runs/tune-RUN",
    ),
    "report": ("Train", "report", "report runs/A runs/B --out reports/both"),
    "export": (
        "Ship",
        "export",
        "export shipped --canvas 640 --precision fp16 --out models/large.onnx",
        "export runs/RUN --precision int8 --calibrate photos",
    ),
    "verify": ("Ship", "verify models/RUN.onnx --against runs/RUN"),
    "bench": ("Ship", "bench", "bench photos --batch-size 8 --batch-size 32 --threads 2"),
    "info": ("Ship", "info", "info models/RUN.onnx --json -"),
    "doctor": ("Ship", "doctor", "doctor --json -"),
}
