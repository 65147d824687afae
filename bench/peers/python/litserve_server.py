"""
LitServe and ONNX Runtime, batching on: each worker collects what arrives within the timeout, decodes it and runs it as one batch.
As many workers as cores, as its documentation advises for CPUs, each with one engine thread: per picture that takes a tenth less
CPU than one worker with all threads. Batches of 4, 8 and 16 and timeouts of 10 and 50 ms did equally well; a lone request waits
for the timeout, so the short one it is.
"""

import os

import litserve
import numpy as np

from classifier import answer, decode, infer, open_session

MAX_BATCH_SIZE, BATCH_TIMEOUT_S = 8, 0.01


class Classifier(litserve.LitAPI):
    def setup(self, device):
        self.session = open_session(os.environ["MODEL"], threads=1)

    def decode_request(self, request):
        return decode(request["image"].file.read())

    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, batch):
        return infer(self.session, batch)

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return answer(output)


if __name__ == "__main__":
    api = Classifier(max_batch_size=MAX_BATCH_SIZE, batch_timeout=BATCH_TIMEOUT_S)
    # 30 s, its own limit, would be an error where others merely are slow.
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=int(os.environ["THREADS"]), fast_queue=True, timeout=60)
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), num_api_servers=1, generate_client_file=False, log_level="warning")
