// Explorers in a worker, so that the page never blocks. A classic script: a worker made from a Blob runs engine.js, explorers.js and
// this file, and so works from file://, too. The page has all three as well, for where no worker can be had.

// Answers questions {figure, settings, generation} about figures that {figure, kind, data} has made.
const answers = (() => {
  const computes = new Map()
  let memory = null

  // The bytes that a base64 text stands for.
  const bytes = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0))

  // Digits as helpers' `digits` gives them. pixels, labels: base64 of bytes; levels: what a pixel's number stands for.
  function digits({ pixels, labels, levels }) {
    return { x: Float32Array.from(bytes(pixels), (pixel) => levels[pixel]), y: bytes(labels) }
  }

  return function answer(question) {
    const { figure, kind, wasm, data, settings, generation } = question
    if (kind) {
      memory ??= new engine.Memory(wasm.map(bytes))
      computes.set(figure, explorers[kind]({ ...data, ...(data.digits ? digits(data.digits) : {}), memory }))
      return { simd: memory.simd }
    }
    return { picture: { settings, generation, ...computes.get(figure)(settings) } }
  }
})()

if (typeof WorkerGlobalScope !== 'undefined') {
  self.onmessage = ({ data }) => {
    let answer
    try {
      answer = answers(data)
    } catch (error) {
      answer = { error: String(error) }
    }
    self.postMessage(answer)
  }
}
