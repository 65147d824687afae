import { type Graph } from './onnx-graph.ts'
import { type LayerOf } from './ir.ts'

/** Functions that ONNX has as one operator. */
const operators = {
  elu: 'Elu',
  sigmoid: 'Sigmoid',
  tanh: 'Tanh',
  selu: 'Selu',
  softplus: 'Softplus',
  softsign: 'Softsign'
} as const

/** The others are put together: opset 17 has neither Gelu nor Mish. */
export function writeElementwise(graph: Graph, layer: LayerOf<'elementwise'>): void {
  switch (layer.function) {
    case 'swish':
      return writeGated(graph, layer, ['Sigmoid'])
    case 'mish':
      return writeGated(graph, layer, ['Softplus', 'Tanh'])
    case 'gelu':
      return writeGelu(graph, layer)
    default:
      return graph.node({ op: operators[layer.function], inputs: layer.inputs, output: layer.name })
  }
}

type Elementwise = LayerOf<'elementwise'>

/** x · f(x). */
function writeGated(graph: Graph, { name, inputs }: Elementwise, functions: readonly string[]): void {
  const [input = ''] = inputs
  const gate = functions.reduce((from, op) => {
    const output = `${name}:${op.toLowerCase()}`
    graph.node({ op, inputs: [from], output })
    return output
  }, input)
  graph.node({ op: 'Mul', inputs: [input, gate], output: name })
}

/** x · Φ(x) = x · (½ + ½ · erf(x ÷ √2)). */
function writeGelu(graph: Graph, { name, inputs }: Elementwise): void {
  const [input = ''] = inputs
  const { constant, step } = createSteps(graph, name)
  const scaled = step('Mul', 'scaled', [input, constant('root-half', Math.SQRT1_2)])
  writeHalved(graph, { name, input, between: step('Erf', 'erf', [scaled]) })
}

/** x · (½ + ½ · y), with y between −1 and 1. */
function writeHalved(graph: Graph, { name, input, between }: { name: string; input: string; between: string }): void {
  const { constant, step } = createSteps(graph, name)
  const half = constant('half', 0.5)
  const share = step('Add', 'share', [step('Mul', 'halved', [between, half]), half])
  graph.node({ op: 'Mul', inputs: [input, share], output: name })
}

function createSteps(graph: Graph, name: string) {
  return {
    constant: (of: string, value: number) => graph.floats(`${name}:${of}`, [], Float32Array.of(value)),
    step(op: string, output: string, inputs: readonly string[]): string {
      graph.node({ op, inputs, output: `${name}:${output}` })
      return `${name}:${output}`
    }
  }
}
