// The engine: random numbers as torch draws them, networks as `build` makes them, and what `profile` says of a pass through them.
//
// A classic script without dependencies, for a page opened from a file and for its worker. helpers/networks.py and helpers/signals.py
// are the models: what changes there, changes here. Matrices are typed arrays, row by row; `float16` and `bfloat16` are float32
// numbers, rounded to those formats wherever torch rounds.

const engine = (() => {
  'use strict'

  // --- random numbers ------------------------------------------------------------------------------------------------

  // torch.Generator on the CPU: the Mersenne Twister MT19937 (Matsumoto & Nishimura 1998).
  class Generator {
    constructor(seed) {
      this.state = new Uint32Array(624)
      this.state[0] = seed % 2 ** 32
      for (let k = 1; k < 624; k++) {
        const before = this.state[k - 1] ^ (this.state[k - 1] >>> 30)
        this.state[k] = Math.imul(before, 1812433253) + k
      }
      this.next = 624
      this.spare = null  // normal draws one by one come in pairs: the second of a pair
    }

    copy() {
      const other = Object.create(Generator.prototype)
      return Object.assign(other, this, { state: this.state.slice() })
    }

    twist() {
      const state = this.state
      for (let k = 0; k < 624; k++) {
        const mixed = (state[k] & 0x80000000) | (state[(k + 1) % 624] & 0x7fffffff)
        state[k] = state[(k + 397) % 624] ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0)
      }
      this.next = 0
    }

    // A whole number below 2^32.
    draw() {
      if (this.next === 624) this.twist()
      let bits = this.state[this.next++]
      bits ^= bits >>> 11
      bits ^= (bits << 7) & 0x9d2c5680
      bits ^= (bits << 15) & 0xefc60000
      return (bits ^ (bits >>> 18)) >>> 0
    }

    // From 0 to below 1, with the 24 bits of a float32, or with the 53 of a float64.
    uniform32() {
      return (this.draw() & 0xffffff) / 2 ** 24
    }

    uniform64() {
      const high = this.draw() & 0x1fffff
      return (high * 2 ** 32 + this.draw()) / 2 ** 53
    }

    // torch.randn(count): from 16 values on, uniform draws first, which are then turned in blocks of 16.
    randn(count, Numbers = Float32Array) {
      if (count < 16) return Numbers.from({ length: count }, () => this.normal())
      const values = new Numbers(count), single = Numbers === Float32Array
      const fill = (from, to) => {
        for (let k = from; k < to; k++) values[k] = single ? this.uniform32() : this.uniform64()
        for (let k = from; k + 16 <= to; k += 16) (single ? boxMuller32 : boxMuller64)(values, k)
      }
      fill(0, count)
      if (count % 16) fill(count - 16, count)
      return values
    }

    // One normal draw, in float64.
    normal() {
      if (this.spare !== null) {
        const spare = this.spare
        this.spare = null
        return spare
      }
      const angle = 2 * Math.PI * this.uniform64(), radius = Math.sqrt(-2 * Math.log1p(-this.uniform64()))
      this.spare = radius * Math.sin(angle)
      return radius * Math.cos(angle)
    }

    // torch.randint(high, (count,)), for high below 2^28.
    randint(high, count) {
      return Uint32Array.from({ length: count }, () => this.draw() % high)
    }
  }

  // Box & Muller 1958: two uniform numbers become two normal ones. Here eight pairs, eight places apart, each step in float32.
  function boxMuller32(values, start) {
    const round = Math.fround, turn = round(2 * Math.PI)
    for (let k = start; k < start + 8; k++) {
      const radius = round(Math.sqrt(round(-2 * round(Math.log(round(1 - values[k]))))))
      const angle = round(turn * values[k + 8])
      values[k] = radius * round(Math.cos(angle))
      values[k + 8] = radius * round(Math.sin(angle))
    }
  }

  function boxMuller64(values, start) {
    for (let k = start; k < start + 8; k++) {
      const radius = Math.sqrt(-2 * Math.log(1 - values[k])), angle = 2 * Math.PI * values[k + 8]
      values[k] = radius * Math.cos(angle)
      values[k + 8] = radius * Math.sin(angle)
    }
  }

  // --- kinds of floating-point numbers -------------------------------------------------------------------------------

  // In place, to the nearest number of the format, and to the even one of two that are as near.
  function toBfloat16(values) {
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
    for (let k = 0; k < bits.length; k++) {
      if (values[k] === values[k]) bits[k] = (bits[k] + 0x7fff + ((bits[k] >>> 16) & 1)) & 0xffff0000
    }
    return values
  }

  function toFloat16(values) {
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
    for (let k = 0; k < bits.length; k++) {
      const size = Math.abs(values[k])
      if (size >= 65520) values[k] *= Infinity
      else if (size >= 2 ** -14) bits[k] = (bits[k] + 0xfff + ((bits[k] >>> 13) & 1)) & 0xffffe000
      else values[k] = Math.fround(values[k] + 0.75) - 0.75  // float32 numbers near 0.75 are 2^-24 apart, as these are
    }
    return values
  }

  const asIs = (values) => values

  const DTYPES = {
    float16: { Numbers: Float32Array, round: toFloat16, largest: 65504 },
    bfloat16: { Numbers: Float32Array, round: toBfloat16, largest: (2 - 2 ** -7) * 2 ** 127 },
    float32: { Numbers: Float32Array, round: asIs, largest: (2 - 2 ** -23) * 2 ** 127 },
    float64: { Numbers: Float64Array, round: asIs, largest: Number.MAX_VALUE },
  }

  // A number as float32 first, as torch keeps it, and then as the dtype.
  const rounded = (value, dtype) => dtype.round(dtype.Numbers.of(Math.fround(value)))[0]

  // --- memory, and the inner loops -----------------------------------------------------------------------------------

  const RING = 12  // at least as many as a block takes, and the gradient that it adds to its own
  const STRIP = 8

  // The memory that a pass writes to, in slots of one size, and the loops over what is there. The same slots serve every pass: new
  // arrays would take longer than what is computed in them.
  // binaries: the bytes of engine_fma.wasm and engine.wasm; the first one that the browser accepts is used. Where it has no WebAssembly
  // with SIMD, the loops are plain JavaScript's, with the same numbers but for rounding, and several times slower; `simd` says which.
  class Memory {
    constructor(binaries) {
      const load = (binary) => { try { return new WebAssembly.Instance(new WebAssembly.Module(binary)).exports } catch { return null } }
      this.code = binaries.reduce((code, binary) => code ?? load(binary), null)  // also where a policy forbids WebAssembly
      this.simd = this.code !== null
      this.start = this.simd ? Math.ceil(this.code.__heap_base.value / 16) * 16 : 0
      this.buffer = this.simd ? this.code.memory.buffer : new ArrayBuffer()
    }

    // Lays out slots of `count` Numbers each: two for weights, `fixed` ones, and a ring.
    begin(Numbers, count, fixed) {
      const bytes = Math.ceil((count * Numbers.BYTES_PER_ELEMENT) / 16) * 16, end = this.start + bytes * (2 + fixed + RING)
      if (end > this.buffer.byteLength) {
        if (this.simd) this.code.memory.grow(Math.ceil((end - this.buffer.byteLength) / 65536))
        this.buffer = this.simd ? this.code.memory.buffer : new ArrayBuffer(end)
      }
      Object.assign(this, { Numbers, bytes, fixed, taken: 0 })
    }

    slot(k, count, Numbers = this.Numbers) {
      return new Numbers(this.buffer, this.start + k * this.bytes, count)
    }

    // The next slot, as an array of `count` numbers. When the fixed ones are taken, those of the ring follow one another.
    take(count) {
      const k = this.taken++
      return this.slot(2 + (k < this.fixed ? k : this.fixed + ((k - this.fixed) % RING)), count)
    }

    // From here on, from the ring.
    takeRing() {
      this.taken = Math.max(this.taken, this.fixed)
    }

    // Calls a loop by name, the ones of engine.c or the ones of `plain`. The first argument, an array, tells the kind of numbers.
    run(name, ...given) {
      if (!this.simd) return plain[name](...given)
      const bits = given[0] instanceof Float32Array ? 32 : 64
      return this.code[name + bits](...given.map((value) => value.byteOffset ?? Number(value)))
    }

    // The matrix factor * values as `product` needs it.
    pack(values, inner, columns, transposed, factor) {
      const copied = this.slot(0, values.length, Float32Array), out = this.slot(1, inner * Math.ceil(columns / STRIP) * STRIP)
      copied.set(values)
      this.run('pack', out, copied, inner, columns, transposed, factor)
      return out
    }

    // The smallest and the greatest value, the sum, and the sum of the squares. NaN is in no extreme.
    sums(values) {
      const found = this.run('summary', values, values.length)
      return this.simd ? new Float64Array(this.buffer, found, 4) : found
    }
  }

  // The loops of engine.c, which describes them, in JavaScript.
  const plain = {
    product(out, a, b, rows, inner, columns) {
      for (let row = 0; row < rows; row++) {
        for (let strip = 0, at = 0; strip < columns; strip += STRIP) {
          let s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0, s5 = 0, s6 = 0, s7 = 0  // an array for them would take longer
          for (let k = row * inner; k < (row + 1) * inner; k++, at += STRIP) {
            const value = a[k]
            s0 += value * b[at]
            s1 += value * b[at + 1]
            s2 += value * b[at + 2]
            s3 += value * b[at + 3]
            s4 += value * b[at + 4]
            s5 += value * b[at + 5]
            s6 += value * b[at + 6]
            s7 += value * b[at + 7]
          }
          const sums = [s0, s1, s2, s3, s4, s5, s6, s7], last = Math.min(STRIP, columns - strip)
          for (let j = 0; j < last; j++) out[row * columns + strip + j] = sums[j]
        }
      }
    },

    pack(out, values, inner, columns, transposed, factor) {
      const [down, across] = transposed ? [1, inner] : [columns, 1]
      for (let strip = 0, at = 0; strip < columns; strip += STRIP) {
        for (let k = 0; k < inner; k++) {
          for (let column = strip; column < strip + STRIP; column++) {
            out[at++] = column < columns ? Math.fround(values[k * down + column * across] * factor) : 0
          }
        }
      }
    },

    pass(out, values, at, count) {
      for (let k = 0; k < count; k++) out[k] = at[k] <= 0 ? 0 : values[k]
    },

    dead(a, rows, columns) {
      const quiet = (_, column) => { for (let k = column; k < a.length; k += columns) if (a[k] !== 0) return false; return true }
      return Array.from({ length: columns }, quiet).filter(Boolean).length
    },

    summary(values) {
      let low = Infinity, high = -Infinity, total = 0, squares = 0
      for (let k = 0; k < values.length; k++) {
        const value = values[k]
        if (value < low) low = value
        if (value > high) high = value
        total += value
        squares += value * value
      }
      return [low, high, total, squares]
    },
  }

  // --- layers --------------------------------------------------------------------------------------------------------

  // Each has forward(x, pass), and then backward(gradient, pass), from the gradient at its output to that at its input. pass: the
  // memory, the number of examples `batch`, the dtype, and `watch`, which looks at what runs.

  // weight(): the matrix (fan_in, fan_out) at the draw; factor: what it is multiplied by. Biases are zero at initialization.
  class Linear {
    constructor(fanIn, fanOut, weight, factor = 1) {
      Object.assign(this, { fanIn, fanOut, weight, factor: Math.fround(factor) })
    }

    forward(x, pass) {
      pass.watch.layer()
      return this.product(x, this.fanIn, this.fanOut, false, pass)
    }

    backward(gradient, pass) {
      return this.product(gradient, this.fanOut, this.fanIn, true, pass)
    }

    product(a, inner, columns, transposed, { memory, batch, dtype }) {
      const out = memory.take(batch * columns)
      const weights = dtype.round(memory.pack(this.weight(), inner, columns, transposed, this.factor))
      memory.run('product', out, a, weights, batch, inner, columns)
      return dtype.round(out)
    }
  }

  // value: from z to a. steep: the slope at a, as a share of the steepest; null where nothing saturates.
  const ACTIVATIONS = {
    relu: { steep: null },
    tanh: { value: Math.tanh, steep: (a) => 1 - a * a },
    sigmoid: { value: (z) => 1 / (1 + Math.exp(-z)), steep: (a) => 4 * a * (1 - a) },
    linear: { steep: null },
  }

  class Activation {
    constructor(kind) {
      this.kind = kind
    }

    forward(z, { memory, dtype, watch }) {
      const a = this.kind === 'linear' ? z : memory.take(z.length), { value } = ACTIVATIONS[this.kind]
      if (this.kind === 'relu') memory.run('pass', a, z, z, z.length)
      else if (a !== z) for (let k = 0; k < z.length; k++) a[k] = value(z[k])
      this.a = dtype.round(a)
      watch.activation(this.kind, z, a)
      return a
    }

    backward(gradient, { memory, dtype }) {
      if (this.kind === 'linear') return gradient
      const a = this.a, found = memory.take(a.length)
      if (this.kind === 'relu') memory.run('pass', found, gradient, a, a.length)
      else if (this.kind === 'tanh') for (let k = 0; k < a.length; k++) found[k] = gradient[k] * (1 - a[k] * a[k])
      else {  // in float16, and only there, torch rounds each step of a sigmoid's gradient
        const step = dtype === DTYPES.float16 ? dtype.round : asIs
        for (let k = 0; k < a.length; k++) found[k] = 1 - a[k]
        step(found)
        for (let k = 0; k < a.length; k++) found[k] *= gradient[k]
        step(found)
        for (let k = 0; k < a.length; k++) found[k] *= a[k]
      }
      return dtype.round(found)
    }
  }

  // gamma * (x - mean) / sqrt(var + eps) + beta, with the mean and the biased variance of each unit over the batch ("batch"), or of
  // each example over the units ("layer"). gamma and beta are numbers, the same for all units.
  class Norm {
    constructor(over, { gamma, beta, eps = 1e-5 }) {
      Object.assign(this, { over, gamma, beta, eps })
    }

    forward(x, { batch, dtype, memory }) {
      const { mean, scale, width, step } = this.moments(x, batch, dtype), z = memory.take(x.length)
      const gamma = rounded(this.gamma, dtype), beta = rounded(this.beta, dtype)
      for (let start = 0, group = 0; start < x.length; start += width, group += step) {
        for (let unit = 0; unit < width; unit++) {
          const at = step ? group : unit
          z[start + unit] = (x[start + unit] - mean[at]) * scale[at] * gamma + beta
        }
      }
      this.x = x
      return dtype.round(z)
    }

    // Each example has a part in the mean and in the variance, and so in all outputs of its group: that part is subtracted.
    backward(gradient, { batch, dtype, memory }) {
      const { mean, scale, width, step, size } = this.moments(this.x, batch, dtype), x = this.x, found = memory.take(x.length)
      const gamma = rounded(this.gamma, dtype)
      const sums = new Float64Array(mean.length), along = new Float64Array(mean.length)
      for (let start = 0, group = 0; start < x.length; start += width, group += step) {
        for (let unit = 0; unit < width; unit++) {
          const at = step ? group : unit, k = start + unit
          sums[at] += gradient[k]
          along[at] += gradient[k] * (x[k] - mean[at]) * scale[at]
        }
      }
      for (let start = 0, group = 0; start < x.length; start += width, group += step) {
        for (let unit = 0; unit < width; unit++) {
          const at = step ? group : unit, k = start + unit, zHat = (x[k] - mean[at]) * scale[at]
          found[k] = gamma * scale[at] * (gradient[k] - (sums[at] + zHat * along[at]) / size)
        }
      }
      return dtype.round(found)
    }

    // mean and scale, 1 / sqrt(var + eps), of each group of values that are normalized together, and the size of a group. A row's
    // values belong to one group each (step 0), or all to one, and the next row's to the next (step 1).
    moments(x, batch, dtype) {
      const width = x.length / batch, step = this.over === 'batch' ? 0 : 1, size = step ? width : batch
      const mean = new Float64Array(step ? batch : width), scale = new Float64Array(mean.length)
      for (let start = 0, group = 0; start < x.length; start += width, group += step) {
        for (let unit = 0; unit < width; unit++) mean[step ? group : unit] += x[start + unit]
      }
      for (let group = 0; group < mean.length; group++) mean[group] /= size
      for (let start = 0, group = 0; start < x.length; start += width, group += step) {
        for (let unit = 0; unit < width; unit++) {
          const at = step ? group : unit, apart = x[start + unit] - mean[at]
          scale[at] += apart * apart
        }
      }
      const round = dtype.Numbers === Float32Array ? Math.fround : (value) => value  // a variance may overflow
      for (let group = 0; group < mean.length; group++) scale[group] = 1 / Math.sqrt(round(scale[group] / size) + this.eps)
      return { mean, scale, width, step, size }
    }
  }

  // x + scale * branch(x)
  class Residual {
    constructor(branch, scale) {
      Object.assign(this, { branch, scale })
    }

    forward(x, pass) {
      const { dtype, watch, memory } = pass, scale = rounded(this.scale, dtype)
      watch.blockBegins(x)
      const added = forward(this.branch, x, pass), out = memory.take(x.length)
      for (let k = 0; k < x.length; k++) out[k] = scale * added[k]
      dtype.round(out)
      for (let k = 0; k < x.length; k++) out[k] += x[k]
      watch.blockEnds(dtype.round(out))
      return out
    }

    backward(gradient, pass) {
      const { dtype, memory } = pass, scale = rounded(this.scale, dtype), length = gradient.length
      const scaled = memory.take(length), total = memory.take(length)
      for (let k = 0; k < length; k++) scaled[k] = scale * gradient[k]
      const found = backward(this.branch, dtype.round(scaled), pass)
      for (let k = 0; k < length; k++) total[k] = found[k] + gradient[k]
      return dtype.round(total)
    }
  }

  function forward(layers, x, pass) {
    for (const layer of layers) {
      layer.input = x
      x = layer.forward(x, pass)
    }
    return x
  }

  function backward(layers, gradient, pass) {
    for (const layer of [...layers].reverse()) {
      gradient = layer.backward(gradient, pass)
      pass.watch.gradient(layer.input, gradient)
    }
    return gradient
  }

  // --- one builder ---------------------------------------------------------------------------------------------------

  // The weights of a seed, of standard deviation gain / sqrt(fan_in), in the order in which `build` draws them: (inputs, width), then
  // (width, width) for each further layer, then (width, classes), of gain 1. A shallower network's layers are the first ones of a
  // deeper network, so they are kept, and another gain only scales them.
  class Weights {
    constructor(seed, { gain = 1, inputs = 64, classes = 10 } = {}) {
      Object.assign(this, { seed, gain, inputs, classes, width: null })
    }

    hidden(layer, width) {
      if (width !== this.width) {
        Object.assign(this, { width, drawn: [], generators: [new Generator(this.seed)], head: {} })
      }
      while (this.drawn.length <= layer) {
        const generator = this.generators.at(-1).copy()
        this.drawn.push(draw(generator, this.drawn.length ? width : this.inputs, width, this.gain))
        this.generators.push(generator)
      }
      return this.drawn[layer]
    }

    // Of the last Linear, behind `depth` hidden layers.
    last(depth, width) {
      this.hidden(depth - 1, width)
      const generator = this.generators[depth].copy()
      if (this.head.depth !== depth) this.head = { depth, values: draw(generator, width, this.classes, 1) }
      return this.head.values
    }
  }

  function draw(generator, fanIn, fanOut, gain) {
    const values = generator.randn(fanIn * fanOut), scale = Math.fround(Math.fround(gain) / Math.fround(Math.sqrt(fanIn)))
    for (let k = 0; k < values.length; k++) values[k] *= scale
    return values
  }

  // The layers of a network as helpers' `build` makes them. factor(k): what hidden layer k's weights are multiplied by after the
  // draw, as a slider does it. gamma, beta: of every norm.
  function build(weights, {
    depth, width, activation = 'relu', norm = 'none', skip = false, branch_scale = 1, order = 'pre', factor = () => 1, gamma = 1, beta = 0,
  }) {
    let count = 0
    function linear(fanIn) {
      const layer = count++
      return new Linear(fanIn, width, () => weights.hidden(layer, width), factor(layer))
    }
    const norms = () => (norm === 'none' ? [] : [new Norm(norm, { gamma, beta })])
    const act = () => new Activation(activation)

    let layers = []
    if (!skip) {
      for (let k = 0; k < depth; k++) layers.push(linear(k ? width : weights.inputs), ...norms(), act())
    } else if (order === 'post') {
      layers = [linear(weights.inputs), ...norms(), act()]
      for (let k = 1; k < depth; k++) layers.push(new Residual([linear(width), ...norms()], branch_scale), act())
    } else {
      layers = [linear(weights.inputs)]
      for (let k = 1; k < depth; k++) layers.push(new Residual([...norms(), act(), linear(width)], branch_scale))
      layers.push(...norms(), act())
    }
    return [...layers, new Linear(width, weights.classes, () => weights.last(depth, width))]
  }

  // --- what a pass shows ---------------------------------------------------------------------------------------------

  const BINS = 60, SAMPLE = 2 ** 13  // bins of a layer's histogram, and values that go into it, about
  const FLAT = 0.05  // tanh and sigmoid are saturated where the slope is below this share of the steepest

  // What `profile` of helpers says of layers on a batch, as far as an explorer shows it. x: (batch, inputs), float32. y: class
  // numbers, for the gradients, or null. Returns an array with an entry for each hidden layer for each of: pre_mean, pre_std,
  // stream_std, counts, edges, dead, saturated, nonfinite and, with y, gradient.
  function profile(layers, x, y, { memory, batch, dtype }) {
    const format = DTYPES[dtype], watch = new Watch(memory, batch), parts = flat(layers)
    const sizes = parts.filter((layer) => layer instanceof Linear).map(({ fanIn, fanOut }) => [fanIn, fanOut])
    const widest = Math.max(...sizes.flat()) + STRIP
    // A pass forward needs only the last few arrays. A pass with gradients needs all.
    memory.begin(format.Numbers, widest * Math.max(batch + 3, widest), y ? parts.length + 1 : 0)
    const pass = { memory, batch, dtype: format, watch }
    const start = memory.take(x.length)
    start.set(x)
    const scores = forward(y ? layers : layers.slice(0, -1), format.round(start), pass)
    if (y) {
      memory.takeRing()
      backward(layers, format.round(lossGradient(scores, y, memory.take(scores.length))), pass)
    }
    const names = Object.keys(watch.records[0])
    return Object.fromEntries(names.map((name) => [name, watch.records.map((record) => record[name])]))
  }

  // The layers, and those of branches.
  const flat = (layers) => layers.flatMap((layer) => [layer, ...(layer.branch ? flat(layer.branch) : [])])

  // The gradient of the mean cross-entropy at the scores (batch, classes).
  function lossGradient(scores, y, found) {
    const batch = y.length, classes = scores.length / batch
    for (let example = 0; example < batch; example++) {
      const row = scores.subarray(example * classes, (example + 1) * classes)
      const top = Math.max(...row), powers = Array.from(row, (score) => Math.exp(score - top))
      const sum = powers.reduce((total, power) => total + power, 0)
      powers.forEach((power, k) => { found[example * classes + k] = (power / sum - (k === y[example])) / batch })
    }
    return found
  }

  // As in signals.py: the stream of a residual network is the sum that runs past its layers; without skips z stands for it.
  class Watch {
    constructor(memory, batch) {
      Object.assign(this, { memory, batch, records: [], stream: null, blocks: 0, at: new Map() })
    }

    layer() {
      if (!this.blocks) this.stream = null
    }

    blockBegins(x) {
      this.blocks++
      this.stream = x
    }

    blockEnds(x) {
      this.blocks--
      this.stream = x
    }

    activation(kind, z, a) {
      const found = record(kind, z, a, this.stream, this)
      this.at.set(this.stream ?? z, found)
      this.records.push(found)
    }

    // The last call for an array has the whole of its gradient.
    gradient(at, gradient) {
      const found = this.at.get(at)
      if (found) found.gradient = norm(gradient)
    }
  }

  function record(kind, z, a, stream, { memory, batch }) {
    const width = z.length / batch, every = Math.ceil(z.length / SAMPLE), of = summary(z, memory)
    let { low, high, mean, std } = of, sample = examples(z, width, every), nonfinite = 0
    if (!Number.isFinite(low) || !Number.isFinite(high) || mean !== mean) {
      const finite = Float64Array.from(z.filter(Number.isFinite))
      nonfinite = 1 - finite.length / z.length
      ;[low, high] = finite.length ? plain.summary(finite) : [NaN, NaN]
      mean = std = NaN
      sample = finite.filter((_, k) => k % every === 0)
    }
    const lines = edges(low, high)
    return {
      pre_mean: mean,
      pre_std: std,
      stream_std: stream && stream !== z ? summary(stream, memory).std : std,
      dead: kind === 'relu' ? memory.run('dead', a, batch, width) / width : 0,
      saturated: ACTIVATIONS[kind].steep ? saturated(kind, a) : 0,
      nonfinite,
      edges: lines,
      counts: histogram(sample, lines[0], lines[BINS]).map((count) => count * every),
    }
  }

  // The smallest and the greatest value, the mean and the standard deviation. Where a value is not finite, the last two are NaN.
  function summary(values, memory) {
    const count = values.length, [low, high, total, squares] = memory.sums(values)
    const mean = total / count, square = squares / count, variance = square - mean * mean
    if (square > 1e-200 && square < 1e200 && variance > 0.01 * square) return { low, high, mean, std: Math.sqrt(variance) }
    if (total !== total || low === -Infinity || high === Infinity) return { low, high, mean: NaN, std: NaN }
    // Squares near the ends of the range, or a mean so large that the difference would cancel.
    const unit = Math.max(-low, high) || 1
    let sum = 0, apart = 0
    for (let k = 0; k < count; k++) sum += values[k] / unit
    for (let k = 0; k < count; k++) apart += (values[k] / unit - sum / count) ** 2
    return { low, high, mean: (sum / count) * unit, std: Math.sqrt(apart / count) * unit }
  }

  // The Euclidean length, as torch.linalg.vector_norm has it: 0 where the squares underflow, infinite where they overflow.
  function norm(values) {
    let squares = 0
    for (let k = 0; k < values.length; k++) squares += values[k] * values[k]
    return Math.sqrt(squares)
  }

  // The share of the outputs where the activation is flat.
  function saturated(kind, a) {
    const { steep } = ACTIVATIONS[kind]
    let count = 0
    for (let k = 0; k < a.length; k++) if (steep(a[k]) < FLAT) count++
    return count / a.length
  }

  // Every so many-th example, one after the other.
  function examples(z, width, every) {
    if (every === 1) return z
    const rows = Math.ceil(z.length / width / every), found = new z.constructor(rows * width)
    for (let row = 0; row < rows; row++) found.set(z.subarray(row * every * width, (row * every + 1) * width), row * width)
    return found
  }

  function edges(low, high) {
    if (high - low <= Math.max(1e-300, 1e-12 * Math.max(-low, high))) {  // all alike
      const around = Math.max(0.5, 1e-3 * Math.abs(low))
      ;[low, high] = [low - around, high + around]
    }
    const found = new Float64Array(BINS + 1)
    for (let k = 0; k <= BINS; k++) found[k] = low + (high - low) * (k / BINS)
    return found
  }

  // How many of the values lie in each of the bins from low to high.
  function histogram(values, low, high) {
    const counts = new Int32Array(BINS), count = values.length
    const scale = (BINS * (1 - 1e-5)) / (high - low)  // the greatest value belongs to the last bin
    if (!(Math.abs(low * scale) < 1000 && scale < 1e30)) {  // too fine for float32: NumPy's way
      for (let k = 0; k < count; k++) counts[Math.min(BINS - 1, Math.floor(((values[k] - low) / (high - low)) * BINS))]++
    } else if (values instanceof Float32Array) {
      const factor = Math.fround(scale), shift = Math.fround(low * scale)
      for (let k = 0; k < count; k++) counts[Math.fround(Math.fround(values[k] * factor) - shift) | 0]++
    } else {
      for (let k = 0; k < count; k++) counts[(values[k] * scale - low * scale) | 0]++
    }
    return counts
  }

  return { Generator, DTYPES, Memory, Weights, build, profile, plain }
})()
