"""What the web server and the worker of the recipe agree on: the recipe's own numbers."""

import base64
import os

import numpy as np
import redis

SIDE, CHANNELS = 224, 3
QUEUE = "image_queue"
BATCH_SIZE = 32
WORKER_SLEEP_S = CLIENT_SLEEP_S = 0.25


def connect():
    return redis.Redis(port=int(os.environ["REDIS_PORT"]))


def encode(pixels):
    return base64.b64encode(pixels).decode()


def decode(text):
    """Base64 text to float32 [1, 224, 224, 3]."""
    return np.frombuffer(base64.b64decode(text), np.float32).reshape(1, SIDE, SIDE, CHANNELS)
