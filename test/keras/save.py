"""Saves models of random weights in each form of .h5, with inputs and what Keras makes of them: python save.py FOLDER 2|3"""
import json
import pathlib
import re
import sys

import h5py
import numpy as np

if sys.argv[2] == "2":
    import tf_keras as keras
    from tf_keras import layers
else:
    import keras
    from keras import layers
    from keras.src.legacy.saving import legacy_h5_format

IMAGES = 3
version = int(sys.argv[2])
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(7)
keras.utils.set_random_seed(7)
index = []


def images(size, low, high):
    """Noise of three scales: plain noise looks the same to a network that averages over the image."""
    shape = (IMAGES, size, size, 3)
    noise = sum(np.kron(random.random((IMAGES, size // step, size // step, 3)), np.ones((1, step, step, 1)) / 3) for step in (1, 8, 32))
    return (low + (high - low) * noise.reshape(shape)).astype(np.float32)


def all_layers(model):
    for layer in model.layers:
        yield from all_layers(layer) if isinstance(layer, keras.Model) else [layer]


def randomize(model, inputs):
    """Normalization with statistics near those of the inputs, as in a trained model, but of no layer's making; scores that differ."""
    norms = [layer for layer in all_layers(model) if isinstance(layer, layers.BatchNormalization)]
    for norm in norms:
        norm.momentum, norm.trainable = 0.0, True
    model(inputs, training=True)
    for norm in norms:
        norm.momentum = 0.99
        size = norm.moving_mean.shape
        deviation = np.sqrt(np.asarray(norm.moving_variance.numpy()))
        norm.moving_mean.assign(norm.moving_mean + random.normal(0, 0.2, size) * deviation)
        norm.moving_variance.assign(norm.moving_variance * random.uniform(0.7, 1.4, size) + 1e-3)
        norm.gamma.assign(random.uniform(0.7, 1.3, size)) if norm.scale else None
        norm.beta.assign(random.normal(0, 0.2, size)) if norm.center else None
    last = [layer for layer in all_layers(model) if isinstance(layer, layers.Dense)][-1]
    last.bias.assign(random.normal(0, 0.5, last.bias.shape))
    activation, last.activation = last.activation, keras.activations.linear
    logits = np.array(model(inputs, training=False))
    last.activation = activation
    last.kernel.assign(last.kernel * 2.5 / logits.std(axis=1).mean())


def save(name, model, inputs, forms, architecture=None):
    outputs = np.array(model(inputs, training=False), dtype=np.float32)
    inputs.tofile(folder / f"{name}.input")
    outputs.tofile(folder / f"{name}.output")
    files = []
    for form, write in forms.items():
        file = f"{name}-{form}.weights.h5" if form == "weights" else f"{name}-{form}.h5"
        write(model, folder / file)
        files.append({"form": form, "file": file})
    index.append({
        "name": name, "images": IMAGES, "shape": list(inputs.shape[1:]), "classes": outputs.shape[1],
        "architecture": architecture, "files": files,
    })


def save_legacy(model, path):
    if version == 2:
        return model.save_weights(path)
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


whole = {"model": lambda model, path: model.save(path)}
legacy = {**whole, "legacy-weights": save_legacy}
every = {**legacy, "weights": lambda model, path: model.save_weights(path)}


def old_resnet(model):
    """ResNet50 with the names and the epsilon of keras_applications 1.0."""
    def rename(layer):
        config = layer.get_config()
        name = re.sub(r"^conv1_conv$", "conv1", config["name"])
        name = re.sub(r"^conv1_bn$", "bn_conv1", name)
        name = re.sub(r"^predictions$", "fc1000", name)
        block = re.match(r"^conv(\d)_block(\d)_(\d)_(conv|bn)$", name)
        if block:
            branch = "branch1" if block[3] == "0" else f"branch2{'abc'[int(block[3]) - 1]}"
            name = f"{'res' if block[4] == 'conv' else 'bn'}{block[1]}{'abcdef'[int(block[2]) - 1]}_{branch}"
        if "epsilon" in config:
            config["epsilon"] = 1e-3
        return layer.__class__.from_config({**config, "name": name})

    renamed = keras.models.clone_model(model, clone_function=rename)
    renamed.set_weights(model.get_weights())
    return renamed


def transfer():
    base = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(96, 96, 3), alpha=0.35)
    return base, keras.Sequential([
        layers.Input((96, 96, 3)),
        layers.RandomFlip("horizontal"),
        layers.Rescaling(1 / 127.5, offset=-1),
        base,
        layers.GlobalAveragePooling2D(),
        layers.Dropout(0.2),
        layers.Dense(5, activation="softmax"),
    ])


def tutorial():
    """As TensorFlow's own tutorial on transfer learning has it: the preprocessing is in the model, as operators."""
    base = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(96, 96, 3), alpha=0.5)
    inputs = layers.Input((96, 96, 3))
    x = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.2)])(inputs)
    x = keras.applications.mobilenet_v2.preprocess_input(x)
    x = base(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    return keras.Model(inputs, layers.Dense(5)(x))


def small():
    return keras.Sequential([
        layers.Input((32, 32, 3)),
        layers.Conv2D(8, 3, activation="relu"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(),
        layers.SeparableConv2D(12, 3, strides=2, padding="same", activation="elu"),
        layers.Flatten(),
        layers.Dense(16, activation=layers.LeakyReLU(negative_slope=0.1) if version == 3 else "softsign"),
        layers.Dense(4),
    ])


def zoo():
    """What the well-known networks don't have."""
    inputs = layers.Input((25, 30, 3))
    mean, variance = [100.0, 110.0, 120.0], [3000.0, 4000.0, 5000.0]
    x = layers.Normalization(axis=-1, mean=mean, variance=variance)(inputs)
    x = layers.Conv2D(12, (3, 5), strides=(2, 3), padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(scale=False)(x)
    a = layers.Conv2D(12, 3, groups=3, padding="same", activation="hard_sigmoid")(x)
    b = layers.Conv2D(12, 3, dilation_rate=2, padding="same", activation="hard_swish" if version == 3 else "softplus")(x)
    c = layers.DepthwiseConv2D(3, depth_multiplier=2, strides=2, padding="same", activation="silu")(x)
    c = layers.Conv2D(12, 1, activation="selu")(c)
    c = layers.DepthwiseConv2D(3, dilation_rate=2, padding="same")(c)
    x = layers.Concatenate()([layers.ReLU(max_value=0.8, negative_slope=0.1, threshold=0.2)(a), layers.ELU(alpha=0.7)(b)])
    x = layers.AveragePooling2D(3, strides=2, padding="same")(x)
    x = layers.Concatenate(axis=-1)([x, c])
    gate = layers.GlobalMaxPooling2D(keepdims=True)(x)
    gate = layers.Conv2D(36, 1, activation="sigmoid")(gate)
    x = layers.Multiply()([x, gate])
    x = layers.BatchNormalization(center=False)(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    x = layers.Reshape((-1, 36))(x)
    x = layers.Dense(10, activation="tanh")(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(6, activation="softmax")(x))


def save_applications():
    for name, build, low, high in [
        ("resnet50", keras.applications.ResNet50, -120, 140),
        ("mobilenetv2", keras.applications.MobileNetV2, -1, 1),
        ("efficientnetb0", keras.applications.EfficientNetB0, 0, 255),
    ]:
        model, inputs = build(weights=None), images(224, low, high)
        for layer in model.layers:
            if isinstance(layer, layers.Normalization):
                layer.adapt(inputs / 255)
        randomize(model, inputs)
        save(name, model, inputs, every, name)
        if name == "resnet50":
            save("resnet50-old", old_resnet(model), inputs, legacy, name)


def save_others():
    for name, build, size in [("small", small, 32), ("zoo", zoo, None)]:
        model = build()
        inputs = images(size, 0, 1) if size else images(32, 0, 255)[:, :25, :30, :].copy()
        randomize(model, inputs)
        save(name, model, inputs, whole)
    model = tutorial()
    inputs = images(96, 0, 255)
    randomize(model, inputs)
    save("tutorial", model, inputs, whole)
    base, model = transfer()
    inputs = images(96, 0, 255)
    randomize(model, inputs)
    for layer in base.layers[:40]:
        layer.trainable = False
    save("transfer", model, inputs, whole)


save_applications()
save_others()
(folder / "index.json").write_text(json.dumps(index))
