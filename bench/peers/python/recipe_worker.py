"""
The worker of the recipe: reads up to 32 requests off the head of the list, classifies and answers them, and only then cuts as
many off. Two workers read the same requests, and each cuts off those that it did not read: these are lost.

It differs from the recipe in two ways: the weights are random, because nothing may be downloaded, and so the labels are numbers.
"""

import json
import time

import numpy as np
from keras.applications import ResNet50
from keras.utils import set_random_seed

import recipe_settings as settings

TOP_K = 5


def best(probabilities):
    order = np.argsort(probabilities)[::-1][:TOP_K]
    return [{"label": f"class {index}", "probability": float(probabilities[index])} for index in order]


def main():
    # Two workers must have the same weights.
    set_random_seed(1)
    model = ResNet50(weights=None)
    # As late as in the first request it would take seconds.
    model.predict(np.zeros((1, settings.SIDE, settings.SIDE, settings.CHANNELS), np.float32), verbose=0)
    db = settings.connect()
    print("ready", flush=True)
    while True:
        queue = db.lrange(settings.QUEUE, 0, settings.BATCH_SIZE - 1)
        requests = [json.loads(text) for text in queue]
        if requests:
            batch = np.vstack([settings.decode(request["image"]) for request in requests])
            for request, probabilities in zip(requests, model.predict(batch, verbose=0)):
                db.set(request["id"], json.dumps(best(probabilities)))
            db.ltrim(settings.QUEUE, len(requests), -1)
        time.sleep(settings.WORKER_SLEEP_S)


if __name__ == "__main__":
    main()
