"""Models as tutorials build them, with their preprocessing at its place, and what Keras makes of the product's own pixels.

photos.py save FOLDER 2|3 [PHOTO ...]    saves models of random weights and index.json
photos.py answer FOLDER 2|3              reads MODEL.pixels (uint8, [photos, height, width, 3]), writes MODEL.output
"""
import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf

if sys.argv[3] == "2":
    from tensorflow import keras
else:
    import keras

layers, applications = keras.layers, keras.applications
folder = pathlib.Path(sys.argv[2])
version = int(sys.argv[3])
folder.mkdir(parents=True, exist_ok=True)
keras.utils.set_random_seed(11)

# What the author of a model does before calling it; the import has to find out.
PREPARE = {
    "nothing": lambda pixels: pixels,
    "tf": lambda pixels: pixels / 127.5 - 1,
}


def convolutions(x, activation="relu"):
    x = layers.Conv2D(8, 3, strides=2, activation=activation)(x)
    x = layers.BatchNormalization()(x)
    x = layers.MaxPooling2D()(x)
    return layers.Conv2D(16, 3, activation=activation)(x)


def functional(front, size=64, head=None):
    inputs = layers.Input((size, size, 3))
    x = layers.Flatten()(convolutions(front(inputs)))
    return keras.Model(inputs, (head or layers.Dense(5, activation="softmax"))(x))


def nested_sequential(_):
    augment = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.RandomZoom(0.1)])
    body = keras.Sequential([
        layers.Conv2D(8, 3, strides=2, activation="relu"), layers.BatchNormalization(), layers.MaxPooling2D(),
        layers.SeparableConv2D(16, 3, activation="relu"), layers.Flatten(),
    ])
    head = keras.Sequential([layers.Dropout(0.2), layers.Dense(12, activation="relu"), layers.Dense(5, activation="softmax")])
    model = keras.Sequential([layers.Input((64, 64, 3)), augment, layers.Rescaling(1 / 255), body, head])
    model(np.zeros((1, 64, 64, 3), "float32"))
    return model


def nested_functional(_):
    base = applications.MobileNetV2(include_top=False, weights=None, input_shape=(96, 96, 3), alpha=0.35)
    inputs = layers.Input((96, 96, 3))
    x = applications.mobilenet_v2.preprocess_input(inputs)
    x = layers.GlobalAveragePooling2D()(base(x, training=False))
    features = layers.Input((x.shape[-1],))
    head = keras.Model(features, layers.Dense(5, activation="softmax")(features))
    return keras.Model(inputs, head(x))


def rescaling(_):
    return functional(layers.Rescaling(1 / 127.5, offset=-1), head=layers.Dense(5))


def normalization(pixels):
    front = layers.Normalization()
    front.adapt(pixels(64))
    return functional(front)


def caffe(_):
    return functional(applications.resnet50.preprocess_input)


def torch_mode(_):
    return functional(applications.densenet.preprocess_input)


def augmented(_):
    front = keras.Sequential([
        layers.RandomFlip(), layers.RandomTranslation(0.1, 0.1), layers.RandomContrast(0.2), layers.GaussianNoise(0.1),
        layers.Rescaling(1 / 255),
    ])
    return functional(front)


def mixed_precision(_):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        return functional(layers.Rescaling(1 / 255), head=keras.Sequential([
            layers.Dense(5), layers.Activation("softmax", dtype="float32"),
        ]))
    finally:
        keras.mixed_precision.set_global_policy("float32")


def sigmoid_unit(_):
    return functional(layers.Rescaling(1 / 255), head=layers.Dense(1, activation="sigmoid"))


def ensemble(_):
    inputs = layers.Input((64, 64, 3))
    members = [functional(layers.Rescaling(1 / 255)), functional(layers.Rescaling(1 / 127.5, offset=-1))]
    return keras.Model(inputs, layers.Average()([member(inputs) for member in members]))


def shared(_):
    """A layer and a model used twice, and activations that few models have."""
    inputs = layers.Input((64, 64, 3))
    x = layers.Conv2D(8, 3, strides=2, activation="gelu")(layers.Rescaling(1 / 255)(inputs))
    again = layers.Conv2D(8, 3, padding="same")
    x = layers.PReLU(shared_axes=[1, 2])(again(x))
    x = layers.LayerNormalization()(again(x))
    tower = keras.Sequential([layers.AveragePooling2D(4), layers.Flatten(), layers.Dense(12, activation="tanh")])
    difference = layers.Subtract()([tower(x), tower(layers.Activation("relu")(x))])
    return keras.Model(inputs, layers.Softmax()(layers.Dense(5)(difference)))


def any_size(_):
    inputs = layers.Input((None, None, 3))
    x = layers.Rescaling(1 / 255)(layers.Resizing(48, 64)(inputs))
    x = layers.GlobalAveragePooling2D()(convolutions(x))
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(x))


def mobilenetv3(include_preprocessing):
    return lambda _: applications.MobileNetV3Small(
        input_shape=(96, 96, 3), weights=None, classes=5, include_preprocessing=include_preprocessing)


MODELS = [
    ("nested-sequential", nested_sequential, "nothing"),
    ("nested-functional", nested_functional, "nothing"),
    ("rescaling", rescaling, "nothing"),
    ("normalization", normalization, "nothing"),
    ("preprocess-caffe", caffe, "nothing"),
    ("preprocess-torch", torch_mode, "nothing"),
    ("augmentation", augmented, "nothing"),
    ("mixed-precision", mixed_precision, "nothing"),
    ("sigmoid-unit", sigmoid_unit, "nothing"),
    ("ensemble", ensemble, "nothing"),
    ("shared-layers", shared, "nothing"),
    ("resizing-inside", any_size, "nothing"),
    ("mobilenetv3", mobilenetv3(True), "nothing"),
    ("mobilenetv3-bare", mobilenetv3(False), "tf"),
]


def all_layers(model):
    for layer in model.layers:
        yield from all_layers(layer) if hasattr(layer, "layers") else [layer]


def spread(model, inputs):
    """Scores that differ from photo to photo, as those of a trained model do: those of random weights hardly would."""
    norms = [layer for layer in all_layers(model) if isinstance(layer, layers.BatchNormalization)]
    for norm in norms:
        norm.momentum, norm.trainable = 0.0, True
    model(inputs, training=True)
    for dense in [layer for layer in all_layers(model) if isinstance(layer, (layers.Dense, layers.Conv2D))]:
        if dense.weights[0].shape[-1] not in (1, 5):
            continue
        activation, dense.activation = dense.activation, keras.activations.linear
        probe = keras.Model(model.inputs, model.outputs)
        logits = np.array(probe(inputs, training=False), dtype="float32").reshape(len(inputs), -1)
        dense.activation = activation
        if logits.std(axis=0).mean() > 0:
            dense.kernel.assign(dense.kernel * float(np.clip(2 / logits.std(axis=0).mean(), 0.01, 100)))


def pixels_of(photos, size):
    height, width = size if isinstance(size, tuple) else (size, size)
    decoded = [tf.io.decode_jpeg(tf.io.read_file(photo), channels=3) for photo in photos]
    return np.stack([tf.image.resize(photo, (height, width)).numpy() for photo in decoded])


def save(photos):
    index = []
    for name, build, prepare in MODELS:
        model = build(lambda size: pixels_of(photos, size))
        height, width = [size or 64 for size in model.input_shape[1:3]]
        spread(model, PREPARE[prepare](pixels_of(photos, (height, width))))
        files = []
        for ending in ("h5", "keras"):
            file = f"{name}.{ending}"
            try:
                model.save(folder / file)
                files.append(file)
            except TypeError as error:
                # Keras 2 can't write `x[..., ::-1]` into a .keras file.
                print(f"{name}: not as .{ending}: {error}", file=sys.stderr)
        index.append({"name": name, "prepare": prepare, "classes": max(model.output_shape[-1], 2), "files": files})
        keras.backend.clear_session()
    (folder / "index.json").write_text(json.dumps(index))


def probabilities(model, inputs):
    scores = np.array(model.predict(inputs, verbose=0), dtype="float32")
    if scores.shape[-1] == 1:
        return np.concatenate([1 - scores, scores], axis=-1)
    return scores if np.allclose(scores.sum(axis=-1), 1, atol=1e-2) else np.array(tf.nn.softmax(scores))


def answer():
    for entry in json.loads((folder / "index.json").read_text()):
        shape = json.loads((folder / f"{entry['name']}.shape").read_text())
        pixels = np.fromfile(folder / f"{entry['name']}.pixels", dtype=np.uint8).reshape(shape).astype("float32")
        # Keras 3 writes operators into an .h5 file but can't read them from there.
        model = keras.models.load_model(folder / entry["files"][-1], compile=False)
        inputs = PREPARE[entry["prepare"]](pixels)
        scores = probabilities(model, inputs)
        scores.argmax(axis=-1).astype("uint8").tofile(folder / f"{entry['name']}.top")
        if "mixed_float16" in model.to_json():
            # Half precision has three digits: what the same weights give in single precision is what counts beyond the top.
            config = model.to_json().replace("mixed_float16", "float32").replace('"float16"', '"float32"')
            exact = keras.models.model_from_json(config)
            exact.set_weights(model.get_weights())
            scores = probabilities(exact, inputs)
        scores.astype("float32").tofile(folder / f"{entry['name']}.output")


save(sys.argv[4:]) if sys.argv[1] == "save" else answer()
