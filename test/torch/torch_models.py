"""Models as PyTorch exports them: torch_models.py save FOLDER PHOTO ... | torch_models.py answer FOLDER

`save` writes MODEL.onnx and MODEL.pt; `answer` reads MODEL.pixels (uint8, [photos, height, width, 3]), writes MODEL.output.
"""
import json
import pathlib
import sys

import numpy as np
import torch
from torch import nn

SIZE = 64
folder = pathlib.Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
torch.manual_seed(11)


class Net(nn.Module):
    """ImageNet's statistics outside, logits at the end."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.ReLU(),
            nn.MaxPool2d(3), nn.Flatten(),
        )
        self.head = nn.Linear(256, 5)

    def forward(self, x):
        return self.head(self.features(x))


class WithPixels(nn.Module):
    """Takes pixels as they are, uint8, and prepares them itself."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, pixels):
        return self.net(pixels.float() / 255).softmax(1)


class WithFeatures(nn.Module):
    """Two outputs, the features first."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        features = self.net.features(x)
        return features, self.net.head(features)


class Probabilities(nn.Module):
    def __init__(self, *nets):
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, x):
        return torch.stack([net(x).softmax(1) for net in self.nets]).mean(0)


MODELS = {
    "logits": lambda: Net(),
    "softmax": lambda: nn.Sequential(Net(), nn.Softmax(dim=1)),
    "mean-of-softmaxes": lambda: Probabilities(Net(), Net()),
    "uint8-input": lambda: WithPixels(Net()),
    "two-outputs": lambda: WithFeatures(Net()),
    "half": lambda: Net().half(),
}
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def export(name, model, exporter):
    file = folder / f"{name}-{exporter}.onnx"
    example = torch.zeros(1, 3, SIZE, SIZE)
    if name == "uint8-input":
        example = example.to(torch.uint8)
    if name == "half":
        example = example.half()
    names = {"input_names": ["image"], "output_names": ["features", "scores"] if name == "two-outputs" else ["scores"]}
    if exporter == "dynamo":
        shapes = ({0: torch.export.Dim("batch")},)
        torch.onnx.export(model, (example,), file, dynamo=True, dynamic_shapes=shapes, external_data=False, **names)
    else:
        axes = {each: {0: "batch"} for each in ["image", *names["output_names"]]}
        torch.onnx.export(model, (example,), file, dynamo=False, dynamic_axes=axes, **names)
    return file.name


def save():
    index = []
    for name, build in MODELS.items():
        model = build().eval()
        for module in model.modules():
            if isinstance(module, nn.Linear):
                module.weight.data *= 8
        torch.save(model, folder / f"{name}.pt")
        index.append({"name": name, "classes": 5, "files": [export(name, model, exporter) for exporter in ("dynamo", "torchscript")]})
    (folder / "index.json").write_text(json.dumps(index))


def answer():
    for entry in json.loads((folder / "index.json").read_text()):
        name = entry["name"]
        pixels = torch.from_numpy(np.fromfile(folder / f"{name}.pixels", dtype=np.uint8).reshape(-1, SIZE, SIZE, 3))
        pixels = pixels.permute(0, 3, 1, 2)
        model = torch.load(folder / f"{name}.pt", weights_only=False)
        with torch.no_grad():
            prepared = pixels if name == "uint8-input" else (pixels.float() / 255 - MEAN) / STD
            result = model(prepared.half() if name == "half" else prepared)
        scores = (result[1] if isinstance(result, tuple) else result).float()
        if not torch.allclose(scores.sum(1), torch.ones(len(scores)), atol=1e-2):
            scores = scores.softmax(1)
        scores.numpy().tofile(folder / f"{name}.output")
        scores.argmax(1).numpy().astype("uint8").tofile(folder / f"{name}.top")


save() if sys.argv[1] == "save" else answer()
