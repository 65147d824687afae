import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { ModelError } from '../../store/error.ts'
import { pythonPins } from './python.ts'

/** Files that can't be served: what one is, and then the lines that make one of it that can. `name` is `file` without its ending. */
type WayOut = (file: string, name: string) => string[]

const pipInstall = `pip install ${pythonPins.join(' ')}`

const importIt = (name: string, settings = '') => `npm run model -- import ${name}.onnx --labels labels.txt${settings}`

const fromTorch = (name: string, load: string): string[] => [
  `import torch; ${load}`,
  `torch.onnx.export(model.eval(), torch.randn(1, 3, 224, 224), "${name}.onnx", ` +
    'input_names=["input"], dynamic_axes={"input": {0: "batch"}})',
  importIt(name, ' --preprocessing imagenet')
]

const fromTensorFlow = (name: string, options: string): string[] => [
  pipInstall,
  `python -m tf2onnx.convert --opset 17 ${options} --output ${name}.onnx`,
  importIt(name)
]

const wayOuts: Record<string, WayOut> = {
  torch: (file, name) => [
    'PyTorch keeps weights there and leaves the network in Python code. Export it to ONNX where it was trained ' +
      `(an Ultralytics model: yolo export model=${file} format=onnx dynamic=True):`,
    ...fromTorch(name, `model.load_state_dict(torch.load("${file}"))`)
  ],
  safetensors: (_file, name) => [
    'it holds weights without a network. Export the Hugging Face model that it belongs to, then import the folder:',
    'pip install "optimum[onnxruntime]"',
    `optimum-cli export onnx --task image-classification --model <folder of ${name}.safetensors> exported`,
    'npm run model -- import exported'
  ],
  tflite: (file, name) => [
    "TensorFlow Lite can't be served here. Convert it to ONNX (a quantized one with --dequantize):",
    ...fromTensorFlow(name, `--tflite ${file}`)
  ],
  frozen: (file, name) => [
    'a frozen TensorFlow graph. Convert it to ONNX; saved_model_cli or Netron show the names of its input and output:',
    ...fromTensorFlow(name, `--graphdef ${file} --inputs input:0 --outputs output:0`)
  ],
  fastai: (file, name) => [
    'a fastai learner, which is a Python pickle. Export it to ONNX (its labels are learn.dls.vocab):',
    ...fromTorch(name, `from fastai.vision.all import load_learner; model = load_learner("${file}").model`)
  ],
  sklearn: () => [
    'a scikit-learn model, which takes rows of numbers and no pictures: no form of it can be served here. ' +
      'Train a network on the same pictures instead; Teachable Machine needs no code:',
    '1. open https://teachablemachine.withgoogle.com/train/image and drop the folders of pictures in',
    '2. "Export Model" > Tensorflow.js > Download gives converted_tfjs.zip',
    '3. npm run model -- import converted_tfjs.zip'
  ],
  pickle: (file, name) => [
    'a Python pickle; only the program that wrote it can read it. If it holds a PyTorch model, export that to ONNX:',
    ...fromTorch(name, `model = torch.load("${file}", weights_only=False)`)
  ],
  coreml: (_file, name) => [
    "Core ML can't be converted back. Export the model that it was made from to ONNX; for PyTorch:",
    ...fromTorch(name, 'model = ...  # what was given to coremltools.convert')
  ],
  tensorrt: (_file, name) => [
    'a TensorRT engine runs on the GPU that it was built on, and nowhere else. ' +
      'Import the ONNX file that it was built from:',
    'ls *.onnx',
    'trtexec --help | grep -- --onnx   # the option that named it',
    importIt(name)
  ],
  openvino: (_file, name) => [
    "OpenVINO's form can't be converted back. Import the ONNX file that it was made from, " +
      'or export the model anew; for PyTorch:',
    ...fromTorch(name, 'model = ...  # what was given to openvino.convert_model')
  ],
  paddle: (file, name) => [
    'a PaddlePaddle model. Convert it to ONNX:',
    'pip install paddle2onnx',
    `paddle2onnx --model_dir . --model_filename ${file} --params_filename ${name}.pdiparams --save_file ${name}.onnx`,
    importIt(name)
  ]
}

const kindsByEnding: Record<string, keyof typeof wayOuts> = {
  '.pt': 'torch',
  '.pth': 'torch',
  '.pt2': 'torch',
  '.ckpt': 'torch',
  '.safetensors': 'safetensors',
  '.tflite': 'tflite',
  '.lite': 'tflite',
  '.pb': 'frozen',
  '.pkl': 'pickle',
  '.pickle': 'pickle',
  '.joblib': 'sklearn',
  '.sav': 'sklearn',
  '.mlmodel': 'coreml',
  '.mlpackage': 'coreml',
  '.mlmodelc': 'coreml',
  '.engine': 'tensorrt',
  '.plan': 'tensorrt',
  '.trt': 'tensorrt',
  '.xml': 'openvino',
  '.pdmodel': 'paddle'
}

/** Says of a file that can't be imported what it is, and how to make one of it that can; undefined for any other file. */
export async function refusalOf(path: string, isFolder = false): Promise<ModelError | undefined> {
  const kind = basename(path) === 'saved_model.pb' ? undefined : kindsByEnding[extname(path).toLowerCase()]
  if (kind === undefined || (isFolder && kind !== 'coreml')) return undefined
  const [file, name] = [basename(path), basename(path, extname(path))]
  const wayOut = wayOuts[kind === 'pickle' || kind === 'sklearn' ? await pickled(path, kind) : kind]
  return wayOut && new ModelError(`${path}: ${wayOut(file, name).join('\n')}`)
}

/** A pickle names the modules that it needs near its beginning. */
async function pickled(path: string, otherwise: string): Promise<string> {
  const head = await headOf(path)
  return ['sklearn', 'fastai', 'torch'].find(module => head.includes(module)) ?? otherwise
}

async function headOf(path: string): Promise<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(65_536), 0, 65_536, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}
