"""
The web server of the recipe that Streamsight replaces: Flask makes the pixels, appends them to a Redis list as base64 text in
JSON, and looks four times a second whether the answer is there, for as long as it takes.
"""

import io
import json
import os
import time
import uuid

import flask
import numpy as np
from keras.applications.imagenet_utils import preprocess_input
from keras.utils import img_to_array
from PIL import Image

import recipe_settings as settings

app = flask.Flask(__name__)
db = settings.connect()


def prepare(image):
    image = image.convert("RGB") if image.mode != "RGB" else image
    pixels = img_to_array(image.resize((settings.SIDE, settings.SIDE)))
    return preprocess_input(np.expand_dims(pixels, axis=0)).copy(order="C")


@app.route("/predict", methods=["POST"])
def predict():
    upload = flask.request.files.get("image")
    if upload is None:
        return flask.jsonify(success=False)
    request_id = str(uuid.uuid4())
    pixels = prepare(Image.open(io.BytesIO(upload.read())))
    db.rpush(settings.QUEUE, json.dumps({"id": request_id, "image": settings.encode(pixels)}))
    while (output := db.get(request_id)) is None:
        time.sleep(settings.CLIENT_SLEEP_S)
    db.delete(request_id)
    return flask.jsonify(success=True, predictions=json.loads(output))


if __name__ == "__main__":
    # Its users run it so: Flask's own server, which has a thread for each request.
    app.run(port=int(os.environ["PORT"]))
