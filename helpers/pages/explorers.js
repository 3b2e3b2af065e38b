// The explorers of helpers/live/explorers.py on the engine: each a function from data to a function from settings to a picture, the
// same panels, sentences and tables as there. What changes there, changes here.
//
// A classic script, for a page and for its worker; it needs engine.js before it.

const explorers = (() => {
  'use strict'

  // --- numbers as Python writes them -----------------------------------------------------------------------------------

  // format(value, '.3g'), also with f, and with % for 'f' of a share in percent.
  function format(value, form) {
    const [, digits, kind] = form.match(/^\.(\d+)([gf%])$/)
    if (kind === '%') return `${format(100 * value, `.${digits}f`)}%`
    if (Number.isNaN(value)) return 'nan'
    if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf'
    if (kind === 'f') return even(value, +digits, (number) => number.toFixed(+digits))
    if (value === 0) return '0'
    const places = digits - 1 - Number(value.toExponential().split('e')[1])
    const [mantissa, exponent] = even(value, places, (number) => number.toExponential(digits - 1)).split('e')
    if (exponent >= -4 && exponent < +digits) return trimmed(Number(`${mantissa}e${exponent}`).toFixed(Math.max(0, digits - 1 - exponent)))
    return `${trimmed(mantissa)}e${exponent[0]}${exponent.slice(1).padStart(2, '0')}`
  }

  // Of two texts that are as near, Python takes the one with an even last digit, and JavaScript the greater one. places: after the
  // point.
  function even(value, places, write) {
    const halves = places >= 0 ? value * 2 * 10 ** places : value / (10 ** -places / 2)
    const tie = halves % 2 !== 0 && Number.isInteger(halves) && (places < 0 || Number.isInteger(value * 2 ** (places + 1)))
    const text = write(value), odd = text.match(/(\d)(e.*)?$/)[1] % 2 === 1
    return tie && odd ? write(value * (1 - 2 ** -50)) : text
  }

  const trimmed = (text) => (text.includes('.') ? text.replace(/\.?0+$/, '') : text)

  // --- panels, as in panels.py -----------------------------------------------------------------------------------------

  // An axis of layers, or of powers of ten, ends at one of a few places, so that it seldom moves.
  const LAYERS = [1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 200]
  const DECADES = [2, 5, 10, 16, 24, 32, 40, 50, 100, 200, 300]

  const range = (count, first = 0) => Float64Array.from({ length: count }, (_, k) => first + k)
  const makeAxis = (label, low, high, more = {}) => ({ label, low, high, log: false, whole: false, ticks: null, ...more })
  const makeLine = (x, y, name = '', style = 0, kind = 'line', color = null) => ({ x, y, name, style, kind, color })
  const makePanel = (title, x, y, more = {}) => (
    { title, x, y, lines: [], sentence: '', shades: null, lost: null, zero: null, limit: null, ...more })
  const makePicture = (panels, table, marks = []) => (
    { panels, table, marks, sentence: panels.map((panel) => panel.sentence).join(' ').trim() })

  // A table of texts: names of columns, and rows of a name and numbers in this form.
  const texts = (head, rows, form) => [head, ...rows.map(([name, ...cells]) => [name, ...cells.map((cell) => format(cell, form))])]

  // A panel with a line over the layers for each of `rows`, names and arrays.
  function curves(title, label, quantity, rows, { law = null, limit = null, first = 1, backward = false, unit = 'layer', intro = '' } = {}) {
    const named = Object.entries(rows), values = named.map(([, row]) => row), layers = range(values[0].length, first)
    const lines = named.map(([name, row], k) => makeLine(layers, row, name, k))
    if (law) lines.push(makeLine(layers, law[1], law[0], 0, 'law'))
    const all = values.flatMap((row) => [...row]), finite = all.every(Number.isFinite)
    const y = decades(label, finite || !limit ? all : [...all, limit[1]])
    if (limit) limit = y.low < limit[1] && limit[1] < y.high ? [...limit, backward ? 'right' : 'left'] : null
    const said = named.map(([name, row]) => (
      tell(`${named.length > 1 ? `${name}: the` : 'The'} ${quantity}`, row, layers, backward, unit)))
    const where = (test) => layers.filter((_, k) => values.some((row) => test(row[k])))
    return makePanel(title, layerAxis(layers, unit), y, {
      lines, sentence: intro + said.join(' '), limit, lost: where((value) => !Number.isFinite(value)), zero: where((value) => value === 0),
    })
  }

  function layerAxis(layers, unit = 'layer') {
    const end = LAYERS.find((place) => place >= layers.at(-1))
    return makeAxis(unit, layers[0] - 0.5, end + 0.5, { whole: true })
  }

  // A logarithmic axis that holds all values from 1e-300 to 1e300.
  function decades(label, values) {
    const powers = values.filter((value) => Number.isFinite(value) && value > 0).map(Math.log10)
    const low = powers.length ? Math.min(...powers) : 0, high = powers.length ? Math.max(...powers) : 0
    const below = DECADES.find((end) => -end <= low) ?? 300, above = DECADES.find((end) => end >= high) ?? 300
    return makeAxis(label, Number(`1e-${below}`), Number(`1e${above}`), { log: true })
  }

  // What a curve shows, in a sentence.
  function tell(name, row, layers, backward, unit) {
    if (backward) [row, layers] = [[...row].reverse(), [...layers].reverse()]
    const k = row.findIndex((value) => !Number.isFinite(value)), last = row.length - 1, short = (value) => format(value, '.2g')
    if (k >= 0) {
      const before = k ? ` after ${short(row[k - 1])} at ${unit} ${layers[k - 1]}` : ''
      return `${name} overflows at ${unit} ${layers[k]}${before}: where × stands, values are no longer finite.`
    }
    if (row[0] === 0 || row[last] === 0) {
      const zero = [...layers].filter((_, at) => row[at] === 0)
      const where = `(marked ▼), ${Math.min(...zero)} to ${Math.max(...zero)}`
      return `${name} is exactly zero at ${zero.length} of ${row.length} ${unit}s ${where}.`
    }
    if (row.length === 1) return `${name} of the one ${unit} is ${format(row[0], '.3g')}.`
    const change = Math.log(row[last]) - Math.log(row[0])  // of a quotient, which may overflow
    const way = Math.abs(change) < Math.log(2) ? 'stays near' : change > 0 ? 'grows from' : 'falls from'
    const ends = `${short(row[0])} at ${unit} ${layers[0]}${way === 'stays near' ? ',' : ' to'} ${short(row[last])} at ${unit} ${layers[last]}`
    const rate = Math.exp(change / last)
    return `${name} ${way} ${ends}: a factor of ${format(rate, rate < 100 ? '.3f' : '.3g')} a ${unit}.`
  }

  // --- the signal, layer by layer --------------------------------------------------------------------------------------

  const CRITICAL = { relu: 2 ** 0.5, tanh: 1, linear: 1 }  // gains that keep a small signal's size
  const UNIT_GAIN = { ...CRITICAL, sigmoid: 4 }  // ... and a gradient's, where the activation is steepest
  const WINDOW = 5  // the pre-activations from -WINDOW to WINDOW are drawn

  // data: the engine's memory; x, float32, and y, class numbers, of at least `batch` digits; seed; backward, whether to show the
  // stream and the gradient, not the pre-activations.
  function signal({ memory, x, y, seed, backward }) {
    const weights = new engine.Weights(seed)
    return (settings) => {
      const { depth, gain, activation, dtype = 'float32', batch = y.length } = settings
      const layers = engine.build(weights, { ...settings, factor: () => gain })
      const inputs = x.subarray(0, batch * weights.inputs), labels = backward ? y.subarray(0, batch) : null
      const seen = engine.profile(layers, inputs, labels, { memory, batch, dtype })
      const std = backward ? seen.stream_std : seen.pre_std
      const [rate, factor] = growth(settings), grown = Array.from({ length: depth }, (_, k) => factor ** k)
      const title = backward ? 'Forward: size of the signal' : 'Size of the signal: std of z'
      const panels = [curves(title, 'standard deviation', 'size', { measured: std }, {
        law: rate && [rate, grown.map((times) => std[0] * times)], limit: [`largest ${dtype}`, engine.DTYPES[dtype].largest],
      })]
      if (backward) {
        const last = seen.gradient.at(-1), law = rate && [rate, grown.map((times) => last * times).reverse()]
        const rows = { measured: seen.gradient }
        panels.push(curves('Backward: size of the gradient', 'length of the gradient', 'gradient', rows, { law, backward: true }))
      } else panels.push(histograms(seen))
      return makePicture(panels, layerTable(seen, activation), marks(settings))
    }
  }

  // Where the pre-activations lie: a column a layer, the stronger the more values.
  function histograms(seen) {
    const depth = seen.counts.length, cells = 101, values = new Float64Array(cells * depth)
    const bounds = Array.from({ length: cells + 1 }, (_, k) => -WINDOW + (k * 2 * WINDOW) / cells)
    let inside = 0
    for (let layer = 0; layer < depth; layer++) {
      const total = seen.counts[layer].reduce((sum, count) => sum + count, 0)
      if (!total) continue
      const below = interpolated(bounds, seen.edges[layer], seen.counts[layer])
      for (let cell = 0; cell < cells; cell++) values[cell * depth + layer] = (below[cell + 1] - below[cell]) / total
      if (layer === depth - 1) inside = (below[cells] - below[0]) / total
    }
    const said = seen.nonfinite[depth - 1] === 1 ? 'In the last layer no finite value is left.' : (
      `In the last layer ${format(inside, '.0%')} of the finite pre-activations lie between -5 and 5.`)
    const shades = {
      values, x: [0.5, depth + 0.5], y: [-WINDOW, WINDOW], quantity: 'share', top: (bounds[1] - bounds[0]) / (2 * Math.PI) ** 0.5,
      root: true, percent: true, colors: null, texts: null, columns: depth,
    }
    const layers = range(depth, 1), lost = layers.filter((_, k) => seen.nonfinite[k] > 0)
    const y = makeAxis('value of the pre-activation', -WINDOW, WINDOW)
    return makePanel('Pre-activations (stronger: more of them)', layerAxis(layers), y, { sentence: said, shades, lost })
  }

  // How many values lie below each of the places, if those of a bin are spread evenly over it.
  function interpolated(places, edges, counts) {
    let bin = 0, before = 0
    return places.map((place) => {
      while (bin < counts.length && edges[bin + 1] <= place) before += counts[bin++]
      if (bin === counts.length || place <= edges[bin]) return before
      return before + (counts[bin] * (place - edges[bin])) / (edges[bin + 1] - edges[bin])
    })
  }

  // The law: a name and the factor by which a layer multiplies the signal's size. [null, 1] where no constant factor is the law.
  function growth({ activation, gain, norm = 'none', skip = false, branch_scale = 1, order = 'pre' }) {
    const bent = skip && order === 'post' && activation === 'relu'
    if (!['relu', 'linear'].includes(activation) || norm !== 'none' || bent) return [null, 1]
    const [name, factor] = activation === 'relu' ? ['gain/√2', gain / 2 ** 0.5] : ['gain', gain]
    if (skip) return [`√(1+(α·${name})²) a layer`, (1 + (branch_scale * factor) ** 2) ** 0.5]
    return [`${name} a layer`, factor]
  }

  // Marks below sliders: the critical gain, where neither norm nor skip is, and 1/√blocks.
  function marks({ depth, activation, norm = 'none', skip = false, branch_scale = null }) {
    const found = [], blocks = (depth - 1) ** -0.5
    if (activation in CRITICAL && norm === 'none' && !skip) {
      const what = activation === 'tanh' ? 'for small signals' : 'critical'
      found.push(['gain', CRITICAL[activation], `${what} ${format(CRITICAL[activation], '.3f')}`])
    }
    if (branch_scale !== null && depth > 1) found.push(['branch_scale', blocks, `1/√blocks ${format(blocks, '.2f')}`])
    return found
  }

  // A table of the first, the middle and the last layer.
  function layerTable(seen, activation) {
    const kind = ['relu', 'linear'].includes(activation) ? 'dead' : 'saturated', depth = seen.pre_std.length
    const columns = seen.gradient ? { size: seen.stream_std, gradient: seen.gradient } : { 'mean of z': seen.pre_mean, 'std of z': seen.pre_std }
    const rows = [['layer', ...Object.keys(columns), kind, 'NaN, inf']]
    for (const k of new Set([0, Math.floor((depth - 1) / 2), depth - 1])) {
      const stuck = seen.nonfinite[k] === 1 ? '–' : format(seen[kind][k], '.0%')
      const numbers = Object.values(columns).map((column) => format(column[k], '.3g'))
      rows.push([String(k + 1), ...numbers, stuck, format(seen.nonfinite[k], '.0%')])
    }
    return rows
  }

  // --- a gradient as a product -----------------------------------------------------------------------------------------

  const SHARE = ['gradient, as a share of the last', 'gradient']

  // data: memory; x and y of the digits; seed.
  function product({ memory, x, y, seed }) {
    const width = 128, weights = Object.fromEntries(Object.entries(UNIT_GAIN).map(([name, gain]) => [name, new engine.Weights(seed, { gain })]))

    // The real network's gradients after each of the steps 0 to depth, as shares of the last.
    function sharesOfLast(skip, { factor, depth, activation }) {
      const network = { depth: depth + 1, width, activation, skip, factor: (layer) => (layer ? factor : 1) }  // the first only brings 64 to 128
      const layers = engine.build(weights[activation], network)
      const { gradient } = engine.profile(layers, x, y, { memory, batch: y.length, dtype: 'float64' })
      return gradient.map((size) => (size === 0 ? 0 : size / gradient[depth]))
    }

    return (settings) => {
      const { factor, depth, activation } = settings
      const back = Array.from({ length: depth + 1 }, (_, k) => depth - k)  // how many steps the gradient has come back
      const panels = ['Plain, x → F(x): F′ a layer', 'With a skip, x → x + F(x): 1 + F′ a layer'].map((title, skip) => {
        const lawful = skip && ['relu', 'linear'].includes(activation)
        const law = lawful ? ['√(1+F′²)', back.map((steps) => (1 + factor ** 2) ** (steps / 2))] : null
        const real = sharesOfLast(Boolean(skip), settings)
        const rows = { product: back.map((steps) => Math.abs(skip + factor) ** steps), 'real network': real }
        const look = { limit: ['smallest float32', 2 ** -149], first: 0, backward: true }
        return curves(title, ...SHARE, rows, { law, intro: skip ? 'With a skip: ' : 'Plain: ', ...look })
      })
      const rows = [['product', factor ** depth, (1 + factor) ** depth], ['real network', ...panels.map((panel) => panel.lines[1].y[0])]]
      return makePicture(panels, texts(['at layer 0', 'plain', 'with skip'], rows, '.2g'))
    }
  }

  // --- the same matrix over and over -----------------------------------------------------------------------------------

  const SIDE = 64
  const STEPS = 200

  // data: seed.
  function recurrent({ seed }) {
    const known = {}

    return ({ gain, steps, matrix }) => {
      const { sizes, radius } = (known[matrix] ??= wayBack(matrix, new engine.Generator(seed)))
      const back = Array.from({ length: steps + 1 }, (_, k) => steps - k)  // how many steps the gradient has come back
      const laws = [['gain a step', gain], ['spectral radius a step', gain * radius]]
      const panels = ['A new matrix in each step (depth)', 'The same matrix in each step (time)'].map((title, k) => {
        const [name, factor] = laws[k], rows = { measured: back.map((step) => gain ** step * sizes[k][step]) }
        const look = { first: 0, unit: 'step', backward: true, intro: `${title.split(' (')[0]}: ` }
        return curves(title, ...SHARE, rows, { law: [name, back.map((step) => factor ** step)], ...look })
      })
      const rows = [['law, a step', ...laws.map(([, factor]) => factor)], ['gradient at step 0', ...panels.map((panel) => panel.lines[0].y[0])]]
      const mark = ['gain', 1 / radius, `radius 1: ${format(1 / radius, '.2f')}`]
      return makePicture(panels, texts(['', 'new', 'same'], rows, '.3g'), [mark])
    }
  }

  // The sizes of a gradient on its way back through new matrices, and through the first of them over and over, as shares of its size
  // at the start; and the spectral radius of the first.
  function wayBack(kind, generator) {
    const weights = Array.from({ length: STEPS }, () => weightMatrix(kind, generator))
    const start = generator.randn(16 * SIDE, Float64Array)
    const sizes = [weights, Array(STEPS).fill(weights[0])].map((matrices) => {
      let gradient = start
      const found = [length(gradient)]
      for (const matrix of matrices) {
        gradient = times(gradient, transposed(matrix))
        found.push(length(gradient))
      }
      return found.map((size) => size / found[0])
    })
    return { sizes, radius: spectralRadius(weights[0]) }
  }

  // A matrix of one of three kinds, of gain 1.
  function weightMatrix(kind, generator) {
    const random = generator.randn(SIDE * SIDE, Float64Array)
    if (kind === 'orthogonal') return orthogonal(random)
    const mirrored = transposed(random)
    return random.map((value, k) => (kind === 'random' ? value : (value + mirrored[k]) / 2 ** 0.5) / 8)
  }

  const length = (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))
  const transposed = (matrix) => matrix.map((_, k) => matrix[(k % SIDE) * SIDE + Math.floor(k / SIDE)])

  // a b, of rows of SIDE numbers.
  function times(a, b) {
    const out = new Float64Array(a.length)
    for (let row = 0; row < a.length; row += SIDE) {
      for (let k = 0; k < SIDE; k++) for (let column = 0; column < SIDE; column++) out[row + column] += a[row + k] * b[k * SIDE + column]
    }
    return out
  }

  // The Q of a matrix's QR decomposition: its columns, each made perpendicular to those before (twice, for rounding) and as long as
  // 1. LAPACK turns some of them around, which changes no length.
  function orthogonal(matrix) {
    const columns = transposed(matrix)
    for (let k = 0; k < SIDE; k++) {
      const column = columns.subarray(k * SIDE, (k + 1) * SIDE)
      for (let step = 0; step < 2 * k; step++) {
        const before = columns.subarray((step % k) * SIDE, (step % k + 1) * SIDE)
        let along = 0
        for (let at = 0; at < SIDE; at++) along += before[at] * column[at]
        for (let at = 0; at < SIDE; at++) column[at] -= along * before[at]
      }
      const size = length(column)
      for (let at = 0; at < SIDE; at++) column[at] /= size
    }
    return transposed(columns)
  }

  // The size of the largest eigenvalue: by Gelfand's formula, the k-th root of the size of the matrix's k-th power, here for k = 2^40.
  function spectralRadius(matrix) {
    let log = 0, share = 1
    for (let k = 0; k < 40; k++, share /= 2) {
      const size = length(matrix)
      log += share * Math.log(size)
      matrix = matrix.map((value) => value / size)
      matrix = times(matrix, matrix)
    }
    return Math.exp(log)
  }

  // --- running averages ------------------------------------------------------------------------------------------------

  // data: x of the digits, `train` for training and then those for the test; seed, of the draw of the batches.
  function averages({ x, train, seed }) {
    const weights = new engine.Weights(2, { gain: 2 }).hidden(0, 1), inputs = weights.length
    const unit = Float32Array.from({ length: x.length / inputs }, (_, k) => weights.reduce((sum, value, at) => sum + value * x[k * inputs + at], 0))
    const z = unit.subarray(0, train), test = unit.subarray(train), eps = 1e-5
    const normalized = (mean, variance) => test.map((value) => (value - mean) / Math.sqrt(variance + eps))

    return ({ mode, batches, batch, momentum }) => {
      const generator = new engine.Generator(seed), running = [[1, 0]], single = []
      for (let k = 0; k < batches; k++) {
        const { mean, variance } = moments([...generator.randint(train, batch)].map((example) => z[example]))
        const unbiased = (variance * batch) / (batch - 1), [before, around] = running[k]
        running.push([before + momentum * (unbiased - before), around + momentum * (mean - around)])
        single.push([unbiased, mean])
      }
      const own = moments(test), inTrain = normalized(own.mean, own.variance), [variance, mean] = running[batches]
      const output = mode === 'eval' ? normalized(mean, variance) : inTrain
      const seen = range(batches + 1), all = moments(z), after = moments(output)
      all.variance *= train / (train - 1)
      const curve = (name, k) => [
        makeLine(seen, running.map((values) => values[k]), name, k), makeLine(seen.slice(1), single.map((values) => values[k]), '', k, 'points')]
      const short = (value) => format(value, '.2f')
      const said = `After ${batches} batches of ${batch} the running mean is ${short(mean)} (of all training digits ${short(all.mean)}), `
        + `the running variance ${short(variance)} (${short(all.variance)}).`
      const then = `In ${mode} mode the output for the test digits has mean ${short(after.mean)} and variance ${short(after.variance)}.`
      const values = [...running, ...single].flat()  // the axis grows for those outside of it
      const low = Math.min(-4, 4 * Math.floor(Math.min(...values) / 4)), high = Math.max(8, 4 * Math.ceil(Math.max(...values) / 4))
      const left = makePanel('Running averages (hollow: each batch\'s own)', makeAxis('training batches seen', 0, 100), makeAxis('value', low, high), {
        lines: [...curve('variance', 0), ...curve('mean', 1)], sentence: said })
      const right = makePanel('Output for the 297 test digits', makeAxis('output', -5, 5), makeAxis('density', 0, 0.6), {
        lines: [makeLine(...density(output), 'chosen mode'), makeLine(...density(inTrain), 'train mode', 1)], sentence: then })
      const rows = [['running averages', mean, variance], ['all training digits', all.mean, all.variance], ['output', after.mean, after.variance]]
      return makePicture([left, right], texts(['', 'mean', 'variance'], rows, '.3f'))
    }
  }

  // Mean and biased variance.
  function moments(values) {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length }
  }

  // The histogram of the values from -5 to 5 as a curve: bins' middles, and shares per unit.
  function density(values) {
    const counts = new Float64Array(25)
    for (const value of values) if (value >= -WINDOW && value <= WINDOW) counts[Math.min(24, Math.floor(((value + WINDOW) / (2 * WINDOW)) * 25))]++
    return [counts.map((_, k) => -WINDOW + (k + 0.5) * 0.4), counts.map((count) => count / values.length / 0.4)]
  }

  // --- learning rate x gain --------------------------------------------------------------------------------------------

  const CIVIDIS = ['#FEE838', '#C3B369', '#8A8678', '#575D6D', '#123570', '#00224E']

  // data: histories, from names to {loss, train_error}, each by epoch, learning rate and gain, with null for what is not finite;
  // rates and gains, the values along the axes.
  function map({ histories, rates, gains }) {
    const last = Math.min(...Object.values(histories).map(({ loss }) => loss.length))

    return ({ norm, epoch, lr, gain }) => {
      const row = rates.indexOf(lr), column = gains.indexOf(gain), { loss, train_error: errors } = histories[norm]
      const alive = (losses, y, x) => losses.slice(0, epoch).every((table) => table[y][x] !== null)
      const right = rates.map((_, y) => gains.map((_, x) => (alive(loss, y, x) ? 1 - errors[epoch - 1][y][x] : NaN)))
      const all = right.flat(), diverged = all.filter(Number.isNaN).length, good = all.filter((share) => share > 0.9).length
      const said = `norm ${norm}, epoch ${epoch}: ${good} of ${all.length} cells are over 90 %${diverged ? `, ${diverged} diverged (×)` : ''}.`
      const ends = (values) => [-0.5, values.length - 0.5], ticks = (values) => values.map((value, k) => [k, format(value, '.2g')])
      const axes = [['gain', gains], ['learning rate', rates]].map(([label, values]) => makeAxis(label, ...ends(values), { ticks: ticks(values) }))
      const frame = makeLine([-0.5, 0.5, 0.5, -0.5, -0.5].map((x) => column + x), [-0.5, -0.5, 0.5, 0.5, -0.5].map((y) => row + y), '', 1, 'outline')
      const shades = {
        values: Float64Array.from(all), x: ends(gains), y: ends(rates), quantity: 'train accuracy', top: 1, root: false, percent: true,
        colors: CIVIDIS, texts: right.map((cells) => cells.map((share) => (Number.isNaN(share) ? '×' : format(100 * share, '.0f')))),
        columns: gains.length,
      }
      const left = makePanel('Train accuracy, %', ...axes, { lines: [frame], sentence: said, shades })
      const epochs = range(epoch, 1)
      const lines = Object.entries(histories).map(([name, one], k) => makeLine(epochs, [...epochs].map((_, at) => (
        one.loss[at][row][column] === null ? NaN : 100 * one.train_error[at][row][column])), name, k))
      const rows = lines.map(({ name, y }) => [name, Number.isNaN(y[epoch - 1]) ? 'diverged' : format(y[epoch - 1] / 100, '.0%')])
      const then = `Train error at learning rate ${format(lr, '.2g')}, gain ${format(gain, '.2g')}: ${rows.map((end) => end.join(' ')).join(', ')}.`
      const lost = epochs.filter((_, at) => lines.some(({ y }) => Number.isNaN(y[at])))
      const x = makeAxis('epoch', 1, Math.max(2, last), { whole: true })
      const chosen = makePanel('The chosen network', x, makeAxis('train error, %', 0, 102), { lines, sentence: then, lost })
      return makePicture([left, chosen], [['norm', 'train error'], ...rows])
    }
  }

  // --- recorded: every picture there is, from the page -----------------------------------------------------------------

  // data: options, the controls' names and their options; pictures, by the options' numbers; parts, what the pictures have in common.
  function recorded({ options, pictures, parts }) {
    const known = []

    function whole(value) {
      if (Array.isArray(value)) return value.map(whole)
      if (value === null || typeof value !== 'object') return value
      if ('part' in value) return (known[value.part] ??= whole(parts[value.part]))
      return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, whole(inner)]))
    }

    return (settings) => whole(pictures[options.map(([name, values]) => values.indexOf(settings[name])).join()])
  }

  return { signal, product, recurrent, averages, map, recorded }
})()
