"""What the FastAPI and the LitServe peer share: uploaded bytes to pixels, pixels to probabilities, probabilities to JSON."""

import io

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

SIDE, SHORT_SIDE, TOP_K = 224, 256, 5
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
# (value / 255 - mean) / std as one multiplication and one addition a pixel.
FACTOR, OFFSET = 1 / (255 * STD), -MEAN / STD


def open_session(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that spin while they wait take the cores from decoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def decode(image):
    """Bytes of an image to float32 [3, 224, 224]: short side 256, centre crop, normalized as ImageNet models want it."""
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(image))).convert("RGB")
    scale = SHORT_SIDE / min(picture.size)
    width, height = (round(side * scale) for side in picture.size)
    left, top = (width - SIDE) // 2, (height - SIDE) // 2
    cropped = picture.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + SIDE, top + SIDE))
    return np.ascontiguousarray((np.asarray(cropped, np.float32) * FACTOR + OFFSET).transpose(2, 0, 1))


def infer(session, batch):
    """float32 [N, 3, 224, 224] to probabilities [N, 1000]."""
    return session.run(None, {session.get_inputs()[0].name: batch})[0]


def answer(probabilities):
    best = np.argsort(probabilities)[::-1][:TOP_K]
    return {
        "success": True,
        "predictions": [{"label": f"class {index}", "probability": float(probabilities[index])} for index in best],
    }
