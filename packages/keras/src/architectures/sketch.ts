import { type Config } from '../config.ts'
import { type KerasLayer } from '../topology.ts'

export type Sketch = ReturnType<typeof createSketch>

/** A Keras model written down in code, for files that hold its weights alone. Widths are left to the weights. */
export function createSketch(input: { width: number; height: number }) {
  const layers: KerasLayer[] = [
    {
      name: 'input',
      path: ['input'],
      className: 'InputLayer',
      config: { shape: [null, input.height, input.width, 3] },
      inputs: []
    }
  ]

  /** Gives the layer's name, for those that read it. */
  function add(
    className: string,
    name: string,
    { from, ...config }: { from: string | readonly string[] } & Config
  ): string {
    layers.push({ name, path: [name], className, config, inputs: [from].flat() })
    return name
  }

  return {
    layers,
    input: 'input',
    add,

    /** The end of all of them: an average over the image, and a dense layer with softmax. */
    addClassifier(from: string, name: string): string {
      const pooled = add('GlobalAveragePooling2D', 'avg_pool', { from })
      return add('Dense', name, { from: pooled, activation: 'softmax' })
    }
  }
}
