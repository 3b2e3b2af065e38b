// Ties the figures of a page to the engine: live.figure draws, a worker computes.

const page = (() => {
  'use strict'

  // Sends a question; returns a promise of its answer. sources: the texts of the scripts that a worker runs.
  function connect(sources) {
    let worker
    try {
      worker = new Worker(URL.createObjectURL(new Blob(sources, { type: 'text/javascript' })))
    } catch {
      return Object.assign(async (question) => answers(question), { worker: false })
    }
    const waiting = []  // answers come in the order of the questions
    worker.onmessage = ({ data }) => waiting.shift().resolve(data)
    worker.onerror = (event) => waiting.shift()?.reject(new Error(event.message))
    const ask = (question) => new Promise((resolve, reject) => { waiting.push({ resolve, reject }); worker.postMessage(question) })
    return Object.assign(ask, { worker: true })
  }

  // Fills `root` with a live figure. explorer: {kind, data, wasm, controls, settings}. While the engine computes, of all that was
  // asked meanwhile only the last is kept.
  async function figure(root, id, explorer, ask) {
    const { kind, data, wasm, controls, settings } = explorer
    const { simd } = await ask({ figure: id, kind, data, wasm })
    let busy = false, next = null
    const shown = live.figure(root, { controls, ask: (wanted, generation) => { next = { wanted, generation }; work() } })
    async function work() {
      if (busy) return
      busy = true
      while (next) {
        const { wanted, generation } = next
        next = null
        shown.show((await ask({ figure: id, settings: wanted, generation })).picture)
      }
      busy = false
    }
    next = { wanted: settings, generation: 0 }
    await work()
    if (!simd) {
      const note = document.createElement('p')
      note.textContent = 'This browser has no WebAssembly with SIMD: the figure computes in plain JavaScript, and takes several times as long.'
      root.append(note)
    }
    return { ...shown, simd }
  }

  return { connect, figure }
})()
