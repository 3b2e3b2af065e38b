// The live figure: controls, and a picture that follows them. panels.py describes the data that is drawn here.
//
// A classic script, so that a page opened from a file can hold it as it is: live.figure(root, ...) needs no notebook.
// In a notebook, widget.py adds the line that exports live.render, which ties a figure to the kernel.

const live = (() => {
  // --- numbers and text ----------------------------------------------------------------------------------------------

  // Arrays come as the bytes of float64 from the kernel, or as lists of numbers.
  function numbers(data) {
    if (!data) return new Float64Array()
    if (data instanceof DataView) {
      return new Float64Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength))
    }
    return Float64Array.from(data, (value) => value ?? NaN)
  }

  // Three digits, as a reader writes them: 0.0123, 12.3, 1.2e-7. Whole numbers in full: 1234.
  function tell(value) {
    if (!Number.isFinite(value)) return 'not finite'
    const size = Math.abs(value)
    const text = size !== 0 && (size < 1e-4 || size >= 1e5) ? value.toExponential(1)
      : String(Number.isInteger(value) ? value : +value.toPrecision(3))
    return text.replace(/^-/, '−').replace('e+', 'e')
  }

  const power = (exponent) => '10' + [...String(exponent)].map((sign) => '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'['-0123456789'.indexOf(sign)]).join('')

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag)
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
    made.append(...children)
    return made
  }

  // What has not changed is left alone: the browser would lay out the page anew.
  function write(node, text) {
    if (node.textContent !== text) node.textContent = text
  }

  function put(node, name, text) {
    if (node.getAttribute(name) !== text) node.setAttribute(name, text)
  }

  // Writes rows of texts into a table.
  function fill(table, rows) {
    const known = rows.length === table.rows.length && rows.every((cells, row) => cells.length === table.rows[row].cells.length)
    const heads = (text, row, column) => text && (row === 0 || column === 0)
    if (!known) {
      table.replaceChildren(...rows.map((cells, row) => element('tr', {}, ...cells.map((text, column) =>
        element(heads(text, row, column) ? 'th' : 'td')))))
    }
    rows.forEach((cells, row) => cells.forEach((text, column) => write(table.rows[row].cells[column], text)))
  }

  // --- colours: the page's own, light or dark -----------------------------------------------------------------------

  const rgb = (color) => (color.startsWith('#') ? [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)) : color.match(/[\d.]+/g).map(Number))

  // WCAG's: from 0, black, to 1, white.
  const luminance = (parts) => parts.slice(0, 3)
    .map((part) => (part / 255) ** 2.2).reduce((sum, part, k) => sum + part * [0.2126, 0.7152, 0.0722][k], 0)

  // What stands behind an element: the first ancestor's colour that is not transparent.
  function backdrop(node) {
    for (; node instanceof Element; node = node.parentElement ?? node.getRootNode().host) {
      const color = getComputedStyle(node).backgroundColor
      if ((rgb(color)[3] ?? 1) > 0.5) return color
    }
    return 'rgb(255, 255, 255)'
  }

  function palette(root) {
    const paper = backdrop(root)
    root.dataset.dark = luminance(rgb(paper)) < 0.2
    const style = getComputedStyle(root)
    const lines = [0, 1, 2, 3, 4].map((k) => style.getPropertyValue(`--line-${k}`).trim())
    const [grid, limit] = ['--grid', '--limit'].map((name) => style.getPropertyValue(name).trim())
    return { paper, ink: style.color, lines, grid, limit, font: style.fontFamily }
  }

  // Of tones, each [red, green, blue], the one at this share of the way from the first to the last.
  function mix(tones, share) {
    const place = share * (tones.length - 1), k = Math.min(Math.floor(place), tones.length - 2)
    const [from, to] = [tones[k], tones[k + 1]]
    return from.slice(0, 3).map((part, at) => part + (to[at] - part) * (place - k))
  }

  // --- axes ----------------------------------------------------------------------------------------------------------

  // From values to pixels: at(value), its inverse, and the ticks that have room.
  function scale(axis, from, to) {
    const { log, low, high } = axis
    const value = log ? Math.log10 : (v) => v
    const [a, b] = [value(low), value(high)]
    const at = (v) => (log && v <= 0 ? NaN : from + ((value(v) - a) / (b - a)) * (to - from))
    const room = Math.max(2, Math.floor(Math.abs(to - from) / (from < to ? 55 : 34)))
    const inverse = (px) => { const v = a + ((px - from) / (to - from)) * (b - a); return log ? 10 ** v : v }
    return { at, inverse, ticks: axis.ticks ? axis.ticks.map(([v, text]) => ({ at: at(v), text })) : ticks() }

    function ticks() {
      const span = b - a, least = span / room, unit = 10 ** Math.floor(Math.log10(least))
      let step = unit * [1, 2, 5, 10].find((k) => k * unit >= least * 0.999)
      if (log || axis.whole) step = Math.max(1, Math.ceil(step - 1e-9))
      const found = []
      for (let k = Math.ceil(a / step - 1e-9); k * step <= b + 1e-9 * span; k++) {
        found.push({ at: at(log ? 10 ** (k * step) : k * step), text: log ? power(Math.round(k * step)) : tell(k * step) })
      }
      return found
    }
  }

  // --- a panel on a canvas -------------------------------------------------------------------------------------------

  // Each colour has dashes and a marker of its own, so that no difference is told by colour alone. As in panels.py.
  const DASHES = [[], [6, 3], [7, 3, 1.5, 3], [1.5, 2.5], [7, 2, 1.5, 2, 1.5, 2]]
  const LIGHT = ['#0072B2', '#D55E00', '#007A59', '#A34A82', '#000000']  // as in live.css
  const MARKERS = ['circle', 'square', 'triangle', 'wedge', 'diamond']
  const KINDS = {
    line: { width: 1.8, size: 2.2, dashed: true },
    points: { size: 2.6, hollow: true },
    chosen: { size: 6.5, hollow: true, stroke: 2.2 },
    law: { width: 1.2, dash: [4, 3], ink: true },
    contour: { width: 0.6, ink: true },
    outline: { width: 2.6, halo: 5 },
  }

  // Strokes the path in two colours, the wide one below, so that it is seen on any shade.
  function twice(context, below, wide, above, width) {
    for (const [color, size] of [[below, wide], [above, width]]) {
      [context.strokeStyle, context.lineWidth] = [color, size]
      context.stroke()
    }
  }

  function marker(context, kind, x, y, size, hollow) {
    context.beginPath()
    if (kind === 'circle') context.arc(x, y, size, 0, 7)
    else if (kind === 'square') context.rect(x - size * 0.9, y - size * 0.9, size * 1.8, size * 1.8)
    else {
      const corners = { triangle: [[0, -1.2], [1.1, 0.9], [-1.1, 0.9]], wedge: [[0, 1.2], [1.1, -0.9], [-1.1, -0.9]],
        diamond: [[0, -1.3], [1, 0], [0, 1.3], [-1, 0]] }[kind]
      for (const [dx, dy] of corners) context.lineTo(x + dx * size, y + dy * size)
      context.closePath()
    }
    hollow ? context.stroke() : context.fill()
  }

  // Draws a line of a panel; pale: a pinned one, which is thicker, with longer dashes.
  function trace(context, line, x, y, colors, pale) {
    const kind = KINDS[line.kind], color = kind.ink ? colors.ink : colors.lines[line.color ?? line.style]
    context.strokeStyle = context.fillStyle = color
    context.lineJoin = line.x.length > 100 ? 'bevel' : 'round'  // many round ones take time, and are not seen
    context.globalAlpha = pale ? 0.4 : 1
    if (kind.width) {
      const width = pale ? 3 : kind.width, dashes = kind.dashed ? DASHES[line.style] : kind.dash || []
      context.lineWidth = width
      context.setLineDash(dashes.map((dash) => (dash * width) / kind.width))
      context.beginPath()
      let drawing = false
      line.x.forEach((place, k) => {
        const [px, py] = [x.at(place), y.at(line.y[k])]
        if (!Number.isFinite(px) || !Number.isFinite(py)) drawing = false
        else if (drawing) context.lineTo(px, py)
        else { context.moveTo(px, py); drawing = true }
      })
      if (kind.halo) twice(context, colors.paper, kind.halo, color, width)
      else context.stroke()
      context.setLineDash([])
    }
    if (kind.size) {
      // About twenty markers a line; two lines that coincide have theirs in different places. A point alone has no stroke, but a marker.
      const step = kind.dashed ? Math.max(1, Math.floor(line.x.length / 20)) : 1, first = Math.floor((line.style * step) / 2) % step
      const seen = (k) => Number.isFinite(x.at(line.x[k])) && Number.isFinite(y.at(line.y[k]))
      context.lineWidth = kind.stroke || 1.2
      for (let k = 0; k < line.x.length; k++) {
        const due = (!pale && k % step === first) || (kind.width && !seen(k - 1) && !seen(k + 1))
        if (due && seen(k)) marker(context, MARKERS[line.style], x.at(line.x[k]), y.at(line.y[k]), kind.size, kind.hollow)
      }
    }
    context.globalAlpha = 1
  }

  function shade(context, shades, x, y, colors) {
    const rows = shades.values.length / shades.columns, image = new ImageData(shades.columns, rows)
    const tones = (shades.colors ?? [colors.paper, colors.ink]).map(rgb)
    const ramp = Array.from({ length: 256 }, (_, k) => mix(tones, k / 255))
    function tone(value) {
      const share = Math.min(Math.max(value / shades.top || 0, 0), 1)
      return ramp[Math.round(255 * (shades.root ? Math.sqrt(share) : share))]
    }
    shades.values.forEach((value, k) => {
      const [row, column] = [Math.floor(k / shades.columns), k % shades.columns]
      const seen = shades.texts || !Number.isNaN(value)  // what is no number stays blank, unless a text tells of it
      image.data.set([...tone(value), seen ? 255 : 0], 4 * ((rows - 1 - row) * shades.columns + column))
    })
    const small = Object.assign(document.createElement('canvas'), { width: shades.columns, height: rows })
    small.getContext('2d').putImageData(image, 0, 0)
    context.imageSmoothingEnabled = false
    const [left, right, bottom, top] = [...shades.x.map(x.at), ...shades.y.map(y.at)]
    context.drawImage(small, left, top, right - left, bottom - top)
    if (!shades.texts) return
    context.textAlign = 'center'
    context.textBaseline = 'middle'
    shades.texts.forEach((texts, row) => texts.forEach((text, column) => {
      context.fillStyle = luminance(tone(shades.values[row * shades.columns + column])) < 0.18 ? 'white' : 'black'
      context.fillText(text, x.at(column), y.at(row))
    }))
  }

  // Draws a panel, and returns where its axes are. pins: lines and marks of an earlier picture. cursor: what is being read. names: of all
  // lines of the figure, so that its panels have them in the same place.
  function paint(canvas, { width, height }, panel, pins, cursor, names, colors) {
    const dots = window.devicePixelRatio || 1
    const context = canvas.getContext('2d')
    const [w, h] = [Math.round(width * dots), Math.round(height * dots)]
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h]
    context.setTransform(dots, 0, 0, dots, 0, 0)
    context.clearRect(0, 0, width, height)
    context.font = `11px ${colors.font}`
    const named = panel.lines.filter((line) => line.name && line.x.length)
    const size = (text) => context.measureText(text).width
    const ends = Math.max(0, ...named.map((line) => size(line.name)))
    const atEnds = !panel.shades && names.every((name) => size(name) < 0.26 * width)  // else in a legend above
    const rows = atEnds ? [] : legendRows(named, width, size)
    const top = 6 + 16 * rows.length, bottom = height - 34
    const y = scale(panel.y, bottom, top)
    const left = 20 + Math.max(...y.ticks.map((tick) => size(tick.text))), right = width - (atEnds ? ends + 14 : 8)
    const x = scale(panel.x, left, right)

    context.fillStyle = colors.ink
    context.textBaseline = 'middle'
    context.textAlign = 'right'
    for (const tick of y.ticks) context.fillText(tick.text, left - 5, tick.at)
    context.textAlign = 'center'
    for (const tick of x.ticks) context.fillText(tick.text, tick.at, bottom + 11)
    context.fillText(panel.x.label, (left + right) / 2, height - 8)
    context.save()
    context.translate(8, (top + bottom) / 2)
    context.rotate(-Math.PI / 2)
    context.fillText(panel.y.label, 0, 0)
    context.restore()

    context.save()
    context.beginPath()
    context.rect(left, top - 1, right - left + 1, bottom - top + 2)
    context.clip()
    if (panel.shades) shade(context, panel.shades, x, y, colors)
    else {
      context.strokeStyle = colors.grid
      context.lineWidth = 1
      for (const tick of y.ticks) stroke(context, left, tick.at, right, tick.at)
    }
    for (const line of pins.lines) trace(context, line, x, y, colors, true)
    const inks = panel.shades?.colors ? { ...colors, lines: LIGHT, ink: 'black', paper: 'white' } : colors  // such shades are the same in the dark
    for (const line of panel.lines) trace(context, line, x, y, inks)
    context.lineJoin = 'round'
    if (panel.limit) {
      const [name, value, side] = panel.limit
      context.strokeStyle = context.fillStyle = colors.limit
      context.lineWidth = 1.2
      context.setLineDash([1.5, 3])
      stroke(context, left, y.at(value), right, y.at(value))
      context.setLineDash([])
      context.textAlign = side
      context.fillText(name, side === 'left' ? left + 6 : right - 6, y.at(value) + (y.at(value) > top + 16 ? -8 : 9))  // above, if there is room
    }
    context.restore()

    context.strokeStyle = context.fillStyle = colors.ink
    context.lineWidth = 1
    stroke(context, left, top, left, bottom)
    stroke(context, left, bottom, right, bottom)
    context.globalAlpha = 0.4
    edges(context, pins, x, top, bottom)
    context.globalAlpha = 1
    edges(context, panel, x, top, bottom)
    context.textAlign = 'left'
    rows.forEach((row, k) => row.forEach(([line, at]) => {
      sample(context, line, at, 8 + 16 * k, colors)
      context.fillStyle = colors.ink
      context.fillText(line.name, at + 28, 8 + 16 * k)
    }))
    if (atEnds) nameEnds(context, named, x, y, top, bottom, colors)
    if (cursor) crosshair(context, panel, cursor, x, y, top, bottom, left, right, inks)
    return { x, y, left, right, top, bottom }
  }

  // The marks × at the top, for what is not finite, and ▼ at the bottom, for zeros.
  function edges(context, { lost, zero }, x, top, bottom) {
    context.lineWidth = 1.4
    for (const place of lost) {
      const px = x.at(place)
      stroke(context, px - 3, top - 3, px + 3, top + 3)
      stroke(context, px - 3, top + 3, px + 3, top - 3)
    }
    for (const place of zero) marker(context, 'wedge', x.at(place), bottom, 3.2)
  }

  function stroke(context, x0, y0, x1, y1) {
    context.beginPath()
    context.moveTo(x0, y0)
    context.lineTo(x1, y1)
    context.stroke()
  }

  function legendRows(lines, width, size) {
    const rows = [[]]
    let at = 4
    for (const line of lines) {
      const wide = 28 + size(line.name) + 14
      if (at + wide > width && rows.at(-1).length) { rows.push([]); at = 4 }
      rows.at(-1).push([line, at])
      at += wide
    }
    return lines.length ? rows : []
  }

  function sample(context, line, at, y, colors) {
    const x = KINDS[line.kind].width ? [at, at + 12, at + 24] : [at + 12], pixels = { at: (px) => px }
    trace(context, { ...line, x, y: x.map(() => y) }, pixels, pixels, colors)
  }

  // Names beside the lines' last points, moved apart where they would cover one another.
  function nameEnds(context, lines, x, y, top, bottom, colors) {
    const names = lines.map((line) => {
      let last = line.x.length - 1
      while (last > 0 && !Number.isFinite(y.at(line.y[last]))) last--
      const at = y.at(line.y[last])
      return { line, at: Number.isFinite(at) ? Math.min(Math.max(at, top), bottom) : line.y[last] === 0 ? bottom : top }
    }).sort((a, b) => a.at - b.at)
    const gap = 13
    names.forEach((name, k) => { if (k) name.at = Math.max(name.at, names[k - 1].at + gap) })
    const over = Math.max(0, (names.at(-1)?.at ?? 0) - bottom)
    names.forEach((name) => { name.at -= over })
    const right = Math.max(...lines.map((line) => x.at(line.x.at(-1))))
    for (const { line, at } of names) {
      context.fillStyle = KINDS[line.kind].ink ? colors.ink : colors.lines[line.color ?? line.style]
      context.fillText(line.name, right + 8, at)
    }
  }

  // --- reading values off a panel ------------------------------------------------------------------------------------

  // The middles of so many cells between two ends.
  const middles = ([low, high], count) => Array.from({ length: count }, (_, k) => low + ((k + 0.5) * (high - low)) / count)

  // The places along the horizontal axis that have a value.
  function places(panel) {
    if (panel.shades) return middles(panel.shades.x, panel.shades.columns)
    return [...new Set(readable(panel).flatMap((line) => [...line.x]))].sort((a, b) => a - b)
  }

  // The lines whose values can be read: those with a name, or a lone one.
  function readable(panel) {
    const named = panel.lines.filter((line) => line.name)
    return named.length ? named : panel.lines.slice(0, 1)
  }

  const heights = ({ shades: { y, columns, values } }) => middles(y, values.length / columns)

  const spell = (axis, value) => {
    const number = Number.isSafeInteger(value) ? String(value).replace('-', '−') : tell(value)
    return `${axis.label} ${axis.ticks?.find(([place]) => place === value)?.[1] ?? number}`
  }

  const nearest = (all, value) => all.reduce((best, one, k) => (Math.abs(one - value) < Math.abs(all[best] - value) ? k : best), 0)

  // In words, what a panel shows at a place: {column, row}.
  function read(panel, { column, row }) {
    const at = places(panel)[column]
    if (panel.shades) {
      const { values, columns, quantity, percent } = panel.shades, value = values[row * columns + column]
      const text = panel.shades.texts?.[row][column] === '×' ? 'diverged' : percent && Number.isFinite(value) ? `${tell(100 * value)} %` : tell(value)
      return `${spell(panel.x, at)}, ${spell(panel.y, heights(panel)[row])}: ${quantity} ${text}`
    }
    const said = readable(panel).filter((line) => line.x.includes(at)).map((line) => `${line.name} ${tell(line.y[line.x.indexOf(at)])}`.trim())
    return `${spell(panel.x, at)}: ${said.join(', ')}`
  }

  function crosshair(context, panel, { column, row }, x, y, top, bottom, left, right, colors) {
    const at = places(panel)[column]
    if (at === undefined) return
    if (panel.shades) {
      context.beginPath()
      if (panel.shades.texts) context.rect(x.at(at - 0.5), y.at(row + 0.5), x.at(1) - x.at(0), y.at(0) - y.at(1))  // leaves the text free
      else {
        const height = y.at(heights(panel)[row])
        for (const [px, py, toX, toY] of [[x.at(at), top, x.at(at), bottom], [left, height, right, height]]) {
          context.moveTo(px, py)
          context.lineTo(toX, toY)
        }
      }
      return twice(context, colors.paper, panel.shades.texts ? 4 : 3, colors.ink, panel.shades.texts ? 2 : 1)
    }
    context.strokeStyle = colors.ink
    context.globalAlpha = 0.5
    context.lineWidth = 1
    stroke(context, x.at(at), top, x.at(at), bottom)
    context.globalAlpha = 1
    for (const line of readable(panel)) {
      const k = line.x.indexOf(at), py = y.at(line.y[k])
      if (k < 0 || !Number.isFinite(py)) continue
      context.lineWidth = 1.5
      marker(context, 'circle', x.at(at), py, 4.5, true)
    }
  }

  const NONE = { lines: [], lost: [], zero: [] }

  // A panel of the page: a title, a canvas, a slider to read its values by keyboard, and what was read.
  function makePanel(figure) {
    const title = element('div', { class: 'live-title' }), canvas = element('canvas', { role: 'img' })
    const reader = element('input', { type: 'range', class: 'live-reader', min: 0, step: 1 })
    const reading = element('div', { class: 'live-reading', 'aria-hidden': 'true' })
    const root = element('div', { class: 'live-panel' }, title, canvas, reader, reading)
    let panel, pins = NONE, names = [], cursor = null, area = null, size = null

    function draw() {
      size ??= { width: canvas.clientWidth, height: canvas.clientHeight }  // asked once: it makes the browser lay out the page
      if (!size.width) size = null
      else area = paint(canvas, size, panel, pins, cursor, names, figure.colors())
      write(reading, cursor ? read(panel, cursor) : '')
    }
    function resize() {
      size = null
      draw()
    }
    function point(next) {
      cursor = next
      if (cursor) {
        reader.value = cursor.column
        reader.setAttribute('aria-valuetext', read(panel, cursor))
      }
      draw()
    }
    const middle = () => ({ column: +reader.value, row: panel.shades ? Math.floor(heights(panel).length / 2) : 0 })
    const follow = ({ offsetX, offsetY }) => {
      if (!area) return
      const inside = offsetX > area.left - 8 && offsetX < area.right + 8 && offsetY > area.top - 8 && offsetY < area.bottom + 8
      if (!inside || !places(panel).length) return point(null)
      const column = nearest(places(panel), area.x.inverse(offsetX))
      point({ column, row: panel.shades ? nearest(heights(panel), area.y.inverse(offsetY)) : 0 })
    }
    for (const kind of ['pointerdown', 'pointermove']) canvas.addEventListener(kind, follow)
    canvas.addEventListener('pointerleave', ({ pointerType }) => {  // a finger that is lifted leaves its reading
      if (pointerType !== 'touch') point(document.activeElement === reader ? middle() : null)
    })
    reader.addEventListener('focus', () => point(middle()))
    reader.addEventListener('blur', () => { if (!canvas.matches(':hover')) point(null) })
    reader.addEventListener('input', () => point({ ...(cursor ?? middle()), column: +reader.value }))
    reader.addEventListener('keydown', (event) => {
      const up = { ArrowUp: 1, ArrowDown: -1 }[event.key]
      if (!up || !panel.shades) return
      event.preventDefault()
      const { column, row } = cursor ?? middle()
      point({ column, row: Math.min(Math.max(row + up, 0), heights(panel).length - 1) })
    })

    function show(next, pinned, named) {
      const known = same([next, pinned, named], [panel, pins, names])  // in a film, some panels seldom change
      const at = cursor && places(panel)[cursor.column]  // the place stays where its column's number changes
      ;[panel, pins, names] = [next, pinned, named]
      if (known) return
      const all = places(panel)
      write(title, panel.title)
      put(canvas, 'aria-label', `${panel.title}. ${panel.sentence}`)
      put(reader, 'aria-label', `Read values: ${panel.title}`)
      put(reader, 'aria-description', panel.shades ? 'Up and down choose the row.' : '')
      put(reader, 'max', String(Math.max(0, all.length - 1)))
      if (reader.disabled !== (all.length === 0)) reader.disabled = all.length === 0
      if (cursor) {
        cursor = { column: nearest(all, at), row: panel.shades ? Math.min(cursor.row, heights(panel).length - 1) : 0 }
        if (!all.length) cursor = null
        else reader.value = cursor.column
      }
      if (all.length && (cursor || !figure.film())) put(reader, 'aria-valuetext', read(panel, cursor ?? middle()))  // in a film, on focus
      draw()
    }
    return { root, show, resize }
  }

  // Whether two values, such as panels, hold the same.
  function same(one, other) {
    if (one === other || Number.isNaN(one) && Number.isNaN(other)) return true
    if (!(one instanceof Object && other instanceof Object)) return false
    if (ArrayBuffer.isView(one)) return one.length === other.length && one.every((value, k) => same(value, other[k]))
    const keys = Object.keys(one)
    return keys.length === Object.keys(other).length && keys.every((key) => same(one[key], other[key]))
  }

  // --- controls ------------------------------------------------------------------------------------------------------

  // Native ones, with a label and a text for their value.
  function makeControl(spec, id, changed) {
    const mine = { id, title: spec.meaning }
    const label = element('label', { for: id, title: spec.meaning }, spec.name)
    const root = element('div', { class: 'live-control' }, label)
    if (spec.menu) {
      const select = element('select', mine, ...spec.labels.map((text, k) => element('option', { value: k }, text)))
      select.addEventListener('input', changed)
      root.append(select)
      return { root, get: () => spec.options[select.value], set: (value) => { select.value = spec.options.indexOf(value) }, marks() {} }
    }
    const list = spec.options, step = list ? 1 : spec.step
    const [low, high] = list ? [0, list.length - 1] : [spec.low, spec.high]
    const digits = step < 1 ? 2 : 0
    const slider = element('input', { ...mine, type: 'range', min: low, max: high, step })
    let marked = []
    let exact = null  // the value as it was set, which may lie between two steps, until the reader moves this control
    const track = element('div', { class: 'live-track' }, slider)
    const text = (value) => (list ? spec.labels[value] : (+value).toFixed(digits))
    const field = list ? element('output', { for: id }) : element('input', {
      type: 'number', min: low, max: high, step, 'aria-label': `${spec.name}, as a number`,
    })
    root.append(track, field)
    function tellValue() {
      slider.setAttribute('aria-valuetext', text(slider.value))
      field.value = text(slider.value)
    }
    slider.addEventListener('input', () => { exact = null; tellValue(); changed() })
    field.addEventListener('change', () => {
      if (field.value !== '' && Number.isFinite(+field.value)) {
        exact = null
        slider.value = field.value  // within its limits and steps
      }
      tellValue()
      changed()
    })
    return {
      root,
      get: () => (list ? list[slider.value] : exact ?? +(+slider.value).toFixed(digits)),
      set(value) {
        exact = list ? null : value
        slider.value = list ? list.indexOf(value) : value
        tellValue()
      },
      marks(found) {
        if (same(found, marked)) return
        marked = found
        if (found.length) root.classList.add('live-marked')
        for (const old of track.querySelectorAll('.live-mark')) old.remove()  // the slider itself stays, with its focus
        for (const [value, words] of found) {
          const mark = element('span', { class: 'live-mark', 'aria-hidden': 'true' }, `▲\n${words}`)
          mark.style.setProperty('--at', (value - low) / (high - low))
          track.append(mark)
        }
        slider.setAttribute('aria-description', found.map(([, words]) => words).join(', '))
      },
    }
  }

  // --- the figure ----------------------------------------------------------------------------------------------------

  // Fills `root`. controls, buttons: as in widget.py; those before *start* stand above the controls. A figure without a *reset* of
  // its own gets one that brings back the settings `origin`, or else those of the first picture, and a *pin*.
  // ask(settings, generation): called when a control was moved. press(name): when a button was. Returns show(picture), which
  // draws, rename(buttons), lose(), and stop().
  function figure(root, { controls, buttons = [], origin = null, ask, press }) {
    const id = `live-${Math.random().toString(36).slice(2)}`
    let generation = 0, start = origin, picture = null, pinned = null, waiting = null, colors = null, lines, width
    const specs = controls.map((spec, k) => ({ spec, control: makeControl(spec, `${id}-${k}`, () => moved()) }))
    const button = (name, meaning, act) => {
      const made = element('button', { type: 'button', title: meaning }, name)
      made.addEventListener('click', () => act(made.textContent))
      return made
    }
    const pin = button('pin', 'Keeps the present curves as pale lines', () => {
      pinned = pinned ? null : picture
      pin.textContent = pinned ? 'unpin' : 'pin'
      draw()
    })
    const pressed = buttons.map(([name, meaning]) => button(name, meaning, press))
    const called = buttons.map(([name]) => name), presets = Math.max(0, called.indexOf('start'), called.indexOf('pause'))
    const resetAndPin = called.includes('reset') ? [] : [button('reset', 'Back to the settings at the start', () => { adopt(start); moved(1) }), pin]
    const bar = element('div', { class: 'live-buttons' }, ...resetAndPin, ...pressed.slice(presets))
    const panels = element('div', { class: 'live-panels' }), table = element('table'), said = element('p'), note = element('p', { class: 'live-note', role: 'status' })
    const figureElement = element('figure', {}, panels, element('figcaption', {}, table, said, note)), code = element('div', { class: 'live-code' })
    root.classList.add('live')
    const above = element('div', { class: 'live-controls' }, ...specs.map(({ control }) => control.root), bar)
    if (presets) root.append(element('div', { class: 'live-presets' }, ...pressed.slice(0, presets)))
    root.append(above, figureElement, code)
    // Jupyter would act on arrow keys and letters. Those with Ctrl or ⌘ are meant for it, but for those that undo.
    const mine = ({ key, ctrlKey, metaKey }) => !(ctrlKey || metaKey) || /^[zy]$/i.test(key)
    const keys = (event) => { if (root.contains(event.target)) event.target.toggleAttribute('data-lm-suppress-shortcuts', mine(event)) }
    window.addEventListener('keydown', keys, true)  // before Notebook 7 looks
    root.addEventListener('keydown', (event) => { if (mine(event) && event.key !== 'Tab') event.stopPropagation() })  // before JupyterLab does
    const drawn = []

    const settings = () => Object.fromEntries(specs.map(({ spec, control }) => [spec.name, control.get()]))
    const alike = (one, other) => specs.every(({ spec: { name } }) => one[name] === other[name])
    function adopt(values) { specs.forEach(({ spec, control }) => control.set(values[spec.name])) }
    function moved(overrule = 0) {
      generation += overrule
      waiting = settings()
      ask(waiting, generation)
    }

    function show(next) {
      if (next.generation < generation) return  // late: *reset* has overruled it
      if (next.generation > generation || !waiting || alike(waiting, next.settings)) {
        if (!alike(settings(), next.settings)) adopt(next.settings)
        waiting = null
      }
      generation = next.generation
      start ??= next.settings
      picture = { ...next, panels: next.panels.map(ready) }
      draw()
    }

    function draw() {
      if (!picture) return
      while (drawn.length < picture.panels.length) {
        drawn.push(makePanel({ film: () => picture.number != null, colors: () => (colors ??= palette(root)) }))
        panels.append(drawn.at(-1).root)
      }
      const names = picture.panels.flatMap((panel) => (panel.shades ? [] : panel.lines.map((line) => line.name)))
      pin.hidden = picture.panels.every((panel) => panel.shades)  // nothing would be kept
      root.classList.toggle('live-film', picture.number != null)  // before the canvases are measured
      picture.panels.forEach((panel, k) => {
        const before = panel.shades ? null : pinned?.panels[k]
        if (!before) return drawn[k].show(panel, NONE, names)
        drawn[k].show(within(panel, before), { ...before, lines: before.lines.filter((line) => line.kind === 'line') }, names)
      })
      fill(table, picture.table)
      write(said, picture.sentence)
      if (!same(picture.code, lines)) {  // else left alone, so that it can be marked and copied
        lines = picture.code
        code.replaceChildren(...(lines ?? []).map(([name, line]) => element('p', {}, `${name}: `, element('code', {}, line))))
      }
      write(note, pinned ? `Pale lines: pinned at ${specs.map(({ spec: { name } }) => `${name} ${pinned.settings[name]}`).join(', ')}.` : '')
      for (const { spec, control } of specs) control.marks(picture.marks.filter(([name]) => name === spec.name).map(([, ...mark]) => mark))
      root.dataset.drawn = 1 + Number(root.dataset.drawn ?? 0)
    }

    function repaint() {
      colors = null
      for (const panel of drawn) panel.resize()
    }
    const resized = new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width === width) return  // a longer sentence changes the height alone
      width = contentRect.width
      repaint()
    })
    resized.observe(root)
    const themed = new MutationObserver(repaint)
    for (const node of [document.documentElement, document.body]) themed.observe(node, { attributes: true })
    const dark = window.matchMedia('(prefers-color-scheme: dark)')
    dark.addEventListener('change', repaint)
    window.addEventListener('resize', repaint)  // zooming changes the pixel ratio

    function rename(buttons) {
      buttons.forEach(([name, meaning], k) => {
        write(pressed[k], name)
        put(pressed[k], 'title', meaning)
      })
    }

    // There is nobody any more to ask: says so, as the stored picture does.
    function lose() {
      if (picture) adopt(picture.settings)  // what is seen
      for (const part of root.querySelectorAll('.live-controls, .live-presets')) part.inert = true
      note.textContent = 'Run this cell to move it.'
      root.classList.add('live-lost')
    }

    function stop() {
      resized.disconnect()
      themed.disconnect()
      dark.removeEventListener('change', repaint)
      window.removeEventListener('resize', repaint)
      window.removeEventListener('keydown', keys, true)
    }
    return { show, rename, lose, stop }
  }

  // A panel as it comes, with its arrays.
  function ready(panel) {
    const shades = panel.shades && { ...panel.shades, values: numbers(panel.shades.values) }
    const lines = panel.lines.map((line) => ({ ...line, x: numbers(line.x), y: numbers(line.y) }))
    return { ...panel, lines, shades, lost: numbers(panel.lost), zero: numbers(panel.zero) }
  }

  // The panel with axes that hold the pinned one, too.
  function within(panel, before) {
    const axis = (one, other) => ({ ...one, low: Math.min(one.low, other.low), high: Math.max(one.high, other.high) })
    return { ...panel, x: axis(panel.x, before.x), y: axis(panel.y, before.y) }
  }

  // --- in a notebook -------------------------------------------------------------------------------------------------

  function render({ model, el }) {
    const kernel = model.widget_manager?.kernel
    // Shut down, or another one: no event tells.
    const gone = () => kernel && (model.widget_manager.kernel !== kernel || kernel.status === 'dead')
    const shown = figure(el, {
      controls: model.get('controls'),
      buttons: model.get('buttons'),
      origin: model.get('origin'),
      ask(settings, generation) {
        if (gone()) return shown.lose()
        model.set('asked', { settings, generation })
        model.save_changes()
      },
      press: (name) => (gone() ? shown.lose() : model.send({ press: name })),
    })
    let answer = null
    const answered = () => { answer = null; if (!gone()) model.send({ drawn: model.get('shown').number }) }
    const update = () => {
      if (!model.get('shown').panels) return
      shown.show(model.get('shown'))
      // The pictures of a film are answered, so that no more of them come than are drawn; not each, which would take the kernel's time.
      if (model.get('shown').number != null) answer ??= setTimeout(answered, 150)
    }
    const rename = () => shown.rename(model.get('buttons'))
    el.append(element('style', {}, `.${model.get('still')}, .jp-OutputArea-child:has(.${model.get('still')}) { display: none }`))
    update()
    if (el.classList.contains('jupyter-widgets-disconnected')) shown.lose()  // a new view of a figure whose kernel is gone
    model.on('comm_live_update', shown.lose)  // the kernel was restarted, and knows nothing of this figure
    model.on('change:shown', update)
    model.on('change:buttons', rename)
    return () => {
      clearTimeout(answer)
      model.off('change:buttons', rename)
      model.off('comm_live_update', shown.lose)
      model.off('change:shown', update)
      shown.stop()
    }
  }

  return { figure, render }
})()
